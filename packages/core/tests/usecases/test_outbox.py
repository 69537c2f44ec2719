"""What is to be told is written down first, left alone while its run may be at it, and removed once it is told."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from image_factory.hookspecs import hookimpl
from image_factory.model.event import Event, EventKind
from image_factory.testing.clock import START
from image_factory.usecases.outbox import LEASE, left_outboxes, new_outbox, plan_outbox, plan_told

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any

EVENT = Event(EventKind.TAG_VANISHED, START, "node-22", "It is gone.")


class Somebody:
    """A notifier."""

    name = "somebody"

    def deliver(self, events: Any) -> None:
        raise AssertionError("nothing here is delivered")

    @hookimpl
    def register_notifiers(self, register: Any) -> None:
        register(self)


@pytest.fixture
def heard(world: World) -> World:
    world.plugins = {"somebody": Somebody()}
    return world


def written(world: World, by: str) -> None:
    bench = world.bench()
    bench.store.apply(plan_outbox(bench, new_outbox(bench, by, [EVENT])))


def test_what_is_written_down_is_removed_once_it_is_told(heard: World) -> None:
    bench = heard.bench()
    outbox = new_outbox(bench, "run-1", [EVENT])
    assert outbox is not None
    bench.store.apply(plan_outbox(bench, outbox))
    assert [path.name for path in (heard.root / "state/outbox").iterdir()] == ["run-1.yaml"]

    bench.store.apply(plan_told(bench, [outbox]))

    assert list((heard.root / "state/outbox").iterdir()) == []


@pytest.mark.parametrize("events", [[], [EVENT]])
def test_without_news_or_without_anybody_to_tell_nothing_is_written(world: World, events: list[Event]) -> None:
    if not events:
        world.plugins = {"somebody": Somebody()}
    bench = world.bench()

    assert new_outbox(bench, "run-1", events) is None
    assert plan_outbox(bench, None) == ()


@pytest.mark.parametrize(
    ("later", "by", "is_left"),
    [
        pytest.param(timedelta(), "run-2", False, id="its run may be at it"),
        pytest.param(LEASE, "run-2", True, id="its time is up"),
        pytest.param(-LEASE, "run-2", True, id="a clock that was set back holds nothing for ever"),
        pytest.param(LEASE, "run-1", False, id="one's own"),
    ],
)
def test_another_run_tells_it_when_its_time_is_up(heard: World, later: timedelta, by: str, is_left: bool) -> None:
    written(heard, "run-1")
    heard.now += later

    assert [outbox.by for outbox in left_outboxes(heard.bench(), by)] == (["run-1"] if is_left else [])


def test_one_that_nobody_can_read_is_left_to_a_person(heard: World) -> None:
    written(heard, "run-1")
    (heard.root / "state/outbox/run-0.yaml").write_text("by: [")
    heard.now += LEASE

    assert [outbox.by for outbox in left_outboxes(heard.bench(), "run-2")] == ["run-1"]
