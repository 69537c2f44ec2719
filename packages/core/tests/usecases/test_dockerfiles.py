"""Fetching Dockerfiles: a branch is resolved once, and a repository is known by any of its URLs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from image_factory.model.enrollment import Enrollment
from image_factory.oci.platform import Platform
from image_factory.ports import Source
from image_factory.usecases.dockerfiles import Dockerfiles, Fetched, _plain_url, build_options

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/acme/web",
        "https://github.com/acme/web.git",
        "https://GitHub.com/acme/web/",
        "https://user@github.com/acme/web.git",
        "ssh://git@github.com/acme/web.git",
        "git@github.com:acme/web.git",
    ],
)
def test_one_repository_is_known_by_any_of_its_urls(url: str) -> None:
    assert _plain_url(url) == "github.com/acme/web"


def test_another_repository_is_not_taken_for_it() -> None:
    assert _plain_url("https://github.com/acme/web-two") != _plain_url("https://github.com/acme/web")


def test_a_branch_is_resolved_once_however_many_images_come_from_it(world: World) -> None:
    names = [f"service-{number}" for number in range(12)]
    for name in names:
        world.service(name, "FROM node:22\n")
    enrollments = {name: Enrollment.model_validate(world.managed(name)) for name in names}
    bench = world.bench()
    source = bench.plugins.sources["git"]
    resolved: list[str] = []
    asked = source.revision

    class Counting:
        name = "git"
        clone_url, read, claims = source.clone_url, source.read, source.claims

        def revision(self, repository: Any, ref: str) -> str:
            resolved.append(ref)
            return asked(repository, ref)

    plugins = replace(bench.plugins, sources={"git": cast("Source", Counting())})
    bench = replace(bench, load=lambda: plugins)

    answers = Dockerfiles(bench).read(enrollments, jobs=4)

    assert resolved == ["main"]
    assert all(isinstance(answer, Fetched) for answer in answers.values())


def test_an_enrollment_s_build_arguments_target_and_platforms_are_the_build_s() -> None:
    source = Enrollment.model_validate(
        {
            "name": "web",
            "registry": "ghcr.io",
            "repository": "acme/web",
            "source": {
                "repo": "acme/web",
                "buildArgs": {"V": "1"},
                "target": "final",
                "platforms": ["linux/aarch64"],
            },
        }
    ).source
    assert source is not None

    options = build_options(source)

    assert (dict(options.build_args), options.target) == ({"V": "1"}, "final")
    assert options.platforms == (Platform("linux", "arm64"),)
