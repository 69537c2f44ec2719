"""The whole job, once: see what moved, decide, start what is due, settle what ended, carry it on, tell.

analyze → observe → settle → update → coordinate → claim, and the commit that makes all of it known;
only then dispatch and notices, and a second commit of what they came to. What is started, pushed or
told is written down first, so that a run that is killed at any instant is finished by the next one:
it finds a build by its request's id, a consumer's change by what its branch holds, and a notice in
the outbox. Each step reads what the one before it wrote, and is a command of its own too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from image_factory.decide.rebuilds import RebuildPlan
from image_factory.errors import ImageFactoryError
from image_factory.model.event import Event
from image_factory.shell.store import FileChange, Overtaken
from image_factory.state.layout import OUTBOX, REQUESTS
from image_factory.usecases.analysis_step import analyze_what_changed
from image_factory.usecases.commit import Batch, Committed, until_settled
from image_factory.usecases.coordinate import coordinate
from image_factory.usecases.observe import observe
from image_factory.usecases.outcome import Done, Outcome, sentences
from image_factory.usecases.run_id import new_run_id
from image_factory.usecases.workbench import Workbench

if TYPE_CHECKING:
    from image_factory.decide.lifecycle import Transition
    from image_factory.model.metric import Sample
    from image_factory.state.outbox import Outbox
    from image_factory.usecases.notify import Delivery

# What most runs have nothing for is imported where it is needed: versions to carry, builds to start or to
# ask after, notices.


@dataclass(frozen=True, slots=True)
class Step:
    """What one step came to."""

    name: str
    outcomes: tuple[Outcome, ...]
    samples: tuple[Sample, ...] = ()
    """What is counted of it."""
    is_written: bool = False
    """Whether it wrote anything, such as a time from when a base is eligible, which is nobody's outcome."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run came to."""

    id: str
    steps: tuple[Step, ...]
    plan: RebuildPlan
    commits: tuple[Committed, ...] = ()
    problems: tuple[ImageFactoryError, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    next_at: datetime | None = None
    """When something is known to be due again."""
    changes: tuple[FileChange, ...] = ()
    """Of a rehearsal: what would be written."""

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """Those of all steps, in order."""
        return tuple(outcome for step in self.steps for outcome in step.outcomes)


@dataclass(frozen=True, slots=True)
class Manner:
    """How a run is made."""

    jobs: int = 8
    commit: bool = True
    push: bool = False
    notify: bool = True
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    unpushed: Callable[[Committed], object] = field(default=lambda committed: None, repr=False)
    said: Callable[[Step], object] = field(default=lambda step: None, repr=False)
    """Told of each step when it counts: when no other writer can undo it any more."""


def run(bench: Workbench, manner: Manner | None = None, *, by: str | None = None) -> Ran:
    """Do all that is due, and return what it came to.

    Args:
        by: the run's id.

    Raises:
        NotFound: there is no images.yaml.
        Overtaken: others changed the same files again and again.
        RemoteError: what was learned could not be pushed; it is kept here, and nothing was started.
    """
    manner = manner or Manner()
    by = by or new_run_id(bench.clock.now())
    learned = until_settled(lambda: _learn(bench, manner, by))
    acted = _act(bench, manner, by, learned)
    steps = (*learned.steps, *acted.steps)
    for keep in learned.keeps:
        keep()
    return Ran(
        by,
        steps,
        learned.plan,
        tuple(made for made in (learned.committed, acted.committed) if made is not None and made.commit),
        learned.problems,
        acted.deliveries,
        min((at for at in (learned.next_at, learned.plan.next_at) if at is not None), default=None),
    )


def rehearse(bench: Workbench, manner: Manner | None = None) -> Ran:
    """Return what a run would do, as far as it can be told without doing it: nothing is started, pushed or told.

    Args:
        bench: works on a copy of the state (`shell.rehearsal`), so that steps can be written there.
    """
    manner = manner or Manner()
    by = new_run_id(bench.clock.now())
    with _Steps(bench, replace(manner, push=False), is_rehearsal=True) as steps:
        learned = _see(bench, manner, steps)
        coordinated = coordinate(bench, by=None)
        steps.take("coordinate", coordinated.outcomes, coordinated.changes, coordinated.events)
    return Ran(
        by,
        tuple(steps.done),
        coordinated.plan,
        problems=(*learned.problems, *coordinated.problems),
        next_at=learned.next_at,
        changes=tuple(steps.changes),
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    problems: tuple[ImageFactoryError, ...]
    next_at: datetime | None
    keeps: tuple[Callable[[], None], ...]


@dataclass(frozen=True, slots=True)
class _Learned:
    steps: tuple[Step, ...]
    plan: RebuildPlan
    committed: Committed | None
    problems: tuple[ImageFactoryError, ...]
    next_at: datetime | None
    keeps: tuple[Callable[[], None], ...]
    is_claimed: bool
    outboxes: tuple[Outbox, ...]


@dataclass(frozen=True, slots=True)
class _Acted:
    steps: tuple[Step, ...] = ()
    committed: Committed | None = None
    deliveries: tuple[Delivery, ...] = ()


class _Steps:
    """What the steps of a phase came to, written as they go, and told of once they count.

    A phase that others overtake is done again: as a context, it tells of none of its steps then, and of
    those that were done where anything else stops it.
    """

    def __init__(self, bench: Workbench, manner: Manner, *, is_rehearsal: bool = False) -> None:
        self.done: list[Step] = []
        self.events: list[Event] = []
        self.changes: list[FileChange] = []
        self._manner = manner
        self._told = 0
        self.batch = Batch(
            bench,
            commit=manner.commit and not is_rehearsal,
            push=manner.push,
            environ=manner.environ,
            unpushed=self._kept,
        )

    def __enter__(self) -> _Steps:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, Overtaken):
            self._tell()

    def _tell(self) -> None:
        new = self.done[self._told :]
        self._told = len(self.done)
        for step in new:
            self._manner.said(step)

    def _kept(self, committed: Committed) -> None:
        self._tell()
        self._manner.unpushed(committed)

    def take(
        self,
        name: str,
        outcomes: Iterable[Outcome],
        changes: Sequence[FileChange],
        events: Iterable[Event] = (),
        samples: Iterable[Sample] = (),
    ) -> None:
        step = Step(name, tuple(outcomes), tuple(samples), bool(changes))
        self.batch.write(changes, sentences(step.outcomes))
        self.changes += changes
        self.events += events
        self.done.append(step)

    @property
    def subject(self) -> str:
        """The first line of a commit about all of them."""
        return commit_subject(self.done)


def commit_subject(steps: Iterable[Step]) -> str:
    """Return the first line of a commit about steps: those that learned or wrote something."""
    told = [f"{step.name} {_count(step) or ''}".rstrip() for step in steps if _count(step) or step.is_written]
    return f"Run: {', '.join(told)}" if told else "Run: finish what was begun"


def _learn(bench: Workbench, manner: Manner, by: str) -> _Learned:
    """Do all that comes before the first commit, and make it."""
    with _Steps(bench, manner) as steps:
        seen = _see(bench, manner, steps)
        if bench.settings.starts_builds:
            _update(bench, steps)  # else Kargo carries versions to consumers, as it starts builds
        coordinated = coordinate(bench, by=by if bench.settings.starts_builds else None)
        steps.take("coordinate", coordinated.outcomes, coordinated.changes, coordinated.events)
        is_claimed = _claim(bench, by, steps)
        outboxes = _outboxes(bench, by, steps) if manner.notify else ()
        committed = steps.batch.commit(steps.subject) if not steps.batch.is_empty else None
    return _Learned(
        tuple(steps.done),
        coordinated.plan,
        committed,
        (*seen.problems, *coordinated.problems),
        seen.next_at,
        seen.keeps,
        is_claimed,
        outboxes,
    )


def _see(bench: Workbench, manner: Manner, steps: _Steps) -> _Seen:
    """Learn what is new outside: Dockerfiles, digests, builds that ended."""
    analysis = analyze_what_changed(bench, jobs=manner.jobs)
    steps.take("analyze", analysis.outcomes, analysis.changes, analysis.events, _counted(analysis.transitions))
    seen = observe(bench, jobs=manner.jobs, due_only=True)
    steps.take("observe", seen.outcomes, seen.changes, seen.events)
    _settle(bench, steps)
    return _Seen(analysis.problems, seen.next_at, (analysis.keep, seen.keep))


def _counted(transitions: Sequence[Transition]) -> Sequence[Sample]:
    if not transitions:
        return ()
    from image_factory.decide.lifecycle import count_transitions

    return count_transitions(transitions)


def _settle(bench: Workbench, steps: _Steps) -> None:
    if not bench.store.files(REQUESTS):
        steps.take("settle", (), ())
        return
    from image_factory.usecases.settle import settle

    settled = settle(bench)
    steps.take("settle", settled.outcomes, settled.changes, settled.events)


def _update(bench: Workbench, steps: _Steps) -> None:
    names_files = any(entry.enrollment.updates for entry in bench.images().enrollments)
    if not names_files and not any(image.runtime.consumers for image in bench.store.images().records.values()):
        steps.take("update", (), ())
        return
    from image_factory.usecases.update import update_consumers

    updated = update_consumers(bench)
    steps.take("update", updated.outcomes, updated.changes, updated.events)


def _claim(bench: Workbench, by: str, steps: _Steps) -> bool:
    """Claim what is to be started; return whether there is any of it."""
    if not bench.store.files(REQUESTS):
        steps.take("claim", (), ())
        return False
    from image_factory.usecases.dispatch import claim

    claimed = claim(bench, by)
    steps.take("claim", claimed.outcomes, claimed.changes, claimed.events)
    return bool(claimed.requests)


def _act(bench: Workbench, manner: Manner, by: str, learned: _Learned) -> _Acted:
    """Start what was claimed and tell what is to be told, both of which stand in the first commit; then record it."""
    if not learned.is_claimed and not learned.outboxes:
        return _Acted()
    from image_factory.state.outbox import joined_events
    from image_factory.usecases.dispatch import dispatch, record
    from image_factory.usecases.notify import notify

    dispatched = dispatch(bench, by) if learned.is_claimed else None
    told = (*joined_events(learned.outboxes), *(dispatched.events if dispatched else ()))
    deliveries = notify(bench, told) if manner.notify else ()

    def write() -> tuple[tuple[Step, ...], Committed | None]:
        with _Steps(bench, manner) as steps:
            if dispatched is not None:
                # Others may have written meanwhile; what was started is started.
                recorded = record(bench, dispatched)
                steps.take("dispatch", recorded.outcomes, recorded.changes)
            if learned.outboxes:
                from image_factory.usecases.outbox import plan_told

                steps.batch.write(plan_told(bench, learned.outboxes))
            subject = steps.subject if dispatched is not None else "Run: notices are told"
            return tuple(steps.done), None if steps.batch.is_empty else steps.batch.commit(subject)

    done, committed = until_settled(write)
    return _Acted(done, committed, deliveries)


def _outboxes(bench: Workbench, by: str, steps: _Steps) -> tuple[Outbox, ...]:
    """Write this run's notices to its outbox; return it with those that other runs have left."""
    left, is_told = bench.store.files(OUTBOX), bool(steps.events and bench.plugins.notifiers)
    if not left and not is_told:
        return ()
    from image_factory.usecases.outbox import left_outboxes, new_outbox, plan_outbox

    found = left_outboxes(bench, by)
    ours = new_outbox(bench, by, steps.events)
    steps.batch.write(plan_outbox(bench, ours))
    return found if ours is None else (*found, ours)


def _count(step: Step) -> int:
    return sum(1 for outcome in step.outcomes if isinstance(outcome, Done))
