"""The shipped image-factory folder enrolls real images, and is right (requirements, rows 79, 84 and 144)."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_factory.model.enrollment import Enrollment, Kind
from image_factory.shell.settings import check_settings
from image_factory.state.images_yaml import read_images

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "image-factory"


@pytest.fixture(scope="module")
def enrolled() -> dict[str, Enrollment]:
    images = read_images((SHIPPED / "images.yaml").read_text(encoding="utf-8"), "images.yaml")
    assert images.problems == ()
    assert images.warnings == ()
    return {entry.enrollment.name: entry.enrollment for entry in images.enrollments}


def test_the_settings_are_right(tmp_path: Path) -> None:
    _, problems, warnings = check_settings(SHIPPED, {}, {})

    assert (problems, warnings) == ((), ())


def test_this_project_s_own_image_and_its_dockerfile_are_among_them(enrolled: dict[str, Enrollment]) -> None:
    own = enrolled["image-factory"]

    assert own.source is not None
    assert (ROOT / own.source.dockerfile).is_file()
    assert all((ROOT / path).is_dir() for path in own.source.paths)


@pytest.mark.parametrize("name", ["backstage", "uv"])
def test_two_further_managed_images_are_among_them(enrolled: dict[str, Enrollment], name: str) -> None:
    enrollment = enrolled[name]

    assert enrollment.kind is Kind.MANAGED
    assert str(enrollment.image) == f"ghcr.io/craigedmunds/{name}"
    assert enrollment.source is not None
    assert enrollment.source.workflow == f"{name}.yml"


def test_uv_is_carried_into_the_file_that_deploys_it(enrolled: dict[str, Enrollment]) -> None:
    (update,) = enrolled["uv"].updates

    assert update.path == "helm/uv-service/templates/deployment.yaml"


@pytest.mark.parametrize(("name", "tag"), [("postgres", "16-alpine"), ("redis", "7-alpine")])
def test_the_external_images_watch_one_tag(enrolled: dict[str, Enrollment], name: str, tag: str) -> None:
    enrollment = enrolled[name]

    assert enrollment.kind is Kind.EXTERNAL
    assert enrollment.only_tag == tag
    assert enrollment.strategy == "Digest"


@pytest.mark.parametrize("file", ["images.yaml", "config.yaml"])
def test_each_file_names_a_schema_that_is_there(file: str) -> None:
    first = (SHIPPED / file).read_text(encoding="utf-8").splitlines()[0]

    assert first.startswith("# yaml-language-server: $schema=")
    assert (SHIPPED / first.partition("=")[2]).resolve().is_file()
