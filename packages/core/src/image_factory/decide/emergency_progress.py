"""Decide how emergencies go on: who need wait no longer, when an order is seen to, when there are too many. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from image_factory.decide.absorption import absorbed_digest
from image_factory.decide.emergencies import in_order, pins_of
from image_factory.decide.orders import Order
from image_factory.model.event import Event, EventKind
from image_factory.model.image_state import ImageState
from image_factory.model.request import RebuildCause, RebuildRequest, RequestStatus

MAX_NAMED = 20
"""Images that a notice names; beyond it says how many more there are."""


def release_children(
    requests: Mapping[str, RebuildRequest], images: Mapping[str, ImageState], *, now: datetime
) -> tuple[RebuildRequest, ...]:
    """Return the waiting requests that change because what they wait for has ended, by name.

    A parent's new digest is taken in. Where a parent's rebuild failed, the request is cancelled, and
    so is what waits for that in turn: it would be built on what the emergency is about.
    """
    current = dict(requests)
    waiting = sorted((one for one in requests.values() if _waits(one)), key=lambda one: (one.wave, one.name))
    is_new = True
    while is_new:
        is_new = False
        for name in [one.name for one in waiting]:
            if _waits(current[name]):
                released = _released(current[name], current, images, now)
                is_new |= released != current[name]
                current[name] = released
    return tuple(current[name] for name in sorted(current) if current[name] != requests[name])


def _waits(request: RebuildRequest) -> bool:
    return request.status is RequestStatus.REQUESTED and bool(request.waits_for)


def _released(
    request: RebuildRequest, requests: Mapping[str, RebuildRequest], images: Mapping[str, ImageState], now: datetime
) -> RebuildRequest:
    image = images.get(request.name)
    for name in request.waits_for:
        parent, built = requests.get(name), images.get(name)
        if parent is not None and parent.status.is_open:
            continue
        if parent is not None and parent.status is not RequestStatus.SUCCEEDED:
            problem = f"{name}, which it is built on, was not rebuilt: {parent.status}"
            update = {"status": RequestStatus.CANCELLED, "finished_at": now, "problem": problem}
            return request.model_copy(update=update)
        digest = (None if parent is None else parent.digest) or (
            None if built is None else built.runtime.current_digest
        )
        request = request.model_copy(update={"waits_for": tuple(one for one in request.waits_for if one != name)})
        if digest is None or built is None or image is None:
            continue
        seen = max((cause.seen_at for cause in (parent.causes if parent else ()) if cause.seen_at), default=None)
        cause = RebuildCause(base=name, from_digest=absorbed_digest(image, built), to=digest, seen_at=seen)
        update = {
            "causes": (*(one for one in request.causes if one.base != name), cause),
            "digests": in_order(image, (*request.digests, *pins_of(image, built, digest))),
        }
        request = request.model_copy(update=update)
    return request


def decide_emergency_requested(order: Order, requests: Sequence[RebuildRequest], *, audit: str, actor: str) -> Event:
    """Return what people are told of an order that was granted."""
    facts = {
        "Vulnerability": order.cve,
        "Reason": order.reason,
        "Ordered by": actor,
        "Images": _named(one.name for one in requests),
        "Audit": audit,
    }
    many = f"{len(requests)} images are" if len(requests) > 1 else "1 image is"
    return Event(
        EventKind.EMERGENCY_REQUESTED,
        requests[0].requested_at,
        order.base or requests[0].name,
        f"{many} rebuilt at once for {order.cve}.",
        facts,
    )


def decide_emergency_finished(
    before: Mapping[str, RebuildRequest], after: Mapping[str, RebuildRequest]
) -> tuple[Event, ...]:
    """Return what people are told of each order whose last request ended between `before` and `after`, by name each."""
    ended: dict[str, list[RebuildRequest]] = {}
    for request in after.values():
        if request.emergency is not None:
            ended.setdefault(request.emergency.audit, []).append(request)
    were_open = {
        request.emergency.audit
        for request in before.values()
        if request.emergency is not None and request.status.is_open
    }
    events = []
    for audit, requests in sorted(ended.items()):
        if audit in were_open and not any(one.status.is_open for one in requests):
            events.append(_finished(audit, sorted(requests, key=lambda one: (one.priority, one.name))))
    return tuple(events)


def _finished(audit: str, requests: Sequence[RebuildRequest]) -> Event:
    order = requests[0].emergency
    assert order is not None
    done = [one.name for one in requests if one.status is RequestStatus.SUCCEEDED]
    rest = [
        f"{one.name} ({one.status}{f': {one.problem}' if one.problem else ''})"
        for one in requests
        if one.name not in done
    ]
    facts = {
        "Vulnerability": order.cve,
        "Rebuilt": _named(done),
        "Not rebuilt": _named(rest),
        "Ordered by": order.actor,
        "Audit": audit,
    }
    summary = f"The emergency rebuild for {order.cve} has ended: {len(done)} of {len(requests)} images are rebuilt."
    at = max(one.finished_at or one.requested_at for one in requests)
    return Event(
        EventKind.EMERGENCY_FINISHED,
        at,
        requests[0].name,
        summary,
        {name: value for name, value in facts.items() if value},
    )


def _named(names: Iterable[str]) -> str:
    listed = list(names)
    shown = ", ".join(listed[:MAX_NAMED])
    return f"{shown} and {len(listed) - MAX_NAMED} more" if len(listed) > MAX_NAMED else shown
