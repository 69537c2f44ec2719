"""A copy of the state that steps may write to."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from image_factory.usecases.analyze import analyze
from image_factory.usecases.rehearsal import joined_changes, rehearsal

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any


def test_what_is_written_to_the_copy_is_read_there_and_nowhere_else(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.enroll("web")
    bench = world.bench()

    with rehearsal(bench) as copy:
        copy.store.apply(analyze(copy).changes)
        assert list(copy.store.images().records) == ["web"]

    assert not (world.root / "state").exists()
    assert list(bench.store.images().records) == []


def test_the_changes_of_several_steps_are_told_once_a_file_under_its_own_path(world: World) -> None:
    world.enroll()
    bench = world.bench()
    path = PurePosixPath("outbox/run-1.yaml")

    with rehearsal(bench) as copy:
        first = copy.store.plan_text(path, "a: 1\n")
        copy.store.apply(first)
        second = copy.store.plan_text(path, "a: 2\n")
        copy.store.apply(second)
        third = copy.store.plan_text(PurePosixPath("outbox/run-2.yaml"), "b: 1\n")
        copy.store.apply(third)
        gone = copy.store.plan_text(PurePosixPath("outbox/run-2.yaml"), None)
        joined = joined_changes([*first, *second, *third, *gone], bench, copy)

    assert [(str(change.path), change.old, change.new) for change in joined] == [
        ("state/outbox/run-1.yaml", None, "a: 2\n")
    ]
