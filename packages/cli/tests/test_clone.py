"""The folder of a job lies in a clone that is gone afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from image_factory.errors import UserError
from image_factory_cli.clone import opened_folder

if TYPE_CHECKING:
    from .conftest import Folder
else:
    Folder = Any


def test_the_clone_is_there_while_it_is_used_and_gone_afterwards(folder: Folder) -> None:
    folder.managed("web")
    folder.git("add", ".")
    folder.git("commit", "--quiet", "--message", "Enroll web")

    with opened_folder(None, str(folder.checkout), "main", "text", None) as (bench, must_push):
        root = bench.root
        names = [entry.enrollment.name for entry in bench.images().enrollments]

    assert (names, must_push) == (["web"], True)
    assert not root.exists()


def test_without_a_repository_the_folder_here_is_used(folder: Folder) -> None:
    folder.managed("web")

    with opened_folder(None, None, None, "text", None) as (bench, must_push):
        assert (bench.root.resolve(), must_push) == (folder.root.resolve(), False)


@pytest.mark.parametrize("directory", ["../elsewhere", "/etc"])
def test_a_folder_outside_the_clone_is_refused(folder: Folder, directory: str) -> None:
    with (
        pytest.raises(UserError, match="leads out of the clone"),
        opened_folder(Path(directory), str(folder.checkout), None, "text", None),
    ):
        pass
