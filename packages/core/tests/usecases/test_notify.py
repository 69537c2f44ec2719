"""Delivery: a stranger's notifier gets events; failures are retried, told apart, isolated, named, logged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from image_factory.errors import AuthenticationRequired, InvalidSettings, PluginError, RateLimited, Unavailable
from image_factory.hookspecs import hookimpl
from image_factory.model.event import Event, EventKind
from image_factory.plugins import load_plugins
from image_factory.ports import Notifier
from image_factory.testing.clock import START, FixedClock
from image_factory.usecases.analyze import analyze
from image_factory.usecases.notify import Delivery, Patience, notify
from image_factory.usecases.observe import observe
from image_factory.usecases.workbench import Workbench

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any

MOVED = Event(EventKind.BASE_MOVED, START, "node-22", "node-22 points at another image now.")
FAILED = Event(EventKind.ANALYSIS_FAILED, START, "web", "web cannot be read.")
SECRET = "planted-secret-47"


@dataclass(eq=False)
class Toy:
    """A stranger's notifier: keeps what it gets, after raising what it was told to raise."""

    name: str = "toy"
    raising: list[BaseException] = field(default_factory=list)
    batches: list[tuple[Event, ...]] = field(default_factory=list)
    attempts: int = 0

    def deliver(self, events: Sequence[Event]) -> None:
        self.attempts += 1
        if self.raising:
            raise self.raising.pop(0)
        self.batches.append(tuple(events))

    @hookimpl
    def register_notifiers(self, register: Callable[[Notifier], None]) -> None:
        register(self)


def bench_with(world: World, *toys: Toy) -> Workbench:
    world.plugins = {f"plugin-{toy.name}": toy for toy in toys}
    bench: Workbench = world.bench()
    return bench


def slept(bench: Workbench) -> list[timedelta]:
    waits: list[timedelta] = bench.clock.slept  # type: ignore[attr-defined]  # a FixedClock
    return waits


def test_a_notifier_gets_all_events_of_a_run_in_one_batch_the_urgent_first(world: World) -> None:
    toy = Toy()

    deliveries = notify(bench_with(world, toy), [MOVED, FAILED, MOVED])

    assert deliveries == (Delivery("toy", 2, 1),)
    assert toy.batches == [(FAILED, MOVED)]


def test_without_events_no_plugin_is_even_loaded(world: World) -> None:
    def refuse() -> Any:
        raise AssertionError("loaded")

    bench = world.bench()

    assert notify(Workbench(bench.root, bench.settings, bench.store, bench.clock, refuse), []) == ()


def test_without_notifiers_nothing_is_sent(world: World) -> None:
    assert notify(world.bench(), [MOVED]) == ()


def test_what_may_succeed_later_is_tried_again_with_growing_waits(world: World) -> None:
    toy = Toy(raising=[Unavailable("down"), Unavailable("down"), Unavailable("down")])
    bench = bench_with(world, toy)

    (delivery,) = notify(bench, [MOVED], randomness=lambda: 0.0)

    assert (delivery.error, delivery.attempts) == (None, 4)
    assert toy.batches == [(MOVED,)]
    assert slept(bench) == [timedelta(seconds=0.5), timedelta(seconds=1), timedelta(seconds=2)]


def test_nothing_is_tried_again_before_the_time_that_a_service_asks_for(world: World) -> None:
    toy = Toy(raising=[RateLimited("too many", retry_after=timedelta(seconds=17))])
    bench = bench_with(world, toy)

    notify(bench, [MOVED], randomness=lambda: 0.5)

    assert slept(bench) == [timedelta(seconds=17.5)]


def test_a_wait_beyond_the_budget_is_not_begun(world: World) -> None:
    toy = Toy(raising=[RateLimited("too many", retry_after=timedelta(hours=1))])
    bench = bench_with(world, toy)

    (delivery,) = notify(bench, [MOVED])

    assert (delivery.attempts, str(delivery.error)) == (1, "too many")
    assert slept(bench) == []


def test_attempts_end(world: World) -> None:
    toy = Toy(raising=[Unavailable("down")] * 9)

    (delivery,) = notify(bench_with(world, toy), [MOVED], patience=Patience(attempts=3))

    assert (delivery.attempts, str(delivery.error)) == (3, "down")
    assert toy.attempts == 3


