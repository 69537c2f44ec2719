from __future__ import annotations

from pathlib import Path

import pytest

from image_factory.errors import Conflict, InvalidSettings
from image_factory.state.images_yaml import read_images
from image_factory.usecases.init import FILES, init
from image_factory.usecases.validate import validate


def test_a_new_folder_is_right_and_empty(tmp_path: Path) -> None:
    made = init(tmp_path / "image-factory")

    found = validate(made.root, {}, {}, lambda settings: None)
    assert (found.images, found.problems, found.warnings) == (0, (), ())
    assert sorted(made.files) == sorted(
        path.relative_to(made.root).as_posix() for path in made.root.rglob("*") if path.is_file()
    )


def test_the_commented_entries_are_right_once_the_comment_is_removed() -> None:
    """Else a person's first try, to uncomment one, would fail."""
    lines = FILES["images.yaml"].splitlines()
    text = "\n".join(line.removeprefix("# ") for line in lines if line.startswith(("# - ", "#   ")))

    images = read_images(text, "images.yaml")

    assert images.problems == ()
    assert [entry.enrollment.name for entry in images.enrollments] == ["web", "postgres"]


def test_what_is_there_is_not_overwritten_and_then_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("mine\n")

    with pytest.raises(Conflict, match=r"config\.yaml exists already"):
        init(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]
    assert (tmp_path / "config.yaml").read_text() == "mine\n"


def test_a_dry_run_makes_nothing(tmp_path: Path) -> None:
    made = init(tmp_path / "x", dry_run=True)

    assert "images.yaml" in made.files
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(InvalidSettings, match="cannot make"):
        init(tmp_path / "file" / "x")
