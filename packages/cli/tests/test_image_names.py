"""Completion of image names: those that the folder knows, and nothing where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.shell_completion import ShellComplete

from image_factory_cli.group import cli

Folder = Any  # of this package's conftest


def completed(*words: str, begun: str = "") -> list[str]:
    """Return what a shell would offer after `image-factory words…`."""
    shell = ShellComplete(cli, {}, "image-factory", "_IMAGE_FACTORY_COMPLETE")
    return [item.value for item in shell.get_completions(list(words), begun)]


@pytest.mark.parametrize("verb", ["status", "explain", "versions"])
def test_enrolled_and_base_images_are_offered(folder: Folder, verb: str) -> None:
    folder.service("web", "FROM node:22\n")
    folder.managed("web")
    folder.run("analyze")
    folder.managed("web", "worker")

    assert completed(verb) == ["node-22", "web", "worker"]
    assert completed(verb, begun="we") == ["web"]


def test_the_folder_of_the_flag_is_the_one_that_is_asked(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.managed("web")
    monkeypatch.chdir(tmp_path)

    assert completed("status", "--image-factory-dir", str(folder.root)) == ["web"]


def test_where_there_is_no_folder_nothing_is_offered_and_nothing_said(folder: Folder) -> None:
    assert completed("status") == []
    assert folder.capture.readouterr() == ("", "")
