"""Carry emergencies on when builds have ended: their children are let go, and people told that it is over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from image_factory.decide.emergency_progress import decide_emergency_finished, release_children
from image_factory.decide.settlement import decide_rebuild_event, history_entry
from image_factory.model.event import Event
from image_factory.model.image_state import ImageState
from image_factory.model.request import RebuildRequest, RequestStatus
from image_factory.state.merge import record_rebuild
from image_factory.usecases.outcome import Done, Outcome
from image_factory.usecases.workbench import Workbench


@dataclass(frozen=True, slots=True)
class Advanced:
    """What else changes when builds have ended; to be written with their records."""

    requests: tuple[RebuildRequest, ...] = ()
    states: tuple[ImageState, ...] = ()
    """Of the images whose requests are given up."""
    outcomes: tuple[Outcome, ...] = ()
    events: tuple[Event, ...] = ()


def advance_emergencies(
    bench: Workbench, settled: Iterable[RebuildRequest], states: Iterable[ImageState], *, now: datetime
) -> Advanced:
    """Return what becomes of the requests that wait for those that ended.

    Args:
        settled: the requests as they will be written.
        states: the images' records as they will be.
    """
    before = bench.store.requests().records
    after = {**before, **{request.name: request for request in settled}}
    if not any(request.emergency is not None and request.status.is_open for request in before.values()):
        return Advanced()
    images = {**bench.store.images().records, **{state.name: state for state in states}}
    changed = release_children(after, images, now=now)
    if not bench.settings.starts_builds:
        # From now on it can be started, and the time in which that must happen begins.
        changed = tuple(
            one.model_copy(update={"not_before": now}) if one.status.is_open and not one.waits_for else one
            for one in changed
        )
    outcomes: list[Outcome] = []
    recorded: list[ImageState] = []
    events: list[Event] = []
    for request in changed:
        if request.status is RequestStatus.CANCELLED:
            outcomes.append(Done(request.name, (f"request {request.request_id} is cancelled: {request.problem}",)))
            build, state = history_entry(request), images.get(request.name)
            if build is not None and state is not None:
                recorded.append(record_rebuild(state, build))
            events += [event for event in [decide_rebuild_event(request, at=now)] if event is not None]
        elif not request.waits_for:
            outcomes.append(Done(request.name, ("what it is built on is rebuilt: it may be started",)))
    events += decide_emergency_finished(before, {**after, **{request.name: request for request in changed}})
    return Advanced(changed, tuple(recorded), tuple(outcomes), tuple(events))
