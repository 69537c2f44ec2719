"""Decide how one image stands by itself, before groups, parents and places are looked at. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from image_factory.decide.absorption import built_in
from image_factory.decide.backoff import Failures, backing_off, count_failures, fingerprint
from image_factory.decide.causes import Cause, find_causes
from image_factory.decide.eligibility import Reason
from image_factory.decide.freezes import frozen
from image_factory.decide.holds import Holds, short
from image_factory.decide.plan import Facts
from image_factory.decide.wait import Wait, instant, listed, longest_wait
from image_factory.errors import DependencyCycle
from image_factory.model.duration import format_duration
from image_factory.model.enrollment import DelayMode, Enrollment
from image_factory.model.image_state import DiscoveryStatus, ImageState
from image_factory.model.request import RebuildCause, RebuildRequest, RequestStatus


@dataclass(frozen=True, slots=True)
class Standing:
    """One image by itself."""

    enrollment: Enrollment
    image: ImageState | None
    causes: tuple[Cause, ...] = ()
    """What each image that it is built on means for it."""
    wait: Wait | None = None
    """Why it is not requested now; None where nothing of its own holds it."""
    opens_at: datetime | None = None
    """From when something of it is eligible that it has not taken in."""
    request: RebuildRequest | None = None
    """The one that is open."""
    moves: tuple[RebuildCause, ...] = ()
    """What its open request takes in, else a rebuild now; where nothing is due, what one will."""
    inputs: str | None = None
    """The `fingerprint` of a rebuild now."""

    @property
    def name(self) -> str:
        return self.enrollment.name

    @property
    def is_ready(self) -> bool:
        """Whether it may be requested as soon as its window has closed."""
        return self.wait is None

    @property
    def is_on_its_way(self) -> bool:
        """Whether its request is open and waits for no person."""
        return self.request is not None and self.request.status is not RequestStatus.NEEDS_APPROVAL

    @property
    def has_further_causes(self) -> bool:
        """Whether something is due that its open request does not take in."""
        if self.request is None:
            return False
        taken = {(cause.base, cause.to) for cause in self.request.causes}
        return any((cause.base, cause.eligibility.digest) not in taken for cause in self.causes if cause.is_due)


def stand(
    facts: Facts,
    enrollment: Enrollment,
    *,
    holds: Holds,
    cycle: tuple[str, ...] | None,
    delay: tuple[timedelta, str] | None,
    now: datetime,
) -> Standing:
    """Return how an enrolled managed image stands.

    Args:
        cycle: the path of the cycle that it is in.
        delay: its group's, with the image whose it is.
    """
    name = enrollment.name
    image = facts.images.get(name)
    latest = facts.requests.get(name)
    open_request = latest if latest is not None and latest.status.is_open else None
    causes: tuple[Cause, ...] = ()
    if image is not None:
        causes = find_causes(
            image, enrollment, bases=facts.bases, images=facts.images, now=now,
            delay=None if delay is None else delay[0], held=holds.digest_ends,
        )  # fmt: skip
    due = tuple(cause for cause in causes if cause.is_due)
    opens_at = min((cause.eligibility.opens_at for cause in due if cause.eligibility.opens_at), default=None)
    taken = taken_in(causes)
    moves = tuple(cause.request for cause in taken or causes if cause.request is not None)
    inputs = fingerprint(moves, enrollment.source) if taken else None
    wait: Wait | None
    if open_request is not None:
        wait, moves = _requested(open_request, enrollment, facts), open_request.causes
    elif name in facts.unreadable:
        wait = Wait(Reason.UNKNOWN, facts.unreadable[name])
    elif cycle is not None:
        others = tuple(sorted(set(cycle) - {name}))
        wait = Wait(Reason.CYCLE, DependencyCycle(cycle).message, None, others)
    elif image is None:
        wait = Wait(Reason.UNKNOWN, "it is not analyzed yet")
    elif lost := sorted(set(built_in(image)) - {cause.base for cause in causes}):
        told = f"what it is built with cannot be chosen: of {listed(lost)} there is no state file that can be read"
        wait = Wait(Reason.UNKNOWN, told, None, tuple(lost))
    elif due:
        failures = count_failures(image.history.rebuild_history, latest, moves, inputs or "")
        wait = _held_back(facts, enrollment, causes, failures, holds, now)
    else:
        wait = _not_due(facts, enrollment, image, causes, holds, delay, now)
    return Standing(enrollment, image, causes, wait, opens_at, open_request, moves, inputs)


def _held_back(
    facts: Facts, enrollment: Enrollment, causes: tuple[Cause, ...], failures: Failures, holds: Holds, now: datetime
) -> Wait | None:
    """Return what holds back an image that something is due for; of several things the one that ends last."""
    changes_at = min((at for cause in causes for at in cause.upcoming), default=None)
    failing = backing_off(
        failures,
        retry_delay=facts.policy.retry_delay,
        quarantine_after=facts.policy.quarantine_after,
        now=now,
        changes_at=changes_at,
    )
    pins = (_held_pin(cause, holds) for cause in causes)
    return longest_wait(
        (holds.image(enrollment.name), frozen(enrollment.name, facts.policy.freezes, now), *pins, failing)
    )


def _not_due(
    facts: Facts,
    enrollment: Enrollment,
    image: ImageState,
    causes: tuple[Cause, ...],
    holds: Holds,
    delay: tuple[timedelta, str] | None,
    now: datetime,
) -> Wait:
    """Return what an image waits for that nothing is due for."""
    runtime = image.runtime
    if not causes and (runtime.discovery_error is not None or runtime.discovery_status is DiscoveryStatus.PENDING):
        why = f": {runtime.discovery_error}" if runtime.discovery_error else ""
        return Wait(Reason.UNKNOWN, f"what it is built on is not known{why}")
    held = holds.image(enrollment.name)
    pending = [cause for cause in causes if cause.eligibility.reason in (Reason.COOLING_DOWN, Reason.HELD)]
    if pending:
        first = _first(pending, enrollment, holds, delay)
        return longest_wait((first, held, frozen(enrollment.name, facts.policy.freezes, now))) or first
    moved = [cause.base for cause in causes if cause.eligibility.reason is Reason.OTHER_PLATFORM]
    if moved:
        platforms = enrollment.source.platforms if enrollment.source is not None else ()
        built = f" ({', '.join(platforms)})" if platforms else ""
        return Wait(Reason.OTHER_PLATFORM, f"{listed(moved)} moved on no platform that is built{built}")
    also = f"; {held.because}" if held is not None else ""
    return Wait(Reason.UP_TO_DATE, f"nothing that it is built on has moved{also}")


def taken_in(causes: Sequence[Cause]) -> tuple[Cause, ...]:
    """Return the causes that a rebuild now takes in: what is due, and with it what cannot be left out.

    Of one of our images of which only the newest digest is known, any build takes that.
    """
    if not any(cause.is_due for cause in causes):
        return ()
    return tuple(cause for cause in causes if cause.is_due or cause.absorbed is None)


def _requested(request: RebuildRequest, enrollment: Enrollment, facts: Facts) -> Wait:
    names = (request.request_id,)
    if request.status is RequestStatus.NEEDS_APPROVAL:
        return Wait(Reason.NEEDS_APPROVAL, f"request {request.request_id} waits for a person", None, names)
    if request.status.is_under_way:
        return Wait(Reason.UNDER_WAY, f"request {request.request_id} is {request.status}", None, names)
    told = f"request {request.request_id} is to be dispatched"
    if not facts.policy.starts_builds:
        told = f"request {request.request_id} is to be started by Kargo"
        told += "" if enrollment.auto_rebuild else ", when a person promotes it there: autoRebuild is false"
    return Wait(Reason.REQUESTED, told, request.not_before, names + request.waits_for)


def _held_pin(cause: Cause, holds: Holds) -> Wait | None:
    """Return that a digest is held which the image would be built with although it did not move."""
    digest = cause.absorbed or cause.current
    if cause.is_due or digest is None:
        return None
    wait = holds.digest(digest, cause.base)
    if wait is None:
        return None
    until = min((at for at in (wait.until, cause.eligibility.eligible_at) if at is not None), default=None)
    return Wait(wait.reason, f"{wait.because}, and nothing else of it may be taken yet", until, wait.blocked_by)


def _first(pending: list[Cause], enrollment: Enrollment, holds: Holds, delay: tuple[timedelta, str] | None) -> Wait:
    """Return what the base means whose digest may be taken first."""
    cause = min(pending, key=lambda each: (each.eligibility.eligible_at or _NEVER_ENDS, each.base))
    found = cause.eligibility
    assert found.digest is not None
    assert found.seen_at is not None
    if found.reason is Reason.HELD:
        held = holds.digest(found.digest, cause.base)
        names = tuple(sorted({hold.name for hold in holds.digests.values() if hold.digest == found.digest}))
        told = held.because if held is not None else f"{cause.base} is held"
        return Wait(Reason.HELD, told, found.eligible_at, names)
    length = enrollment.rebuild_delay if delay is None else delay[0]
    is_own = delay is None or delay[1] == enrollment.name
    whose = "" if delay is None or is_own else f" of {delay[1]}, the longest of its group {enrollment.group}"
    how = "" if enrollment.delay_mode is DelayMode.AGED else ", counted from the first change"
    told = (
        f"{cause.base} moved to {short(found.digest)}, first seen {instant(found.seen_at)}: "
        f"the delay is {format_duration(length)}{whose}{how}"
    )
    return Wait(Reason.COOLING_DOWN, told, found.eligible_at)


_NEVER_ENDS = datetime.max.replace(tzinfo=UTC)
