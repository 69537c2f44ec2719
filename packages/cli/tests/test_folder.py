"""The folder's options: one door to the workbench for every command."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from image_factory.errors import NotFound
from image_factory_cli.folder import open_workbench

if TYPE_CHECKING:
    from .conftest import Folder
else:
    Folder = Any


def test_the_folder_is_found_in_the_working_directory(folder: Folder) -> None:
    folder.managed("web")

    assert open_workbench(None, "text", None).root.resolve() == folder.root.resolve()


def test_the_environment_moves_state_and_images_yaml(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.service("web", "FROM node:22\n")
    folder.managed("web")
    os.rename(folder.root / "images.yaml", folder.root / "mine.yaml")
    monkeypatch.setenv("IMAGES_YAML", str(folder.root / "mine.yaml"))
    monkeypatch.setenv("IMAGE_FACTORY_STATE_DIR", str(folder.root / "elsewhere"))

    assert folder.run("analyze").code == 0
    assert (folder.root / "elsewhere/images/web.yaml").exists()


def test_a_flag_wins_over_the_environment(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.managed("web")
    monkeypatch.setenv("IMAGE_FACTORY_DIR", "nowhere")

    assert open_workbench(folder.root, "text", None).root == folder.root
    with pytest.raises(NotFound):
        open_workbench(None, "text", None).images()


@pytest.mark.parametrize(
    ("words", "image"),
    [
        pytest.param(["explain", "nope"], "nope", id="an argument"),
        pytest.param(["analyze", "--image", "nope"], "nope", id="an option"),
        pytest.param(["observe", "--base", "nope"], "nope", id="the one of several"),
        pytest.param(["observe", "--base", "nope", "--base", "no"], None, id="no single one"),
    ],
)
def test_an_error_that_ends_a_command_names_its_image_in_logs(folder: Folder, words: list[str], image: str) -> None:
    folder.managed("web")

    ran = folder.run(*words, "--log-format", "json")

    assert ran.code == 2
    told = json.loads(ran.err.splitlines()[-1])
    assert (told["image"], told["op"]) == (image, words[0])
