"""Decide how long an image is left alone after rebuilds that failed, and when it is given up for now. Pure.

What counts is failures in a row with the same inputs: the digests that the causes bring, and the
image's source in images.yaml. A success, other inputs, or a rebuild that a person asked for ends the row.
What a cluster did not start is tried again at the delay's end, and counts for nothing more: its inputs were not tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from image_factory.decide.eligibility import Reason
from image_factory.decide.wait import Wait
from image_factory.model.enrollment import Source
from image_factory.model.image_state import Build
from image_factory.model.request import RebuildCause, RebuildRequest

CANCELLED = "cancelled"
FAILED = frozenset({"failed", "timed-out", CANCELLED})
"""The results of a build that came to nothing."""
BY_POLICY = "policy"
"""Who wanted a rebuild that no person asked for."""
NOT_STARTED = "the cluster did not start it"
"""How the problem of a rebuild begins that Kargo was to start, and of which no build is known."""


@dataclass(frozen=True, slots=True)
class Failures:
    """Failures in a row with the same inputs."""

    count: int
    last_at: datetime | None
    """When the latest of them ended."""
    is_unstarted: bool = False
    """Whether the latest was never started, and says nothing of its inputs."""


def fingerprint(causes: Iterable[RebuildCause], source: Source | None) -> str:
    """Return 16 hexadecimal digits that two rebuilds share if they have the same inputs."""
    moves = sorted(f"{cause.base}={cause.to}" for cause in causes)
    text = "\n".join([*moves, "" if source is None else source.model_dump_json(by_alias=True)])
    return sha256(text.encode()).hexdigest()[:16]


def count_failures(
    builds: Sequence[Build], request: RebuildRequest | None, causes: Sequence[RebuildCause], inputs: str
) -> Failures:
    """Return the row of failures that a rebuild with these causes would continue.

    Args:
        builds: the image's rebuildHistory.
        request: its latest request, which counts where the history does not have it.
        inputs: the rebuild's `fingerprint`.
    """
    attempts = list(builds)
    if request is not None and str(request.status) in FAILED:
        known = {build.request_id for build in builds}
        attempts += [] if request.request_id in known else [_as_build(request)]
    wanted = {(cause.base, cause.to) for cause in causes}
    count, last_at, is_unstarted = 0, None, False
    for build in reversed(attempts):
        if build.result == CANCELLED and build.run_id is None:
            continue  # taken back before it was started: nothing was tried
        if build.result not in FAILED or not _is_same(build, wanted, inputs):
            break
        was_started = not (build.problem or "").startswith(NOT_STARTED)
        count += was_started
        if last_at is None:
            last_at, is_unstarted = build.finished_at or build.at, not was_started
        if build.trigger != BY_POLICY:
            break
    return Failures(count, last_at, is_unstarted)


def backing_off(
    failures: Failures, *, retry_delay: timedelta, quarantine_after: int, now: datetime, changes_at: datetime | None
) -> Wait | None:
    """Return what the failures mean for the next attempt, or None where it may be made.

    Args:
        changes_at: when the inputs will be others, as far as that is known: it ends either wait.
    """
    count, last_at = failures.count, failures.last_at
    if last_at is None:
        return None
    times = "rebuild" if count == 1 else f"{count} rebuilds"
    if count >= quarantine_after:
        told = f"the last {times} with these inputs failed: it waits for other inputs, or for a person to ask for it"
        return Wait(Reason.QUARANTINED, told, changes_at)
    # An end in the future was written while the clock was wrong: waiting for it might take years.
    factor = 1 if failures.is_unstarted else 2 ** (count - 1)
    until = last_at + retry_delay * factor if last_at <= now else now
    if until <= now:
        return None
    if failures.is_unstarted:
        return Wait(Reason.BACKING_OFF, "the cluster did not start the last rebuild", until)
    if changes_at is not None and now < changes_at < until:
        told = f"the last {times} with these inputs failed, and there are others before it is tried again"
        return Wait(Reason.BACKING_OFF, told, changes_at)
    return Wait(Reason.BACKING_OFF, f"the last {times} with these inputs failed", until)


def _is_same(build: Build, wanted: set[tuple[str, str]], inputs: str) -> bool:
    if build.inputs is not None:
        return build.inputs == inputs
    return {(str(cause.get("base")), str(cause.get("to"))) for cause in build.causes} == wanted


def _as_build(request: RebuildRequest) -> Build:
    return Build(
        at=request.requested_at,
        reason=request.reason,
        trigger=request.triggered_by,
        result=str(request.status),
        request_id=request.request_id,
        problem=request.problem,
        run_id=request.dispatch.run_id if request.dispatch is not None else None,
        finished_at=request.finished_at,
        causes=tuple(cause.model_dump(mode="json", by_alias=True, exclude_none=True) for cause in request.causes),
        inputs=request.inputs,
    )
