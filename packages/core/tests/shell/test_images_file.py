from __future__ import annotations

from pathlib import Path

import pytest

from image_factory.errors import Conflict, InvalidEnrollment, NotFound
from image_factory.model.settings import Settings
from image_factory.shell.images_file import images_path, load_images_text, save_images_text


def test_the_file_lies_where_the_settings_say(tmp_path: Path) -> None:
    assert images_path(tmp_path, Settings()) == tmp_path / "images.yaml"
    assert images_path(tmp_path, Settings(images_file="/x/ours.yaml")) == Path("/x/ours.yaml")


def test_line_ends_are_read_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "images.yaml").write_bytes(b"- a\r\n- b\n")

    assert load_images_text(tmp_path / "images.yaml", tmp_path) == "- a\r\n- b\n"


def test_a_file_that_is_not_there_names_itself_and_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        load_images_text(tmp_path / "images.yaml", tmp_path)

    assert str(tmp_path / "images.yaml") in caught.value.message
    assert f"image-factory init {tmp_path}" in caught.value.hint


def test_a_byte_that_is_not_utf_8_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "images.yaml").write_bytes(b"- a\n- b\xe4\n")

    with pytest.raises(InvalidEnrollment, match="not UTF-8: the byte 0xe4") as caught:
        load_images_text(tmp_path / "images.yaml", tmp_path)

    assert caught.value.location is not None
    assert caught.value.location.line == 2


def test_a_folder_in_its_place_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "images.yaml").mkdir()

    with pytest.raises(InvalidEnrollment, match="cannot be read"):
        load_images_text(tmp_path / "images.yaml", tmp_path)


def test_a_text_is_replaced_whole_with_the_file_s_own_mode(tmp_path: Path) -> None:
    file = tmp_path / "images.yaml"
    file.write_text("old")
    file.chmod(0o640)

    save_images_text(file, tmp_path, old="old", new="new\r\n")

    assert file.read_bytes() == b"new\r\n"
    assert file.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.glob(".images.yaml*")) == []


def test_a_text_that_changed_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "images.yaml"
    file.write_text("theirs")

    with pytest.raises(Conflict, match="changed while"):
        save_images_text(file, tmp_path, old="ours", new="new")

    assert file.read_text() == "theirs"


def test_a_link_is_followed_and_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real.yaml").write_text("old")
    (tmp_path / "images.yaml").symlink_to("real.yaml")

    save_images_text(tmp_path / "images.yaml", tmp_path, old="old", new="new")

    assert (tmp_path / "images.yaml").is_symlink()
    assert (tmp_path / "real.yaml").read_text() == "new"
