"""Decide what people are told of what a run learned. Pure.

A record before and after a run goes in, an event or nothing comes out: what is no news since the
last run is told to nobody a second time, however often it is met.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from image_factory.model.event import Event, EventKind
from image_factory.model.image_state import BaseState, DiscoveryStatus, ImageState

MAX_NAMED = 10
"""Dependents that an event names; beyond it says how many more there are."""

_URGENCY = (
    EventKind.EMERGENCY_ALARM,
    EventKind.EMERGENCY_REQUESTED,
    EventKind.EMERGENCY_FINISHED,
    EventKind.REBUILD_FAILED,
    EventKind.CONSUMER_FAILED,
    EventKind.ANALYSIS_FAILED,
    EventKind.TAG_VANISHED,
    EventKind.BASE_MOVED,
    EventKind.EXTERNAL_MOVED,
    EventKind.REBUILD_REQUESTED,
    EventKind.REBUILD_SUCCEEDED,
    EventKind.CONSUMER_UPDATED,
)
"""What to show first where a message does not hold everything."""


def decide_base_event(old: BaseState, new: BaseState, dependents: Iterable[str], *, at: datetime) -> Event | None:
    """Return what happened to a base image: its tag moved, or has vanished; None where neither is news.

    Args:
        old: the record before the run.
        new: the record after it.
        dependents: the names of the images that are built on it.
        at: the instant of the observation.
    """
    name, reference = new.name, new.configuration.full_image
    before, now = old.runtime.current_digest, new.runtime.current_digest
    if new.runtime.problem is not None and old.runtime.problem is None:
        facts = {"Reference": reference, "Last digest": now or "", "Built on it": _named(sorted(dependents))}
        return Event(
            EventKind.TAG_VANISHED,
            at,
            name,
            f"{name}: its registry does not know the tag any more; builds that pull it will fail.",
            _known(facts),
        )
    if before is None or now is None or before == now:
        return None
    eligible = new.runtime.rebuild_eligible_at
    waiting = [
        f"{dependent} (may be rebuilt from {eligible[dependent]:%Y-%m-%d %H:%M} UTC)"
        if dependent in eligible
        else dependent
        for dependent in sorted(dependents)
    ]
    facts = {"Reference": reference, "Before": before, "Now": now, "Built on it": _named(waiting)}
    return Event(EventKind.BASE_MOVED, at, name, f"{name} points at another image now.", _known(facts))


def decide_external_event(old: ImageState, new: ImageState, *, at: datetime) -> Event | None:
    """Return what happened to an external image: it moved, or its tag has vanished; None where neither is news."""
    name, reference = new.name, str(new.configuration.enrollment.image)
    before, now = old.runtime, new.runtime
    if now.problem is not None and before.problem is None:
        facts = {"Image": reference, "Last version": now.current_version or "", "Last digest": now.current_digest or ""}
        summary = f"{name}: its registry does not know its tag any more; what pulls it will fail."
        return Event(EventKind.TAG_VANISHED, at, name, summary, _known(facts))
    if before.current_digest is None or now.current_digest in (None, before.current_digest):
        return None
    facts = {
        "Image": reference,
        "Version": now.current_version or "",
        "Version before": before.current_version or "",
        "Before": before.current_digest,
        "Now": now.current_digest or "",
    }
    if facts["Version before"] == facts["Version"]:
        del facts["Version before"]
    return Event(EventKind.EXTERNAL_MOVED, at, name, f"{name} has a new version.", _known(facts))


def decide_analysis_event(old: ImageState | None, new: ImageState, *, at: datetime, hint: str = "") -> Event | None:
    """Return that an image's analysis failed, or None where it did not, or failed like this before."""
    runtime = new.runtime
    if runtime.discovery_status is not DiscoveryStatus.FAILED:
        return None
    known = None if old is None else (old.runtime.discovery_status, old.runtime.discovery_error)
    if known == (DiscoveryStatus.FAILED, runtime.discovery_error):
        return None
    facts = {"Error": runtime.discovery_error or "", "What to do": hint}
    summary = f"{new.name}: the images that it is built on cannot be told."
    return Event(EventKind.ANALYSIS_FAILED, at, new.name, summary, _known(facts))


def decide_batch(events: Iterable[Event]) -> tuple[Event, ...]:
    """Return the events to deliver together: none twice, the most urgent first, then by image."""
    distinct = {
        (event.kind, event.at, event.image, event.summary, tuple(event.facts.items()), event.url): event
        for event in events
    }
    return tuple(sorted(distinct.values(), key=lambda event: (_URGENCY.index(event.kind), event.image, event.at)))


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MAX_NAMED])
    return f"{shown} and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else shown


def _known(facts: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in facts.items() if value}