@pytest.mark.parametrize("error", [AuthenticationRequired("no"), InvalidSettings("no")], ids=lambda e: type(e).__name__)
def test_what_cannot_succeed_is_not_tried_again(world: World, error: Exception) -> None:
    toy = Toy(raising=[error])

    (delivery,) = notify(bench_with(world, toy), [MOVED])

    assert (delivery.attempts, delivery.error) == (1, error)


@pytest.mark.parametrize(
    "defect", [RuntimeError(f"https://x/{SECRET}"), SystemExit(3), KeyError(SECRET)], ids=lambda e: type(e).__name__
)
def test_a_defect_of_one_plugin_is_named_and_the_others_deliver(
    world: World, defect: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = Toy("bad", raising=[defect]), Toy("good")

    first, second = notify(bench_with(world, bad, good), [MOVED])

    assert isinstance(first.error, PluginError)
    assert "'plugin-bad'" in str(first.error)
    assert SECRET not in f"{first.error} {first.error!r} {caplog.text}"
    assert second == Delivery("good", 1, 1)
    assert good.batches == [(MOVED,)]


def test_a_plugin_that_cannot_register_costs_the_notices_and_nothing_else(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    class Raising:
        @hookimpl
        def register_notifiers(self, register: Callable[[Notifier], None]) -> None:
            raise RuntimeError("boom")

    bench = world.bench()
    http = world.client(bench.settings, FixedClock(START))
    table = load_plugins(bench.settings, http, bench.clock, builtins={"raising": Raising()}, found=(), lazily=True)

    assert notify(Workbench(bench.root, bench.settings, bench.store, bench.clock, lambda: table), [MOVED]) == ()
    assert "plugin 'raising' (from image-factory-core" in caplog.text
    assert "failed in register_notifiers: RuntimeError: boom; the others go on" in caplog.text


def test_a_failure_is_logged_with_notifier_operation_and_hint(world: World, caplog: pytest.LogCaptureFixture) -> None:
    toy = Toy(raising=[AuthenticationRequired("refused", hint="another token")])

    notify(bench_with(world, toy), [MOVED])

    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage() == "notices were not delivered: refused"
    fields = {"op": "notify", "notifier": "toy", "hint": "another token", "events": 1, "attempts": 1}
    assert fields.items() <= vars(record).items()


def test_plugins_that_cannot_be_loaded_stop_no_work(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.plugins = {"broken": type("Broken", (), {"image_factory_api": 99})()}

    assert notify(world.bench(), [MOVED]) == ()
    assert "plugin API 99" in caplog.text


# --- which events a run comes to ------------------------------------------------------------------------


def test_a_run_tells_what_moved_what_vanished_and_what_fails_once_each(world: World) -> None:
    def observed() -> list[tuple[EventKind, str]]:
        bench = world.bench()
        seen = observe(bench)
        bench.store.apply(seen.changes)
        return [(event.kind, event.image) for event in seen.events]

    def analyzed() -> list[tuple[EventKind, str]]:
        bench = world.bench()
        seen = analyze(bench)
        bench.store.apply(seen.changes)
        return [(event.kind, event.image) for event in seen.events]

    world.service("web", "FROM node:22\n")
    world.enroll("web")
    world.registry.push_image("library/node", "22", seed="first")
    assert analyzed() == []
    assert observed() == [], "the first sight is no move"

    world.registry.push_image("library/node", "22", seed="second")
    assert [observed(), observed()] == [[(EventKind.BASE_MOVED, "node-22")], []]

    world.registry.delete("library/node", "22")
    assert [observed(), observed()] == [[(EventKind.TAG_VANISHED, "node-22")], []]

    world.service("web", "RUN true\n")
    assert [analyzed(), analyzed()] == [[(EventKind.ANALYSIS_FAILED, "web")], []]


def test_an_outage_is_no_news(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.enroll(world.managed("web", source={"repo": str(world.services / "nowhere")}))
    world.registry.fail_next(503, times=99)

    bench = world.bench()
    bench.store.apply(analyze(bench).changes)

    assert observe(world.bench()).events == ()
