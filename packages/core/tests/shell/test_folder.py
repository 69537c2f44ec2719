from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from image_factory.shell.folder import CACHE_FOLDER, find_folder, is_folder, own_folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository: `image-factory/` in it, and a folder `other/` that is one too."""
    for name in ("image-factory", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "images.yaml").write_text("[]\n")
    return tmp_path


def test_the_flag_wins_over_the_variable_and_both_start_from_the_working_directory(repository: Path) -> None:
    environ = {"IMAGE_FACTORY_DIR": "other"}

    assert find_folder(Path("image-factory"), environ, repository) == repository / "image-factory"
    assert find_folder(None, environ, repository) == repository / "other"


def test_absolute_names_are_taken_as_they_are(repository: Path, tmp_path: Path) -> None:
    assert find_folder(repository / "other", {}, Path("/")) == repository / "other"
    assert find_folder(None, {"IMAGE_FACTORY_DIR": str(repository / "other")}, Path("/")) == repository / "other"


def test_without_either_it_is_the_working_directory_where_that_is_one_else_the_usual_one_in_it(
    repository: Path,
) -> None:
    assert find_folder(None, {}, repository / "other") == repository / "other"
    assert find_folder(None, {}, repository) == repository / "image-factory"


def test_an_empty_variable_is_none(repository: Path) -> None:
    assert find_folder(None, {"IMAGE_FACTORY_DIR": ""}, repository) == repository / "image-factory"


def test_a_folder_that_is_not_there_is_named_all_the_same(tmp_path: Path) -> None:
    assert find_folder(Path("later"), {}, tmp_path) == tmp_path / "later"
    assert find_folder(None, {}, tmp_path) == tmp_path / "image-factory"


@pytest.mark.parametrize("mark", ["images.yaml", "config.yaml"])
def test_either_file_marks_a_folder(tmp_path: Path, mark: str) -> None:
    assert not is_folder(tmp_path)
    (tmp_path / mark).write_text("")

    assert is_folder(tmp_path)


def test_a_folder_called_like_a_mark_is_none(tmp_path: Path) -> None:
    (tmp_path / "images.yaml").mkdir()

    assert not is_folder(tmp_path)


def test_our_own_folder_is_made_and_tells_git_to_ignore_it(tmp_path: Path) -> None:
    made = own_folder(tmp_path / "new")

    assert made == tmp_path / "new" / CACHE_FOLDER
    assert (made / ".gitignore").read_text() == "*\n"


def test_what_a_person_wrote_for_git_there_stays(tmp_path: Path) -> None:
    (own_folder(tmp_path) / ".gitignore").write_text("*\n!kept\n")

    assert (own_folder(tmp_path) / ".gitignore").read_text() == "*\n!kept\n"


def test_it_imports_nothing_beside_the_standard_library() -> None:
    code = (
        "import sys, image_factory.shell.folder, image_factory.shell.run_memory;"
        "print([name for name in ('pydantic', 'yaml', 'httpx', 'pluggy', 'click') if name in sys.modules])"
    )

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert shown == "[]\n"
