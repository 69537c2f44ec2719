"""What happened, as notifiers tell it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class EventKind(StrEnum):
    """What an event is about; each kind has its template in a notifier."""

    BASE_MOVED = "base-moved"
    EXTERNAL_MOVED = "external-moved"
    TAG_VANISHED = "tag-vanished"
    ANALYSIS_FAILED = "analysis-failed"
    REBUILD_REQUESTED = "rebuild-requested"
    REBUILD_SUCCEEDED = "rebuild-succeeded"
    REBUILD_FAILED = "rebuild-failed"
    CONSUMER_UPDATED = "consumer-updated"
    CONSUMER_FAILED = "consumer-failed"
    EMERGENCY_REQUESTED = "emergency-requested"
    EMERGENCY_FINISHED = "emergency-finished"
    EMERGENCY_ALARM = "emergency-alarm"

    @property
    def headline(self) -> str:
        """Two or three words for people, such as `Base image moved`."""
        return _TITLES[self]


_TITLES = {
    EventKind.BASE_MOVED: "Base image moved",
    EventKind.EXTERNAL_MOVED: "External image moved",
    EventKind.TAG_VANISHED: "Tag vanished",
    EventKind.ANALYSIS_FAILED: "Analysis failed",
    EventKind.REBUILD_REQUESTED: "Rebuild requested",
    EventKind.REBUILD_SUCCEEDED: "Rebuild succeeded",
    EventKind.REBUILD_FAILED: "Rebuild failed",
    EventKind.CONSUMER_UPDATED: "Consumer updated",
    EventKind.CONSUMER_FAILED: "Consumer not updated",
    EventKind.EMERGENCY_REQUESTED: "Emergency rebuild requested",
    EventKind.EMERGENCY_FINISHED: "Emergency rebuild finished",
    EventKind.EMERGENCY_ALARM: "Many emergency rebuilds",
}


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


def one_line(text: str) -> str:
    """Return `text` in one line of characters that can be seen, each other character shown as �.

    What an event says may come from a Dockerfile or a registry: no line break of it may begin a
    header of a mail, and no invisible character turn what is written around.
    """
    return "".join(character if character.isprintable() else "�" for character in " ".join(text.split()))


def shorten(text: str, limit: int) -> str:
    """Return `text` with at most `limit` characters (64 or more), saying how many were left out."""
    if len(text) <= limit:
        return text
    kept = limit - 40
    return f"{text[:kept]}… ({len(text) - kept} characters left out)"


def tally(events: Iterable[Event]) -> str:
    """Return how many events of each kind there are: `12 × Base image moved, 1 × Tag vanished`."""
    counts = Counter(event.kind for event in events)
    return ", ".join(f"{counts[kind]} × {kind.headline}" for kind in EventKind if counts[kind])
