"""Notices that are still to be delivered, as the text of a file. Pure.

`state/outbox/RUN.yaml` is committed with what its events are about and removed once they are told, so
that a run that is killed in between loses no notice. A delivery whose end was not seen is made again:
rather two notices than none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from image_factory.errors import InvalidState, Location
from image_factory.model.event import Event, EventKind
from image_factory.state.own_yaml import parse_mapping
from image_factory.state.yaml_writer import write_mapping


@dataclass(frozen=True, slots=True)
class Outbox:
    """The notices of one run."""

    by: str
    """The run's id."""
    at: datetime
    """When it wrote them; it is given some time to deliver them itself."""
    events: tuple[Event, ...]


def dump_outbox(outbox: Outbox) -> str:
    """Return the text of the file."""
    comment = "# Notices that are to be delivered. Written by run, and removed by it.\n"
    return comment + write_mapping(
        {"by": outbox.by, "at": outbox.at.isoformat(), "events": [_values(event) for event in outbox.events]}
    )


def read_outbox(text: str, source: str) -> Outbox:
    """Return what a file says.

    Args:
        source: the file's name, for errors.

    Raises:
        InvalidState: it holds no outbox.
    """
    data = parse_mapping(text, source)
    try:
        return Outbox(
            str(data["by"]), datetime.fromisoformat(data["at"]), tuple(_event(values) for values in data["events"])
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidState(
            "this file holds no notices", hint="remove it; the next run goes on", location=Location(source)
        ) from error


def _values(event: Event) -> dict[str, Any]:
    values: dict[str, Any] = {
        "kind": event.kind.value,
        "at": event.at.isoformat(),
        "image": event.image,
        "summary": event.summary,
        "facts": dict(event.facts),
        "url": event.url,
    }
    return {key: value for key, value in values.items() if value not in (None, {})}


def _event(values: Any) -> Event:
    return Event(
        EventKind(values["kind"]),
        datetime.fromisoformat(values["at"]),
        str(values["image"]),
        str(values["summary"]),
        {str(key): str(value) for key, value in values.get("facts", {}).items()},
        values.get("url"),
    )


def joined_events(outboxes: Sequence[Outbox]) -> tuple[Event, ...]:
    """Return the events of several outboxes, in their order."""
    return tuple(event for outbox in outboxes for event in outbox.events)
