"""A run's own promises: what it says, what it leaves for the next one, and that a stopped one loses nothing.

The whole way, with a provider that builds, is in tests/e2e/test_run.py.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from image_factory.errors import ImageFactoryError, Unavailable
from image_factory.hookspecs import hookimpl
from image_factory.model.event import Event, EventKind
from image_factory.ports import Notifier
from image_factory.shell.store import FileChange, Overtaken, Store
from image_factory.state.layout import outbox_path
from image_factory.state.outbox import Outbox, dump_outbox
from image_factory.testing.clock import START
from image_factory.usecases.outbox import LEASE
from image_factory.usecases.outcome import Done, Failed, Skipped, sentences
from image_factory.usecases.rehearsal import rehearsal
from image_factory.usecases.run import Manner, Step, commit_subject, rehearse, run
from image_factory.usecases.workbench import Workbench

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any


class Listener:
    """A notifier that remembers what it was told, or dies of it."""

    name = "listener"

    def __init__(self) -> None:
        self.told: list[Event] = []
        self.dies = False

    def deliver(self, events: Sequence[Event]) -> None:
        if self.dies:
            raise KeyboardInterrupt
        self.told += events


class ListenerPlugin:
    """Registers a listener."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener

    @hookimpl
    def register_notifiers(self, register: Callable[[Notifier], None]) -> None:
        register(self.listener)


@pytest.fixture
def listener(world: World) -> Listener:
    made = Listener()
    world.plugins = {"listener": ListenerPlugin(made)}
    world.service("web", "FROM node:22\n")
    world.enroll("web")
    world.registry.push_image("library/node", "22", seed="one")
    return made


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)


def moved(world: World) -> None:
    world.registry.push_image("library/node", "22", seed="two")
    world.later(days=2)


def test_the_steps_are_taken_in_order_and_told(world: World, listener: Listener) -> None:
    said: list[str] = []

    ran = run(world.bench(), Manner(said=lambda step: said.append(step.name)))

    assert said == ["analyze", "observe", "settle", "update", "coordinate", "claim"]
    assert [type(outcome) for outcome in ran.steps[0].outcomes] == [Done]
    assert len(ran.commits) == 1


class Failing(Store):
    """A store whose writes fail from the second on, as often as there are errors."""

    errors: list[ImageFactoryError]
    written = 0

    def apply(self, changes: Iterable[FileChange]) -> None:
        if self.written and self.errors:
            raise self.errors.pop()
        self.written += 1
        super().apply(changes)


def failing(bench: Workbench, *errors: ImageFactoryError) -> Workbench:
    store = Failing(bench.root, bench.settings)
    store.errors = list(errors)
    return replace(bench, store=store)


def test_of_an_attempt_that_another_writer_has_overtaken_nothing_is_told(world: World, listener: Listener) -> None:
    said: list[str] = []

    ran = run(failing(world.bench(), Overtaken("changed")), Manner(said=lambda step: said.append(step.name)))

    assert said == ["analyze", "observe", "settle", "update", "coordinate", "claim"]
    assert said == [step.name for step in ran.steps]


def test_what_was_done_before_a_run_was_stopped_is_told(world: World, listener: Listener) -> None:
    said: list[str] = []

    with pytest.raises(Unavailable):
        run(failing(world.bench(), Unavailable("locked")), Manner(said=lambda step: said.append(step.name)))

    assert said == ["analyze"]


def test_what_is_kept_here_is_told_after_the_steps_that_learned_it(world: World, listener: Listener) -> None:
    git(world.checkout, "remote", "add", "origin", str(world.checkout / "nowhere.git"))
    said: list[str] = []

    with pytest.raises(ImageFactoryError):
        run(
            world.bench(),
            Manner(push=True, said=lambda step: said.append(step.name), unpushed=lambda made: said.append("kept")),
        )

    assert said == ["analyze", "observe", "settle", "update", "coordinate", "claim", "kept"]


