"""From facts to entries, without any file: images, names, ages, groups and what is left to people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.errors import Location
from image_factory.imports.answers import FileKind
from image_factory.imports.pipelines import BuildStep
from image_factory.imports.proposals import (
    Base,
    Enrolled,
    Facts,
    FoundDockerfile,
    FoundMention,
    Origin,
    Proposals,
    propose,
)
from image_factory.imports.renovate import read_renovate
from image_factory.oci.reference import Reference, Repository
from image_factory.state.images_edit import add_entries
from image_factory.state.images_yaml import check_entry, read_images

WEB = Origin("github", "github.com", "acme/web", "main")


def facts(
    *paths: str,
    origin: Origin | None = WEB,
    steps: tuple[BuildStep, ...] = (),
    images: tuple[str, ...] = (),
    text: str = "{}",
) -> Facts:
    config = read_renovate(text, "renovate.json")
    assert config is not None
    dockerfiles = tuple(FoundDockerfile(path, f"web/{path}", (Base("nginx", 1, True),)) for path in paths)
    references = [Reference.parse(image) for image in images]
    mentions = tuple(
        FoundMention("compose.yaml", "web/compose.yaml", line, FileKind.COMPOSE, each, each.repository.familiar)
        for line, each in enumerate(references, 1)
    )
    return Facts("web", origin, config, dockerfiles, steps, mentions)


def step(dockerfile: str, *images: str, context: str = ".") -> BuildStep:
    return BuildStep(Location("build.yml", 7), dockerfile, context, tuple(map(Repository.parse, images)))


def repositories(made: Proposals) -> list[str]:
    return [str(each.image) for each in made.entries]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["Dockerfile"], ["acme/web"]),
        (["build/Dockerfile"], ["acme/web"]),
        (["Dockerfile", "api/Dockerfile"], ["acme/web", "acme/web/api"]),
        (["Dockerfile", "Dockerfile.dev", "job.Dockerfile"], ["acme/web", "acme/web/dev", "acme/web/job"]),
        (["Api/Dockerfile", "b/Containerfile"], ["acme/web/api", "acme/web/b"]),
    ],
)
def test_without_a_pipeline_an_image_has_its_repository_s_path(paths: list[str], expected: list[str]) -> None:
    made = propose([facts(*paths)], Enrolled(), "ghcr.io")

    assert repositories(made) == [f"ghcr.io/{path}" for path in expected]


def test_a_path_that_is_no_image_s_is_a_question() -> None:
    made = propose([facts("Dockerfile", "a b/Dockerfile")], Enrolled(), "ghcr.io")

    assert repositories(made) == ["ghcr.io/acme/web"]
    assert made.rows[-1].outcome == "a question: which image is it?"


def test_one_dockerfile_of_two_builds_is_two_images_and_a_second_push_is_none() -> None:
    steps = (step("Dockerfile", "ghcr.io/acme/a", "docker.io/acme/a"), step("Dockerfile", "ghcr.io/acme/b"))

    made = propose([facts("Dockerfile", steps=steps)], Enrolled())

    assert repositories(made) == ["ghcr.io/acme/a", "ghcr.io/acme/b"]
    assert any("docker.io/acme/a is pushed beside ghcr.io/acme/a" in remark.text for remark in made.remarks)


def test_an_image_of_two_dockerfiles_is_enrolled_once() -> None:
    steps = (step("Dockerfile", "ghcr.io/acme/a"), step("x/Dockerfile", "ghcr.io/acme/a"))

    made = propose([facts("Dockerfile", "x/Dockerfile", steps=steps)], Enrolled())

    assert repositories(made) == ["ghcr.io/acme/a"]
    assert made.rows[-1].outcome == "left out: another Dockerfile builds this image"


def test_the_context_is_written_where_it_is_not_the_dockerfile_s_folder() -> None:
    steps = (step("a/Dockerfile", "r.io/a", context="a"), step("b/Dockerfile", "r.io/b", context="."))

    made = propose([facts("a/Dockerfile", "b/Dockerfile", steps=steps)], Enrolled())

    assert [each.entry["source"] for each in made.entries] == [
        {"repo": "acme/web", "dockerfile": "a/Dockerfile"},
        {"repo": "acme/web", "dockerfile": "b/Dockerfile", "context": "."},
    ]


def test_versions_are_watched_by_a_range_and_other_tags_one_by_one() -> None:
    made = propose(
        [facts(images=("redis:7", "redis:7.2.4", "redis:7.2.5", "redis:v7.4.0", "redis:6", "redis"))], Enrolled()
    )

    assert [dict(each.entry) for each in made.entries] == [
        {"name": "redis-7", "repository": "library/redis", "tag": "7"},
        {"name": "redis", "repository": "library/redis", "constraint": ">=7.2.4"},
        {"name": "redis-6", "repository": "library/redis", "tag": "6"},
        {"name": "redis-latest", "repository": "library/redis", "tag": "latest"},
    ]
    assert [row.outcome for row in made.rows[2:4]] == ["proposed as redis"] * 2


def test_what_is_enrolled_is_left_as_it_is() -> None:
    redis, web = Repository.parse("redis"), Repository.parse("ghcr.io/acme/web")
    enrolled = Enrolled(frozenset({"x"}), frozenset({web}), frozenset({(redis, "7"), (redis, None)}))

    made = propose([facts("Dockerfile", images=("redis:7", "redis:7.9.9", "ghcr.io/acme/web:1"))], enrolled, "ghcr.io")

    assert made.entries == []
    assert [row.outcome for row in made.rows] == ["enrolled already"] * 3


def test_images_of_one_group_have_one_and_those_of_another_repository_another() -> None:
    api = Origin("github", "github.com", "acme/api", "main")
    text = '{"groupName": "Base images"}'
    made = propose([facts("Dockerfile", text=text), facts("Dockerfile", origin=api, text=text)], Enrolled(), "ghcr.io")

    assert [each.entry["group"] for each in made.entries] == ["web-base-images", "api-base-images"]


NAMES = st.from_regex(r"[a-z0-9]{1,8}([._-][a-z0-9]{1,8}){0,2}(/[a-z0-9]{1,70}){0,2}", fullmatch=True)
TAGS = st.sampled_from(["", ":1", ":1.2.3", ":v2.0.0", ":latest", ":a_b", f"@sha256:{'a' * 64}"])


@given(st.lists(st.tuples(NAMES, TAGS), max_size=12), st.lists(NAMES, max_size=6, unique=True))
def test_all_that_is_proposed_is_valid_together(used: list[tuple[str, str]], built: list[str]) -> None:
    paths = [f"d{number}/Dockerfile" for number in range(len(built))]
    steps = tuple(step(path, f"ghcr.io/{image}") for path, image in zip(paths, built, strict=True))
    taken = "- name: redis\n  repository: redis\n  tag: '7'\n"

    made = propose([facts(*paths, steps=steps, images=tuple(map("".join, used)))], Enrolled(frozenset({"redis"})))

    written = [each.entry for each in made.entries]
    assert [check_entry(entry) for entry in written] == [((), ())] * len(written)
    read = read_images(add_entries(taken, written), "images.yaml")
    assert read.problems == ()
    assert len(read.enrollments) == len(written) + 1
