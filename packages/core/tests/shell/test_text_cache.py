from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from image_factory.shell.folder import CACHE_FOLDER, own_folder
from image_factory.shell.text_cache import keep, recall

NAME = "said.json"


def test_what_is_kept_of_a_text_is_recalled_for_that_text_alone(tmp_path: Path) -> None:
    own_folder(tmp_path)
    keep(tmp_path, NAME, "a: ü\n", b"one\ntwo\n")

    assert recall(tmp_path, NAME, "a: ü\n") == b"one\ntwo\n"
    assert recall(tmp_path, NAME, "a: u\n") is None
    assert recall(tmp_path, "other.json", "a: ü\n") is None


def test_nothing_is_kept_where_the_folder_has_no_place_for_it(tmp_path: Path) -> None:
    keep(tmp_path, NAME, "a: b\n", b"one")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: content[:-1], id="cut off"),
        pytest.param(lambda content: content.replace(b"one", b"two"), id="another body"),
        pytest.param(lambda content: b"[" + content, id="a header that is none"),
        pytest.param(lambda content: b"", id="empty"),
    ],
)
def test_what_is_damaged_is_not_recalled(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    own_folder(tmp_path)
    keep(tmp_path, NAME, "a: b\n", b"one")
    file = tmp_path / CACHE_FOLDER / NAME
    file.write_bytes(damage(file.read_bytes()))

    assert recall(tmp_path, NAME, "a: b\n") is None


def test_what_other_code_kept_is_not_recalled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_folder(tmp_path)
    keep(tmp_path, NAME, "a: b\n", b"one")
    monkeypatch.setattr("image_factory.shell.text_cache.code_stamp", lambda: "another version")

    assert recall(tmp_path, NAME, "a: b\n") is None
