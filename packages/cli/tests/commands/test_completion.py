"""`completion`: a script that each shell takes."""

from __future__ import annotations

from typing import Any

import pytest

Folder = Any  # of this package's conftest


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_names_the_program_and_its_variable(folder: Folder, shell: str) -> None:
    ran = folder.run("completion", shell)

    assert ran.code == 0
    assert "_IMAGE_FACTORY_COMPLETE" in ran.out
    assert "image-factory" in ran.out


def test_another_shell_is_refused(folder: Folder) -> None:
    assert folder.run("completion", "csh").code == 2
