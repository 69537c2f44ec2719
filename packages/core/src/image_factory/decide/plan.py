"""What a plan is made from, and what it is: facts in, one decision an image out. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from image_factory.decide.eligibility import Reason
from image_factory.model.enrollment import Enrollment
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
    starts_builds: bool = True
    """Whether this program starts what is requested; else Kargo does."""


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
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Images of which a file could not be read that might stop them (a request, a hold), and why: they wait."""


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
    """How many managed images lie between it and what moved."""
    priority: int = 0
    """Its place in the order of all, the first 0."""
    eligible_at: datetime | None = None
    """From when something may be taken in, or was first; None where nothing is to be."""
    inputs: str | None = None
    """What two rebuilds share that have the same causes and the same source."""
    request_id: str | None = None
    """Of the request that is open."""

    @property
    def is_due(self) -> bool:
        """Whether a request is to be written now; one that needs approval is written too, and waits."""
        return self.request_id is None and self.reason in (Reason.DUE, Reason.NEEDS_APPROVAL)


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
