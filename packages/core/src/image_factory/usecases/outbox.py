"""Notices that are written down with what they are about, and removed once they are told.

`plan_outbox` goes into the commit that makes the news known, `plan_told` into the one after the delivery:
who is killed in between leaves them to the next run. A delivery whose end was not seen is made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from image_factory.errors import InvalidState
from image_factory.model.event import Event
from image_factory.shell.store import FileChange
from image_factory.state.layout import OUTBOX, outbox_path
from image_factory.state.outbox import Outbox, dump_outbox, read_outbox
from image_factory.usecases.workbench import Workbench

LEASE = timedelta(minutes=10)
"""How long a run is given to tell its own notices, before another one tells them."""


def new_outbox(bench: Workbench, by: str, events: Iterable[Event]) -> Outbox | None:
    """Return the outbox of the run `by`, or None where there is nothing to tell, or nobody to tell it to."""
    listed = tuple(events)
    return Outbox(by, bench.clock.now(), listed) if listed and bench.plugins.notifiers else None


def plan_outbox(bench: Workbench, outbox: Outbox | None) -> tuple[FileChange, ...]:
    """Return the change that writes an outbox down; none without one."""
    return () if outbox is None else bench.store.plan_text(outbox_path(outbox.by), dump_outbox(outbox))


def left_outboxes(bench: Workbench, by: str) -> tuple[Outbox, ...]:
    """Return what other runs have left to be told, and have had the time to tell."""
    now = bench.clock.now()
    found = []
    for path in bench.store.files(OUTBOX):
        try:
            outbox = read_outbox(bench.store.text(path) or "", str(path))
        except InvalidState:
            continue  # nobody can tell what it says; a person finds it in the folder
        if outbox.by != by and abs(now - outbox.at) >= LEASE:
            found.append(outbox)
    return tuple(found)


def plan_told(bench: Workbench, outboxes: Sequence[Outbox]) -> tuple[FileChange, ...]:
    """Return the changes that remove outboxes whose notices are told."""
    return tuple(change for outbox in outboxes for change in bench.store.plan_text(outbox_path(outbox.by), None))
