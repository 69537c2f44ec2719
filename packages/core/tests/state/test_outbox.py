"""Notices that are still to be told, as a file."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from image_factory.errors import InvalidState, UnsafeValue
from image_factory.model.event import Event, EventKind
from image_factory.state.layout import outbox_path
from image_factory.state.outbox import Outbox, dump_outbox, joined_events, read_outbox

AT = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)
EVENTS = (
    Event(EventKind.BASE_MOVED, AT, "node-22", "node-22 points at another image now.", {"Now": "sha256:1"}),
    Event(EventKind.REBUILD_FAILED, AT, "web", "The rebuild failed: 3.10\n---\n", url="https://ci.example/1"),
)


def test_what_is_written_is_read_back() -> None:
    outbox = Outbox("run-1", AT, EVENTS)

    assert read_outbox(dump_outbox(outbox), "x.yaml") == outbox


def test_the_events_of_several_are_told_together() -> None:
    first, second = (Outbox(f"run-{number}", AT, (event,)) for number, event in enumerate(EVENTS))

    assert joined_events([first, second]) == EVENTS


@pytest.mark.parametrize(
    "text", ["{}", "by: a\nat: soon\nevents: []\n", "by: a\nat: 2026-03-01\nevents: [{kind: x}]\n"]
)
def test_a_file_that_holds_something_else_says_so(text: str) -> None:
    with pytest.raises(InvalidState, match="holds no notices"):
        read_outbox(text, "x.yaml")


def test_a_runs_id_cannot_lead_elsewhere() -> None:
    assert str(outbox_path("run-1")) == "outbox/run-1.yaml"
    with pytest.raises(UnsafeValue):
        outbox_path("../run-1")
