"""Trimming: whatever is dropped from a record, everything is decided as before."""

from __future__ import annotations

from datetime import timedelta

import pytest

from image_factory.decide.replay_trim import trim
from image_factory.model.image_state import ImageState
from image_factory.testing.rebuild_world import RebuildWorld

DAY = timedelta(days=1)


@pytest.fixture
def world() -> RebuildWorld:
    """A parent that was rebuilt sixty times, and a child that takes it in far behind; each on a base of its own too."""
    made = RebuildWorld()
    made.enroll("runtime", ["node", "rare"], delay=DAY)
    made.enroll("page", ["runtime", "nginx"], delay=5 * DAY)
    made.move("rare")
    made.move("nginx")
    for _ in range(60 * 4):
        made.finish_all()
        if made.now.hour == 0:
            made.move("node")
        made.run()
        made.wait(hours=6)
    made.finish_all()
    return made


def trimmed(world: RebuildWorld, name: str) -> ImageState:
    return trim(world.images[name], [world.images["page"]] if name == "runtime" else [])


def test_most_of_a_long_history_is_dropped(world: RebuildWorld) -> None:
    runtime = trimmed(world, "runtime")

    assert len(world.images["runtime"].history.rebuild_history) > 50
    assert len(runtime.history.rebuild_history) < 20
    assert len(runtime.history.update_history) < 20


def test_everything_is_decided_as_before(world: RebuildWorld) -> None:
    for base in ("rare", "nginx", "node"):
        world.move(base)
    before = []
    for _ in range(40):
        before.append(world.plan().decisions)
        world.wait(hours=6)
    world.wait(hours=-6 * 40)
    world.images |= {name: trimmed(world, name) for name in ("page", "runtime")}

    for plan in before:
        assert world.plan().decisions == plan
        world.wait(hours=6)


def test_what_a_child_that_was_never_rebuilt_starts_from_stays(world: RebuildWorld) -> None:
    runtime = world.images["runtime"]
    world.enroll("late", ["runtime"])

    kept = trim(runtime, [world.images["page"], world.images["late"]])

    assert kept.history.update_history == runtime.history.update_history


def test_the_last_build_of_its_owner_stays(world: RebuildWorld) -> None:
    own = world.publish("page")
    for _ in range(4 * 20):
        world.finish_all()
        world.move("nginx")
        world.run()
        world.wait(hours=6)

    assert own in {update.new_digest for update in trimmed(world, "page").history.update_history}