def test_a_base_found_by_a_run_is_asked_for_by_the_same_run(world: World, listener: Listener) -> None:
    run(world.bench())

    assert "currentDigest: sha256:" in world.state("base-images/node-22.yaml")


def test_notices_are_told_once_and_the_outbox_is_empty_after(world: World, listener: Listener) -> None:
    run(world.bench())
    moved(world)

    ran = run(world.bench())

    assert [event.kind for event in listener.told] == [EventKind.BASE_MOVED]
    assert len(ran.commits) == 2
    assert list((world.root / "state" / "outbox").glob("*")) == []
    world.later(days=2)
    assert run(world.bench()).commits == ()
    assert len(listener.told) == 1


def test_a_run_that_is_stopped_while_it_tells_is_finished_by_a_later_one(world: World, listener: Listener) -> None:
    run(world.bench())
    moved(world)
    listener.dies = True
    with pytest.raises(KeyboardInterrupt):
        run(world.bench())
    listener.dies = False

    run(world.bench())
    assert listener.told == [], "the stopped run might still be at it"
    world.now += LEASE + timedelta(seconds=1)
    run(world.bench())

    assert [event.kind for event in listener.told] == [EventKind.BASE_MOVED]
    world.later(days=2)
    run(world.bench())
    assert len(listener.told) == 1


def test_an_outbox_that_nobody_can_read_stops_nothing(world: World, listener: Listener) -> None:
    (world.root / "state" / "outbox").mkdir(parents=True)
    (world.root / "state" / "outbox" / "run-1.yaml").write_text("by: [")

    assert run(world.bench()).commits


def test_without_notifiers_nothing_is_kept_for_them(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.enroll("web")
    world.registry.push_image("library/node", "22", seed="one")
    run(world.bench())
    moved(world)

    assert len(run(world.bench()).commits) == 1


def test_told_not_to_tell_it_leaves_the_notices_of_others_alone(world: World, listener: Listener) -> None:
    bench = world.bench()
    event = Event(EventKind.TAG_VANISHED, START, "node-22", "It is gone.")
    left = Outbox("run-0", START - timedelta(days=1), (event,))
    bench.store.apply(bench.store.plan_text(outbox_path("run-0"), dump_outbox(left)))

    run(world.bench(), Manner(notify=False))

    assert listener.told == []
    assert (world.root / "state" / "outbox" / "run-0.yaml").exists()


def test_a_rehearsal_takes_the_steps_and_writes_nothing(world: World, listener: Listener) -> None:
    bench = world.bench()

    with rehearsal(bench) as copy:
        ran = rehearse(copy)

    assert [step.name for step in ran.steps] == ["analyze", "observe", "settle", "coordinate"]
    assert {change.path.name for change in ran.changes} == {"web.yaml", "node-22.yaml"}
    assert not (world.root / "state").exists()
    assert listener.told == []


def test_a_commit_names_what_changed_and_what_failed() -> None:
    outcomes = (Done("web", ("a", "b")), Failed("api", ImageFactoryError("no")), Skipped("db", "same"))

    assert sentences(outcomes) == ["web: a, b", "api: failed"]
    assert Step("observe", outcomes).outcomes == outcomes


@pytest.mark.parametrize(
    ("steps", "subject"),
    [
        pytest.param(
            [Step("observe", (Done("node-22"),)), Step("settle", ())], "Run: observe 1", id="what was learned"
        ),
        pytest.param([Step("coordinate", (Skipped("web", ""),), (), True)], "Run: coordinate", id="what was written"),
        pytest.param(
            [Step("coordinate", (Done("web"), Done("api")), (), True), Step("claim", (), (), True)],
            "Run: coordinate 2, claim",
            id="both",
        ),
        pytest.param([Step("observe", ()), Step("settle", ())], "Run: finish what was begun", id="an earlier run's"),
    ],
)
def test_a_commit_s_first_line_names_the_steps_that_learned_or_wrote(steps: list[Step], subject: str) -> None:
    assert commit_subject(steps) == subject
