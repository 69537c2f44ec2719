"""A person's text file: bytes stay, permissions and links stay, and what cannot be read is one error."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_factory.errors import Conflict, NotFound, UserError
from image_factory.shell.text_file import load_text, save_text


def test_line_ends_and_the_mark_stay_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: b\r\nc: d\n")
    old = load_text(file)

    save_text(file, old=old, new=old.replace("d", "é"))

    assert file.read_bytes() == b"\xef\xbb\xbfa: b\r\nc: \xc3\xa9\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.yaml"]


def test_permissions_and_a_link_stay(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("a")
    file.chmod(0o751)
    link = tmp_path / "link.yaml"
    link.symlink_to("a.yaml")

    save_text(link, old="a", new="b")

    assert (link.is_symlink(), file.read_text(), file.stat().st_mode & 0o777) == (True, "b", 0o751)


def test_a_file_that_was_changed_meanwhile_is_left(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("theirs")

    with pytest.raises(Conflict):
        save_text(file, old="a", new="b")

    assert file.read_text() == "theirs"


def test_what_cannot_be_read_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        load_text(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_bytes(b"a\n\xff\n")
    with pytest.raises(UserError, match=r"b\.yaml:2: not UTF-8: the byte 0xff"):
        load_text(tmp_path / "b.yaml")
    with pytest.raises(UserError, match="cannot be read"):
        load_text(tmp_path)
