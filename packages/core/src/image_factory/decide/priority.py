"""Decide the order of rebuilds where not all can be at once. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from image_factory.model.enrollment import Criticality

_URGENCY = {Criticality.CRITICAL: 0, Criticality.HIGH: 1, Criticality.NORMAL: 2, Criticality.LOW: 3}
_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Urgency:
    """What an image's place depends on."""

    image: str
    is_emergency: bool
    criticality: Criticality
    depth: int
    """How many managed images it is built on, the longest way up."""
    eligible_since: datetime | None


def order(urgencies: list[Urgency]) -> list[str]:
    """Return the images in their order: emergencies, then the more critical, parents, the longer eligible, by name."""
    return [urgency.image for urgency in sorted(urgencies, key=_place)]


def _place(urgency: Urgency) -> tuple[bool, int, int, datetime, str]:
    since = urgency.eligible_since or _LAST
    return not urgency.is_emergency, _URGENCY[urgency.criticality], urgency.depth, since, urgency.image
