"""Decide for every image whether a rebuild is to be requested now, and what it waits for otherwise.

The rules that this joins have a file each beside it. Facts go in, frozen; a plan comes out in which
every enrolled managed image has one decision, with its reason and, where it waits, the instant at
which that ends. Pure: the present instant is an argument.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from image_factory.decide.absorption import absorbed_digest, built_in
from image_factory.decide.eligibility import Reason, decide_eligibility
from image_factory.model.enrollment import Enrollment, Kind
from image_factory.model.hold import Hold
from image_factory.model.image_state import BaseState, ImageState
from image_factory.model.request import PinnedDigest, RebuildCause, RebuildRequest
from image_factory.model.settings import Freeze


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for all images (config.yaml)."""

    window: timedelta = timedelta(minutes=30)
    max_concurrent: int = 10
    retry_delay: timedelta = timedelta(hours=1)
    quarantine_after: int = 3
    freezes: tuple[Freeze, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a plan depends on, but for the time."""

    images: Mapping[str, ImageState]
    bases: Mapping[str, BaseState]
    enrollments: Mapping[str, Enrollment]
    """What images.yaml says now, by name; an image that is not in it is not rebuilt."""
    requests: Mapping[str, RebuildRequest] = field(default_factory=dict)
    holds: Sequence[Hold] = ()
    policy: Policy = Policy()


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to become of one image, and why."""

    image: str
    reason: Reason
    because: str
    """The evidence, in a sentence without a full stop."""
    until: datetime | None = None
    """When the wait ends, where that is known."""
    causes: tuple[RebuildCause, ...] = ()
    """The moves that a rebuild takes in now or, while it waits, will."""
    digests: tuple[PinnedDigest, ...] = ()
    """What it is to be built with, one a reference of the Dockerfile."""
    blocked_by: tuple[str, ...] = ()
    """The images, requests, holds or freezes that it waits for."""
    wave: int = 0
    priority: int = 0
    """Its place in the order of all, the first 0."""

    @property
    def is_due(self) -> bool:
        """Whether a request is to be written now; one that needs approval is written too, and waits."""
        return self.reason in (Reason.DUE, Reason.NEEDS_APPROVAL)


@dataclass(frozen=True, slots=True)
class RebuildPlan:
    """A decision for each enrolled managed image, by name."""

    decisions: Mapping[str, Decision]

    @property
    def due(self) -> tuple[Decision, ...]:
        """Those to request now, in their order."""
        return tuple(sorted((one for one in self.decisions.values() if one.is_due), key=lambda one: one.priority))

    @property
    def next_at(self) -> datetime | None:
        """The first instant at which one of those that wait may go on."""
        return min((one.until for one in self.decisions.values() if one.until and not one.is_due), default=None)


def decide_rebuilds(facts: Facts, *, now: datetime) -> RebuildPlan:
    """Return what is to become of each enrolled managed image at `now`."""
    decisions = {}
    for name, enrollment in sorted(facts.enrollments.items()):
        image = facts.images.get(name)
        if enrollment.kind is Kind.MANAGED and image is not None:
            decisions[name] = _decide(image, enrollment, facts, now)
    return RebuildPlan(decisions)


def _decide(image: ImageState, enrollment: Enrollment, facts: Facts, now: datetime) -> Decision:
    request = facts.requests.get(image.name)
    if request is not None and request.status.is_open:
        reason = Reason.UNDER_WAY if request.status.is_under_way else Reason.REQUESTED
        return Decision(image.name, reason, f"request {request.request_id}", blocked_by=(request.request_id,))
    causes, digests, waits = [], [], []
    for name in built_in(image):
        base = facts.bases.get(name)
        if base is None:
            continue
        absorbed = absorbed_digest(image, base)
        found = decide_eligibility(
            base.history.update_history,
            absorbed=absorbed,
            delay=enrollment.rebuild_delay,
            mode=enrollment.delay_mode,
            now=now,
        )
        if found.reason is Reason.DUE and found.digest is not None:
            causes.append(RebuildCause(base=name, from_digest=absorbed, to=found.digest, seen_at=found.seen_at))
            digests.append(PinnedDigest(reference=base.configuration.full_image, digest=found.digest))
        elif found.reason is Reason.COOLING_DOWN and found.eligible_at is not None:
            waits.append(found.eligible_at)
    if causes:
        reason = Reason.DUE if enrollment.auto_rebuild else Reason.NEEDS_APPROVAL
        return Decision(image.name, reason, "a base has aged", causes=tuple(causes), digests=tuple(digests))
    if waits:
        return Decision(image.name, Reason.COOLING_DOWN, "its bases have not aged", until=min(waits))
    return Decision(image.name, Reason.UP_TO_DATE, "nothing that it is built on has moved")
