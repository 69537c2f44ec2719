"""The memory of an analysis: recalled only while nothing that it was made from has changed."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from image_factory.shell.run_memory import Question, forget, look
from image_factory.usecases.analysis_memory import (
    Covered,
    Origin,
    ask_analysis,
    local_revision,
    local_revisions,
    recall_analysis,
    remember_analysis,
)

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any


COVERED = Covered(("web",), dockerfiles=1)


@pytest.fixture
def origin(world: World) -> Origin:
    world.service("web", "FROM node:22\n")
    world.enroll("web")
    (world.checkout / "Dockerfile").write_text("FROM node:22\n")
    found = Origin("git", None, str(world.services), "main", "")
    return replace(found, commit=local_revision(found) or "")


def question(world: World) -> Question:
    return ask_analysis(world.root, {}, world.checkout)


def keep(world: World, *origins: Origin) -> None:
    inputs = look([world.root / "images.yaml", world.root / "config.yaml", world.checkout / "Dockerfile"])
    remember_analysis(question(world), inputs, [world.root / "state/images"], replace(COVERED, origins=origins))


def recall(world: World) -> Covered | None:
    return recall_analysis(question(world), local_revisions)


def test_what_is_remembered_is_recalled(world: World, origin: Origin) -> None:
    keep(world, origin)

    assert len(origin.commit) == 40
    assert recall(world) == replace(COVERED, origins=(origin,))


def test_nothing_is_recalled_before_anything_is_remembered(world: World, origin: Origin) -> None:
    assert recall(world) is None


def test_what_is_forgotten_is_not_recalled(world: World, origin: Origin) -> None:
    keep(world, origin)

    forget(question(world))

    assert recall(world) is None


@pytest.mark.parametrize("damage", ["{", "[]", '{"format": 2}', "\x00", '{"format": 2, "question": []}'])
def test_a_damaged_memory_is_none(world: World, origin: Origin, damage: str) -> None:
    keep(world, origin)
    question(world).file.write_text(damage)

    assert recall(world) is None


@pytest.mark.parametrize("change", ["commit", "images.yaml", "config.yaml", "read file", "state", "environment"])
def test_a_change_of_what_it_was_made_from_is_seen(world: World, origin: Origin, change: str) -> None:
    keep(world, origin)

    if change == "commit":
        world.service("web", "FROM node:24\n")
    elif change == "images.yaml":
        world.enroll("web", "api")
    elif change == "config.yaml":
        (world.root / "config.yaml").write_text("commit: {push: true}\n")
    elif change == "read file":
        (world.checkout / "Dockerfile").write_text("FROM node:24\n")
    elif change == "state":
        (world.root / "state/images").mkdir(parents=True)
        (world.root / "state/images/web.yaml").write_text("name: web\n")
    else:
        asked = ask_analysis(world.root, {"IMAGE_FACTORY_STATE_DIR": "other"}, world.checkout)
        assert recall_analysis(asked, local_revisions) is None
        return

    assert recall(world) is None


def test_a_change_of_the_same_length_at_the_same_time_is_seen(world: World, origin: Origin) -> None:
    path = world.root / "images.yaml"
    before = path.stat()
    keep(world, origin)

    with path.open("r+") as file:
        file.write("# xxxx"[: min(6, before.st_size)])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert recall(world) is None


def test_a_repository_that_does_not_answer_makes_the_next_run_look(world: World, origin: Origin) -> None:
    keep(world, replace(origin, path=str(world.services / "gone")))

    assert recall(world) is None


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"provider": "github"}, id="another provider"),
        pytest.param({"path": "https://git.example.com/a.git"}, id="a URL"),
        pytest.param({"host": "git.example.com"}, id="a host"),
    ],
)
def test_only_a_local_repository_is_asked_without_its_plugin(origin: Origin, fields: dict[str, str]) -> None:
    assert local_revision(replace(origin, **fields)) is None
