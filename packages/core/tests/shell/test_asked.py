"""When references were last asked for, kept beside the caches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from image_factory.shell.asked import read_asked, remember_asked
from image_factory.shell.folder import CACHE_FOLDER

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_what_is_noted_is_known_beside_what_was(tmp_path: Path) -> None:
    remember_asked(tmp_path, ["a"], NOW)
    remember_asked(tmp_path, ["b"], NOW + timedelta(hours=1))

    assert read_asked(tmp_path) == {"a": NOW, "b": NOW + timedelta(hours=1)}


def test_what_nobody_asks_for_any_more_is_forgotten(tmp_path: Path) -> None:
    remember_asked(tmp_path, ["old"], NOW)
    remember_asked(tmp_path, ["new"], NOW + timedelta(days=61))

    assert list(read_asked(tmp_path)) == ["new"]


@pytest.mark.parametrize("content", ["", "[]", '{"asked": 3}', '{"asked": {"a": "x"}}', '{"asked": {"a": 1e300}}'])
def test_a_damaged_note_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / CACHE_FOLDER).mkdir()
    (tmp_path / CACHE_FOLDER / "asked.json").write_text(content)

    assert read_asked(tmp_path) == {}


def test_git_does_not_see_it(tmp_path: Path) -> None:
    remember_asked(tmp_path, ["a"], NOW)

    assert (tmp_path / CACHE_FOLDER / ".gitignore").read_text() == "*\n"
