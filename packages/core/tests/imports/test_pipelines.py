"""Which images workflows and jobs build: names that can be told, and those that cannot."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from image_factory.errors import UserError
from image_factory.imports.pipelines import MAX_COMBINATIONS, BuildStep, Home, read_gitlab, read_workflow

HOME = Home("github.com", "Acme/Web")
ACTION = "docker/build-push-action@v6"


def workflow(*steps: dict[str, Any], on: Any = "push", **job: Any) -> tuple[BuildStep, ...]:
    text = yaml.safe_dump({"on": on, "jobs": {"build": {"steps": list(steps), **job}}})
    return read_workflow(text, "web/.github/workflows/build.yml", ".github/workflows/build.yml", HOME)


def action(**given: Any) -> dict[str, Any]:
    return {"uses": ACTION, "with": {key.replace("_", "-"): value for key, value in given.items()}}


NAMES: dict[str, tuple[Any, list[str]]] = {
    "plain": ("ghcr.io/acme/web:1", ["ghcr.io/acme/web"]),
    "Docker Hub": ("acme/web", ["docker.io/acme/web"]),
    "the repository's own name": ("ghcr.io/${{ github.repository }}:${{ github.sha }}", ["ghcr.io/acme/web"]),
    "the owner": ("ghcr.io/${{github.repository_owner}}/api", ["ghcr.io/acme/api"]),
    "an environment's": ("${{ env.REGISTRY }}/acme/web:1", ["ghcr.io/acme/web"]),
    "an environment's of another's": ("${{ env.IMAGE }}:1", ["ghcr.io/acme/web"]),
    "several lines": ("acme/web:1\nacme/web:2\nghcr.io/acme/web:1\n", ["docker.io/acme/web", "ghcr.io/acme/web"]),
    "commas": ("acme/web:1,acme/web:latest", ["docker.io/acme/web"]),
    "a digest": (f"acme/web@sha256:{'a' * 64}", ["docker.io/acme/web"]),
    "a secret": ("${{ secrets.REGISTRY }}/web:1", []),
    "no image": ("name!", []),
}


@pytest.mark.parametrize("case", NAMES)
def test_an_image_s_name_is_told_from_the_file_and_the_repository(case: str) -> None:
    tags, expected = NAMES[case]

    found = workflow(action(tags=tags), env={"REGISTRY": "ghcr.io", "IMAGE": "${{ env.REGISTRY }}/acme/web"})

    assert [str(image) for step in found for image in step.images] == expected
    assert all(bool(step.unread) is not bool(step.images) for step in found)


def test_a_name_that_cannot_be_told_is_kept_for_the_question() -> None:
    (step,) = workflow(action(tags="${{ secrets.REGISTRY }}/web:1"))

    assert step.unread == ("…/web:1",)
    assert str(step.location) == "web/.github/workflows/build.yml:4"


def test_the_tags_of_a_metadata_action_are_its_images() -> None:
    images = "name=ghcr.io/acme/web,enable=true\nacme/web\n"
    meta = {"id": "meta", "uses": "docker/metadata-action@v5", "with": {"images": images}}

    (step,) = workflow(meta, action(tags="${{ steps.meta.outputs.tags }}"))

    assert [str(image) for image in step.images] == ["ghcr.io/acme/web", "docker.io/acme/web"]


def test_what_the_build_is_told_is_told() -> None:
    (step,) = workflow(
        action(
            tags="acme/web",
            context="./app",
            file="docker/Dockerfile",
            target="run",
            platforms="linux/amd64, linux/arm64",
            build_args="A=1\nTOKEN=${{ secrets.TOKEN }}\nB",
        ),
        on={"workflow_dispatch": None},
    )

    assert (step.dockerfile, step.context, step.target) == ("docker/Dockerfile", "app", "run")
    assert step.platforms == ("linux/amd64", "linux/arm64")
    assert step.build_args == (("A", "1"),)
    assert step.workflow == "build.yml"


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        ("push", None),
        (["push"], None),
        (["push", "workflow_dispatch"], "build.yml"),
        ("workflow_dispatch", "build.yml"),
    ],
)
def test_a_workflow_that_others_may_start_is_named(on: Any, expected: str | None) -> None:
    (step,) = workflow(action(tags="acme/web"), on=on)

    assert step.workflow == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, [("Dockerfile", ".")]),
        ({"context": "api"}, [("api/Dockerfile", "api")]),
        ({"context": "api", "file": "api/Dockerfile.prod"}, [("api/Dockerfile.prod", "api")]),
        ({"context": "https://github.com/acme/web.git"}, [("Dockerfile", ".")]),
        ({"context": "{{defaultContext}}:api"}, [("api/Dockerfile", "api")]),
        ({"context": "../.."}, []),
        ({"file": "/etc/passwd"}, []),
        ({"file": "${{ inputs.file }}"}, []),
    ],
)
def test_the_dockerfile_lies_in_the_repository(given: dict[str, str], expected: list[tuple[str, str]]) -> None:
    found = workflow(action(tags="acme/web", **given))

    assert [(step.dockerfile, step.context) for step in found] == expected


def test_a_matrix_is_one_build_for_each_combination() -> None:
    matrix = {"name": ["web", "api"], "arch": ["a", "b"], "include": [{"name": "api", "folder": "x"}, {"name": "job"}]}

    found = workflow(
        action(tags="acme/${{ matrix.name }}", context="${{ matrix.folder }}"), strategy={"matrix": matrix}
    )

    assert [(str(step.images[0]), step.dockerfile) for step in found] == [
        ("docker.io/acme/web", "Dockerfile"),
        ("docker.io/acme/api", "x/Dockerfile"),
        ("docker.io/acme/job", "Dockerfile"),
    ]


def test_a_matrix_of_mappings_is_told_by_their_keys() -> None:
    matrix = {"image": [{"name": "web", "folder": "a"}, {"name": "api", "folder": "b"}]}

    found = workflow(
        action(tags="acme/${{ matrix.image.name }}", context="${{ matrix.image.folder }}"), strategy={"matrix": matrix}
    )

    assert [step.dockerfile for step in found] == ["a/Dockerfile", "b/Dockerfile"]


def test_a_matrix_without_end_is_cut() -> None:
    matrix = {str(number): list(map(str, range(40))) for number in range(10)}

    found = workflow(action(tags="acme/web${{ matrix.9 }}"), strategy={"matrix": matrix})

    assert len(found) == min(40, MAX_COMBINATIONS)


def test_values_that_repeat_each_other_stay_small() -> None:
    bomb = {"A": "$B" * 120, "B": "$C" * 120, "C": "$A" * 120}

    assert workflow({"run": "docker build -t $A" + "$A" * 1000 + " ."}, env=bomb) is not None


def test_a_script_s_builds_are_read_too() -> None:
    run = 'IMAGE=x\ndocker build -t "ghcr.io/${GITHUB_REPOSITORY}:$TAG" -f Dockerfile.prod .'

    (step,) = workflow({"run": run, "working-directory": "apps"})

    assert (str(step.images[0]), step.dockerfile) == ("ghcr.io/acme/web", "apps/Dockerfile.prod")


@pytest.mark.parametrize(
    "text", ["", "[]", "jobs: []", "jobs: {a: 1}", "jobs: {a: {steps: {b: 1}}}", "jobs: {a: {steps: [1]}}"]
)
def test_a_workflow_of_another_shape_has_no_builds(text: str) -> None:
    assert read_workflow(text, "f", "f", HOME) == ()


def test_a_workflow_that_is_no_yaml_is_an_error_with_its_line() -> None:
    with pytest.raises(UserError) as caught:
        read_workflow("jobs:\n  a: [\n", "f", "f", HOME)

    assert str(caught.value.location) == "f:3"


GITLAB = """\
variables: {IMAGE: "$CI_REGISTRY_IMAGE/api", NAMED: {value: job, description: x}}
include: other.yml
build:
  script:
    - docker build -t $CI_REGISTRY_IMAGE:$CI_COMMIT_SHA .
    - [cd api, docker build -t "$IMAGE:1" .]
kaniko:
  variables: {IMAGE: registry.example.com/acme/job}
  script: >
    /kaniko/executor --context "$CI_PROJECT_DIR/job" --dockerfile "$CI_PROJECT_DIR/job/Dockerfile" --destination $IMAGE
"""


def test_the_jobs_of_a_gitlab_are_read() -> None:
    found = read_gitlab(GITLAB, ".gitlab-ci.yml", Home("gitlab.com", "Acme/team/web"))

    assert [(str(step.images[0]), step.dockerfile) for step in found] == [
        ("registry.gitlab.com/acme/team/web", "Dockerfile"),
        ("registry.gitlab.com/acme/team/web/api", "api/Dockerfile"),
        ("registry.example.com/acme/job", "job/Dockerfile"),
    ]
    assert {step.workflow for step in found} == {None}


def test_the_registry_of_another_gitlab_is_not_guessed() -> None:
    found = read_gitlab(GITLAB, ".gitlab-ci.yml", Home("git.example.com", "acme/web"))

    assert [step.unread for step in found] == [("…:…",), ("…/api:1",), ()]
    assert read_gitlab("[]", "f", HOME) == ()
