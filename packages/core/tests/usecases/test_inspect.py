"""Inspect as a stream: one file after the other, each read once, none stopping the rest."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from image_factory.dockerfile.reading import BuildOptions, Category
from image_factory.errors import NotFound
from image_factory.shell import tree
from image_factory.usecases.inspect import Inspected, Inspection, inspect


def _inspect(*paths: str, options: BuildOptions | None = None, given: bytes = b"", **environment: str) -> Inspection:
    return inspect(paths, options or BuildOptions({}), standard_input=io.BytesIO(given), environment=environment)


def _images(found: Inspected) -> list[str]:
    return [reference.reference.canonical for reference in found.reading.references]


def test_files_are_read_one_after_the_other(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.Dockerfile").write_text("FROM alpine\n")
    files = _inspect(str(tmp_path)).files

    assert next(files).file == "a.Dockerfile"
    # What the second holds is looked at when its turn comes, not before.
    (tmp_path / "b.Dockerfile").write_text("FROM busybox\n")
    assert _images(next(files)) == ["docker.io/library/busybox:latest"]


def test_a_path_that_is_missing_is_said_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM alpine\n")

    with pytest.raises(NotFound, match="nowhere"):
        _inspect(str(tmp_path / "Dockerfile"), str(tmp_path / "nowhere"))


def test_files_of_one_content_share_a_reading(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.Dockerfile").write_text("FROM alpine\n")
    first, second = _inspect(str(tmp_path)).files

    assert first.reading is second.reading


def test_only_one_file_alone_is_single(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text("FROM alpine\n")

    assert _inspect(str(file)).is_single
    assert _inspect("-").is_single
    assert not _inspect(str(tmp_path)).is_single
    assert not _inspect(str(file), str(file)).is_single


def test_a_file_that_vanished_is_unreadable_and_the_next_is_read(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.Dockerfile").write_text("FROM alpine\n")
    files = _inspect(str(tmp_path / "a.Dockerfile"), str(tmp_path / "b.Dockerfile")).files
    (tmp_path / "a.Dockerfile").unlink()
    gone, whole = files

    assert [found.category for found in gone.reading.diagnostics] == [Category.UNREADABLE]
    assert _images(whole) == ["docker.io/library/alpine:latest"]


def test_a_file_beyond_the_bound_is_unreadable(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    with file.open("wb") as sparse:
        sparse.truncate(tree.MAX_FILE + 1)
    (found,) = _inspect(str(file)).files

    assert [one.category for one in found.reading.diagnostics] == [Category.UNREADABLE]


def test_what_is_given_beside_a_bake_file_goes_before_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("ARG A\nARG B\nFROM $A\nFROM $B\n")
    (tmp_path / "docker-bake.hcl").write_text(
        'variable "B" { default = "b" }\n'
        'target "app" {\n args = { A = "a", B = B }\n platforms = ["linux/arm64"]\n}\ntarget "other" {}\n'
    )
    options = BuildOptions({"A": "given"}, target="app")
    (app,) = _inspect(str(tmp_path / "docker-bake.hcl"), options=options, B="environment").files

    assert (app.definition, app.target) == (str(tmp_path / "docker-bake.hcl"), "app")
    assert _images(app) == ["docker.io/library/given:latest", "docker.io/library/environment:latest"]
    assert [str(one) for one in app.reading.references[0].platforms] == ["linux/arm64"]


def test_the_override_file_is_read_from_beside(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {app: {build: {dockerfile_inline: 'FROM a'}}}")
    (tmp_path / "compose.override.yaml").write_text("services: {app: {build: {dockerfile_inline: 'FROM ${B}'}}}")
    (tmp_path / ".env").write_text("B=b\n")
    (app,) = _inspect(str(tmp_path / "compose.yaml")).files

    assert _images(app) == ["docker.io/library/b:latest"]


def test_a_definition_without_builds_says_nothing_of_images(tmp_path: Path) -> None:
    (tmp_path / "docker-bake.hcl").write_text("")
    (found,) = _inspect(str(tmp_path / "docker-bake.hcl")).files

    assert (found.file, found.reading.references) == (str(tmp_path / "docker-bake.hcl"), ())
