from __future__ import annotations

from pathlib import Path

import pytest

from image_factory.shell.enrolled_cache import recall_images, remember_images
from image_factory.shell.folder import CACHE_FOLDER, own_folder
from image_factory.state.images_yaml import ImagesFile, read_images

TEXT = """\
# Ours.
- name: web
  registry: ghcr.io
  repository: acme/web
  source: {repo: acme/web, buildArgs: {LANG: ü}, branch: main}
  policy: {note: "a line\\nand ü", least: 2.5, none: null}
  rebuildDelay: 3d

- name: postgres
  registry: docker.io
  repository: library/postgres
  constraint: ^16.0.0
"""
FILE = "images.yaml"


def keep(root: Path, text: str = TEXT) -> ImagesFile:
    own_folder(root)
    said = read_images(text, FILE)
    remember_images(root, text, said)
    return said


def test_the_same_text_says_the_same(tmp_path: Path) -> None:
    said = keep(tmp_path)

    assert len(said.enrollments) == 2
    assert not said.problems
    assert recall_images(tmp_path, TEXT, FILE) == said


def test_another_text_is_read(tmp_path: Path) -> None:
    keep(tmp_path)

    assert recall_images(tmp_path, TEXT.replace("3d", "4d"), FILE) is None


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(TEXT + "- name: web\n", id="a problem"),
        pytest.param(TEXT.replace("branch", "brunch"), id="a warning"),
        pytest.param("- [", id="no YAML"),
    ],
)
def test_what_is_wrong_is_said_each_time(tmp_path: Path, text: str) -> None:
    said = keep(tmp_path, text)

    assert said.problems or said.warnings
    assert recall_images(tmp_path, text, FILE) is None


def test_nothing_is_made_in_a_folder_that_has_no_cache(tmp_path: Path) -> None:
    remember_images(tmp_path, TEXT, read_images(TEXT, FILE))

    assert list(tmp_path.iterdir()) == []
    assert recall_images(tmp_path, TEXT, FILE) is None


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: b"", id="empty"),
        pytest.param(lambda content: content[:-3], id="cut"),
        pytest.param(lambda content: content.replace(b"acme/web", b"evil/web"), id="edited"),
        pytest.param(lambda content: content.replace(b'"stamp": "', b'"stamp": "0'), id="by other code"),
        pytest.param(lambda content: b"[1]\n" + content, id="another header"),
    ],
)
def test_a_damaged_cache_is_none(tmp_path: Path, damage: object) -> None:
    keep(tmp_path)
    (file,) = (path for path in (tmp_path / CACHE_FOLDER).iterdir() if path.suffix == ".json")
    file.write_bytes(damage(file.read_bytes()))  # type: ignore[operator]

    assert recall_images(tmp_path, TEXT, FILE) is None
