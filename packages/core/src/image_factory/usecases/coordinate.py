"""Decide which rebuilds are due, and write a request for each: the intent, before anything is started.

Gather: images.yaml, state, requests, holds, policy. Decide: `decide.rebuilds`. Act: one request file
an image that is due. Nothing outside is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from image_factory.decide.eligibility import Reason
from image_factory.decide.rebuilds import Decision, Facts, Policy, RebuildPlan, decide_rebuilds
from image_factory.errors import ImageFactoryError
from image_factory.model.event import Event, EventKind
from image_factory.model.hold import Hold
from image_factory.model.image_state import BaseState, ImageState
from image_factory.model.request import Dispatch, RebuildRequest, RequestStatus
from image_factory.model.settings import Settings
from image_factory.shell.store import FileChange
from image_factory.usecases.outcome import Done, Outcome
from image_factory.usecases.workbench import Workbench


@dataclass(frozen=True, slots=True)
class Coordination:
    """What was decided; nothing is written yet."""

    plan: RebuildPlan
    requests: tuple[RebuildRequest, ...]
    """The new ones."""
    outcomes: tuple[Outcome, ...]
    changes: tuple[FileChange, ...]
    problems: tuple[ImageFactoryError, ...] = ()
    events: tuple[Event, ...] = ()


def coordinate(bench: Workbench, *, by: str | None = None) -> Coordination:
    """Return the plan of this instant, and the requests that it makes.

    Args:
        by: the id of a run that dispatches the requests at once: they are written as its own, so that
            no other run starts them too. None leaves them to whoever dispatches.

    Raises:
        NotFound: there is no images.yaml.
    """
    facts, problems = gather_facts(bench)
    now = bench.clock.now().replace(microsecond=0)
    plan = decide_rebuilds(facts, now=now)
    requests = []
    outcomes: list[Outcome] = []
    events = []
    if plan.due:
        # What starts builds is not imported where nothing is due.
        from image_factory.usecases.trigger import new_request_id
    for decision in plan.due:
        approved = decision.reason is Reason.DUE
        status = RequestStatus.NEEDS_APPROVAL
        if approved:
            status = RequestStatus.REQUESTED if by is None else RequestStatus.DISPATCHING
        request = RebuildRequest(
            name=decision.image,
            request_id=new_request_id(decision.image, now),
            status=status,
            requested_at=now,
            reason=str(decision.reason),
            causes=decision.causes,
            digests=decision.digests,
            inputs=decision.inputs,
            wave=decision.wave,
            priority=decision.priority,
            dispatch=Dispatch(at=now, by=by) if approved and by is not None else None,
        )
        requests.append(request)
        outcomes.append(Done(decision.image, (_sentence(decision, request),)))
        events.append(_event(request))
    changes = bench.store.plan(requests=requests)
    return Coordination(plan, tuple(requests), tuple(outcomes), changes, problems, tuple(events))


def gather_facts(bench: Workbench) -> tuple[Facts, tuple[ImageFactoryError, ...]]:
    """Return all that a plan depends on, and what of it could not be read.

    Raises:
        NotFound: there is no images.yaml.
    """
    file = bench.enrolled()
    images, bases = bench.store.images(), bench.store.bases()
    requests, holds = bench.store.requests(), bench.store.holds()
    facts = Facts(
        images=images.records,
        bases=bases.records,
        enrollments={entry.enrollment.name: entry.enrollment for entry in file.enrollments},
        requests=requests.records,
        holds=(
            *holds.records.values(),
            *unreadable_holds(holds.broken, (*images.records.values(), *bases.records.values())),
        ),
        policy=policy_of(bench.settings),
        unreadable=unreadable_images(requests.broken, holds.broken),
    )
    problems = (*file.problems, *images.problems, *bases.problems, *requests.problems, *holds.problems)
    return facts, problems


def unreadable_images(
    requests: Mapping[str, ImageFactoryError], holds: Mapping[str, ImageFactoryError]
) -> Mapping[str, str]:
    """Return the images whose request or hold cannot be read, and what is said of them: neither is guessed at.

    An image may be under way by a request that cannot be read, and must not be requested again; nor is one
    rebuilt that somebody has stopped.
    """
    told = {name: f"its hold cannot be read: {error.message}" for name, error in holds.items()}
    return told | {name: f"its request cannot be read: {error.message}" for name, error in requests.items()}


def unreadable_holds(
    broken: Mapping[str, ImageFactoryError], records: Iterable[ImageState | BaseState]
) -> tuple[Hold, ...]:
    """Return holds in the place of those of digests that cannot be read: their files' names tell which digests."""
    starts = {name.replace("-", ":", 1): (name, error) for name, error in broken.items() if name.startswith("sha256-")}
    if not starts:
        return ()
    updates = [update for record in records for update in record.history.update_history]
    found = {}
    for update in updates:
        name, error = starts.get(update.new_digest[:_HOLD_NAME], ("", None))
        if error is not None:
            reason = f"its hold cannot be read: {error.message}"
            found[update.new_digest] = Hold(name=name, digest=update.new_digest, reason=reason, at=update.at)
    return tuple(found.values())


def doubtful_holds(broken: Mapping[str, ImageFactoryError], digests: Iterable[str], at: datetime) -> tuple[Hold, ...]:
    """Return holds in the place of those that cannot be read: of images, and of these digests."""
    found = [
        Hold(name=name, image=name, reason=f"its hold cannot be read: {error.message}", at=at)
        for name, error in broken.items()
        if not name.startswith("sha256-")
    ]
    for digest in dict.fromkeys(digests):
        name = digest[:_HOLD_NAME].replace(":", "-", 1)
        if name in broken:
            found.append(
                Hold(name=name, digest=digest, reason=f"its hold cannot be read: {broken[name].message}", at=at)
            )
    return tuple(found)


_HOLD_NAME = len("sha256:") + 12
"""Characters of a digest that its hold's file is named by (`image_factory.model.hold`)."""


def policy_of(settings: Settings) -> Policy:
    """Return what config.yaml says of all rebuilds."""
    return Policy(
        window=settings.coordination_window,
        max_concurrent=settings.max_concurrent_rebuilds,
        retry_delay=settings.retry_delay,
        quarantine_after=settings.quarantine_after,
        freezes=settings.freezes,
        starts_builds=settings.starts_builds,
    )


def _sentence(decision: Decision, request: RebuildRequest) -> str:
    causes = ", ".join(cause.base for cause in decision.causes)
    waits = " and waits for approval" if request.status is RequestStatus.NEEDS_APPROVAL else ""
    return f"rebuild requested ({request.request_id}) for {causes}{waits}"


def _event(request: RebuildRequest) -> Event:
    causes = ", ".join(f"{cause.base} {cause.from_digest or 'unknown'} → {cause.to}" for cause in request.causes)
    return Event(
        EventKind.REBUILD_REQUESTED,
        request.requested_at,
        request.name,
        f"A rebuild of {request.name} is requested.",
        {"Request": request.request_id, "Causes": causes},
    )
