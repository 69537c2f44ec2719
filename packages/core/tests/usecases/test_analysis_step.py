"""The analysis of a run: only where something may have changed, and a branch elsewhere once in a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from image_factory.usecases.analysis_memory import Origin
from image_factory.usecases.analysis_step import Answers, analyze_what_changed, source_revisions
from image_factory.usecases.outcome import Done, Failed, Skipped

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any


def step(world: World) -> int:
    """Take the step, and return how many images it looked at."""
    bench = world.bench()
    taken = analyze_what_changed(bench)
    bench.store.apply(taken.changes)
    taken.keep()
    return len(taken.outcomes)


@pytest.fixture
def ready(world: World) -> World:
    world.service("web", "FROM node:22\n")
    world.enroll("web")
    return world


def test_a_new_image_is_analyzed(ready: World) -> None:
    taken = analyze_what_changed(ready.bench())

    assert isinstance(taken.outcomes[0], Done)
    assert taken.changes


def test_nothing_is_read_again_while_nothing_has_changed(ready: World) -> None:
    assert step(ready) == 1
    assert step(ready) == 0


def test_only_what_failed_is_tried_again(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.service("api", "FROM node:${NOPE}\n")
    world.enroll("web", "api")
    step(world)

    taken = analyze_what_changed(world.bench())

    assert [type(outcome) for outcome in taken.outcomes] == [Failed, Skipped]


def test_a_change_of_a_local_repository_is_seen_at_once(ready: World) -> None:
    step(ready)
    ready.service("web", "FROM node:24\n")

    assert step(ready) == 1


class Counting:
    """A source that is asked for a branch, and counts how often."""

    name = "counting"

    def __init__(self) -> None:
        self.asked = 0

    def revision(self, repository: object, ref: str) -> str:
        self.asked += 1
        return f"commit-{self.asked}"


def test_a_branch_elsewhere_is_asked_for_once_an_hour(ready: World) -> None:
    source = Counting()

    def answers() -> Answers:
        bench = ready.bench()
        bench.__dict__["plugins"] = type("Table", (), {"source_named": lambda self, name: source})()
        return Answers(bench, 2)

    origin = Origin("counting", None, "acme/web", "main", "commit-0")
    first = answers()
    assert first([origin]) == ["commit-1"]
    first.keep()

    assert answers()([origin]) == ["commit-0"], "it counts as what it was"
    ready.later(hours=1)
    assert answers()([origin]) == ["commit-2"]


def test_a_branch_that_cannot_be_told_is_none(ready: World) -> None:
    origin = Origin("nobody", None, "acme/web", "main", "commit-0")

    assert source_revisions(ready.bench())([origin]) == [None]
