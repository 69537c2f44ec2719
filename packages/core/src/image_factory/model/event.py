"""What happened, as notifiers tell it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class EventKind(StrEnum):
    """What an event is about; each kind has its template in a notifier."""

    BASE_MOVED = "base-moved"
    TAG_VANISHED = "tag-vanished"
    ANALYSIS_FAILED = "analysis-failed"
    REBUILD_REQUESTED = "rebuild-requested"
    REBUILD_SUCCEEDED = "rebuild-succeeded"
    REBUILD_FAILED = "rebuild-failed"
    CONSUMER_UPDATED = "consumer-updated"
    EMERGENCY_REQUESTED = "emergency-requested"
    EMERGENCY_FINISHED = "emergency-finished"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to one image; plain text, which a notifier escapes for its medium."""

    kind: EventKind
    at: datetime
    image: str
    summary: str
    """One sentence."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Names and values, in the order to show them."""
    url: str | None = None
    """Where to look, such as the build run."""
