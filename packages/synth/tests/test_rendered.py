from __future__ import annotations

from pathlib import Path

import pytest

from image_factory_synth.rendered import CACHE, is_anything_kept, load_rendered, replace_file, save_rendered


def test_what_is_kept_is_found_again_and_ignored_by_git(tmp_path: Path) -> None:
    save_rendered(tmp_path, "r", {"digest": "text: ä\n"})

    assert load_rendered(tmp_path, "r") == {"digest": "text: ä\n"}
    assert (tmp_path / CACHE.parts[0] / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"format": 0, "renderer": "r", "charts": {"a": "b"}}',
        b'{"format": 2, "renderer": "r", "charts": []}',
    ],
)
def test_a_damaged_file_counts_as_empty(tmp_path: Path, content: bytes) -> None:
    save_rendered(tmp_path, "r", {"a": "b"})
    (tmp_path / CACHE / "charts.json").write_bytes(content)

    assert load_rendered(tmp_path, "r") == {}


def test_a_folder_that_cannot_be_written_keeps_nothing_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / CACHE.parts[0]).write_text("a file in its place")

    save_rendered(tmp_path, "r", {"a": "b"})

    assert load_rendered(tmp_path, "r") == {}


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "new" / "a.yaml"
    replace_file(file, "one\n")
    file.chmod(0o640)

    replace_file(file, "two\n")

    assert (file.read_text(), file.stat().st_mode & 0o777) == ("two\n", 0o640)
    assert [found.name for found in file.parent.iterdir()] == ["a.yaml"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    replace_file(file, "one\n")

    with pytest.raises(UnicodeEncodeError):
        replace_file(file, "\ud800")

    assert file.read_text() == "one\n"
    assert [found.name for found in tmp_path.iterdir()] == ["a.yaml"]


def test_what_another_renderer_wrote_is_not_used(tmp_path: Path) -> None:
    save_rendered(tmp_path, "cdk8s@2.1", {"a": "b"})

    assert load_rendered(tmp_path, "cdk8s@2.2") == {}
    assert load_rendered(tmp_path, "cdk8s@2.1") == {"a": "b"}


def test_whether_anything_is_kept_is_known_without_reading_it(tmp_path: Path) -> None:
    assert not is_anything_kept(tmp_path)

    save_rendered(tmp_path, "r", {})

    assert is_anything_kept(tmp_path)
