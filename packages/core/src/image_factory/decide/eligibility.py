"""Decide from when a rebuild is due for an image, given how its base moved.

Age counts from when we first saw a digest, never from the image's own `created` field, which its
publisher sets. Pure: the present instant is an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from image_factory.model.enrollment import DelayMode
from image_factory.model.image_state import DigestUpdate


class Reason(StrEnum):
    """Why a rebuild is due, waits or is not needed; the value is what is shown and stored."""

    UP_TO_DATE = "up-to-date"
    """The base has not moved since the image took it in."""
    COOLING_DOWN = "cooling-down"
    """The base moved, and no digest of it has aged as long as policy says."""
    DUE = "due"
    """A digest of the base that the image lacks has aged long enough."""
    UNKNOWN = "unknown"
    """No base of the image is known, because its Dockerfile was not, or could not be, read."""
    NEEDS_APPROVAL = "needs-approval"
    """It is due, but `autoRebuild: false` leaves the start to a person."""
    COORDINATING = "coordinating"
    """It is due, and its coordination window is still open, so that further causes can join."""
    WAITS_FOR_PARENT = "waits-for-parent"
    """A managed image that it is built on is about to be rebuilt."""
    WAITS_FOR_GROUP = "waits-for-group"
    """An image of its group is not ready, and they are rebuilt together."""
    WAITS_FOR_PLACE = "waits-for-place"
    """As many rebuilds are under way as may be."""
    BACKING_OFF = "backing-off"
    """The last rebuild failed, and the next attempt is not due yet."""
    QUARANTINED = "quarantined"
    """Rebuilds with these inputs failed too often: it is left alone until something changes or a person says so."""
    HELD = "held"
    """A person has stopped it, or every digest that it could take."""
    FROZEN = "frozen"
    """A freeze of the calendar holds for it."""
    OTHER_PLATFORM = "other-platform"
    """The base moved on no platform that is built."""
    REQUESTED = "requested"
    """A rebuild is requested, and not started yet."""
    UNDER_WAY = "under-way"
    """A rebuild was started, and has not ended."""
    EMERGENCY = "emergency"
    """An emergency was ordered: it is rebuilt at once."""
    ORDERED = "ordered"
    """A person asked for it."""
    CYCLE = "cycle"
    """It is built on itself through other images, so that no order to build them in exists."""


class Ending(StrEnum):
    """What ends a reason."""

    NOTHING_WAITS = "nothing waits"
    AT_ONCE = "at once: it is requested"
    AT_AN_INSTANT = "by itself, at an instant that is told"
    BY_ITSELF = "by itself, when what it waits for has ended"
    AT_AN_INSTANT_OR_BY_A_PERSON = "by itself at an instant that is told, or by a person where none is"
    BY_A_PERSON = "by a person"
    BY_A_CHANGE = "by a change of what is wrong"


ENDINGS: Mapping[Reason, Ending] = {
    Reason.UP_TO_DATE: Ending.NOTHING_WAITS,
    Reason.OTHER_PLATFORM: Ending.NOTHING_WAITS,
    Reason.DUE: Ending.AT_ONCE,
    Reason.ORDERED: Ending.AT_ONCE,
    Reason.EMERGENCY: Ending.AT_ONCE,
    Reason.COOLING_DOWN: Ending.AT_AN_INSTANT,
    Reason.COORDINATING: Ending.AT_AN_INSTANT,
    Reason.BACKING_OFF: Ending.AT_AN_INSTANT,
    Reason.FROZEN: Ending.AT_AN_INSTANT,
    Reason.WAITS_FOR_PARENT: Ending.BY_ITSELF,
    Reason.WAITS_FOR_GROUP: Ending.BY_ITSELF,
    Reason.WAITS_FOR_PLACE: Ending.BY_ITSELF,
    Reason.REQUESTED: Ending.BY_ITSELF,
    Reason.UNDER_WAY: Ending.BY_ITSELF,
    Reason.HELD: Ending.AT_AN_INSTANT_OR_BY_A_PERSON,
    Reason.QUARANTINED: Ending.AT_AN_INSTANT_OR_BY_A_PERSON,
    Reason.NEEDS_APPROVAL: Ending.BY_A_PERSON,
    Reason.UNKNOWN: Ending.BY_A_CHANGE,
    Reason.CYCLE: Ending.BY_A_CHANGE,
}
"""How each reason ends; of those that end at an instant a decision tells it."""


@dataclass(frozen=True, slots=True)
class Eligibility:
    """What one base means for one image."""

    reason: Reason
    digest: str | None
    """The digest that a rebuild takes: one that has aged where it is due, else the one that will age first."""
    seen_at: datetime | None
    eligible_at: datetime | None
    """The instant from which it is due; None where nothing is to be taken in, or a person holds it without an end."""
    opens_at: datetime | None = None
    """The first instant at which a digest that is still not taken in became eligible; None where none has."""


@dataclass(frozen=True, slots=True)
class Move:
    """One digest of a base that an image has not taken in, and how it ages."""

    digest: str
    seen_at: datetime
    eligible_at: datetime


def decide_eligibility(
    updates: Sequence[DigestUpdate],
    *,
    absorbed: str | None,
    delay: timedelta,
    mode: DelayMode,
    now: datetime,
    auto_rebuild: bool = True,
) -> Eligibility:
    """Return what a base's moves mean for an image that last took in `absorbed`.

    `aged`: each digest is eligible at its first sight + delay; when one is, the newest that has aged
    is taken, so that a base that moves every day starves nothing. `first-change`: the first digest
    not taken in + delay, then the newest, aged or not.

    Args:
        updates: the base's moves, in the order they were seen.
        absorbed: the digest that the image was last built with; None counts every move.
    """
    pending = pending_updates(updates, absorbed)
    return decide_moves(age_moves(pending, delay, now), mode=mode, now=now, auto_rebuild=auto_rebuild)


def age_moves(pending: Sequence[DigestUpdate], delay: timedelta, now: datetime) -> tuple[Move, ...]:
    """Return pending updates with the instants from which each is eligible.

    A first sight that lies in the future was written while the clock was wrong. It counts as of now until
    the next observation puts it right (`state.merge.record_digest`), so that no digest passes early.
    """
    return tuple(Move(update.new_digest, min(update.at, now), add(min(update.at, now), delay)) for update in pending)


def decide_moves(
    moves: Sequence[Move],
    *,
    mode: DelayMode,
    now: datetime,
    held: Mapping[str, datetime | None] | None = None,
    auto_rebuild: bool = True,
) -> Eligibility:
    """Return what the moves that an image has not taken in mean for it.

    A digest that a person holds is not taken while it is: the next newest that may be is.

    Args:
        moves: in the order they were seen.
        held: until when each digest is held; None where only a person ends it.
    """
    if not moves:
        return Eligibility(Reason.UP_TO_DATE, None, None, None)
    held = held or {}
    reason = Reason.DUE if auto_rebuild else Reason.NEEDS_APPROVAL
    if mode is DelayMode.FIRST_CHANGE:
        return _first_change(moves, reason, now, held)
    free = [(move, _free_at(move, held)) for move in moves]
    ready = [(move, at) for move, at in free if at is not None and at <= now]
    if ready:
        newest = ready[-1][0]
        return Eligibility(reason, newest.digest, newest.seen_at, newest.eligible_at, min(at for _, at in ready))
    ends = [(at, place) for place, (_, at) in enumerate(free) if at is not None]
    is_held = not ends or any(move.eligible_at <= now for move in moves)
    at, place = min(ends, default=(None, 0))
    chosen = moves[place]
    return Eligibility(Reason.HELD if is_held else Reason.COOLING_DOWN, chosen.digest, chosen.seen_at, at)


def _first_change(
    moves: Sequence[Move], reason: Reason, now: datetime, held: Mapping[str, datetime | None]
) -> Eligibility:
    opens_at = min(move.eligible_at for move in moves)
    free = [move for move in moves if move.digest not in held]
    newest = (free or moves)[-1]
    if now < opens_at:
        return Eligibility(Reason.COOLING_DOWN, newest.digest, newest.seen_at, opens_at)
    if free:
        return Eligibility(reason, newest.digest, newest.seen_at, opens_at, opens_at)
    ends = [until for move in moves if (until := held[move.digest]) is not None]
    return Eligibility(Reason.HELD, newest.digest, newest.seen_at, min(ends, default=None))


def _free_at(move: Move, held: Mapping[str, datetime | None]) -> datetime | None:
    """Return from when a digest may be taken: when it has aged, and is not held any more."""
    if move.digest not in held:
        return move.eligible_at
    until = held[move.digest]
    return None if until is None else max(move.eligible_at, until)


def add(at: datetime, delay: timedelta) -> datetime:
    """Return `at` + `delay`, at most the last instant that there is."""
    try:
        return at + delay
    except OverflowError:
        return datetime.max.replace(tzinfo=at.tzinfo)


def pending_updates(
    updates: Sequence[DigestUpdate],
    absorbed: str | None,
    key: Callable[[DigestUpdate], Hashable] | None = None,
    absorbed_key: Hashable = None,
) -> tuple[DigestUpdate, ...]:
    """Return the moves after the one that brought `absorbed`, in their order; none where the base is back at it.

    A base that moves back takes its moves back: what lies between is not pending, and the digest that it
    is back at keeps its first sight.

    Args:
        key: what an update is told apart by; its digest where it is not given.
        absorbed_key: the same of `absorbed`.
    """
    following = list(_after(updates, absorbed))
    stack: list[DigestUpdate] = []
    bottom: Hashable = absorbed if key is None or absorbed_key is None else absorbed_key
    places: dict[Hashable, int] = {} if bottom is None else {bottom: 0}
    keys: list[Hashable] = []
    for update in following:
        this: Hashable = update.new_digest if key is None else key(update)
        place = places.get(this)
        if place is None:
            stack.append(update)
            keys.append(this)
            places[this] = len(stack)
        else:
            for gone in keys[place:]:
                del places[gone]
            del stack[place:], keys[place:]
    return tuple(stack)


def _after(updates: Sequence[DigestUpdate], absorbed: str | None) -> Sequence[DigestUpdate]:
    for position in range(len(updates) - 1, -1, -1):
        if updates[position].new_digest == absorbed:
            return updates[position + 1 :]
        if updates[position].old_digest == absorbed and absorbed is not None:
            return updates[position:]
    # The first entry of a history is the first sight of the base: no move, unless nothing is known to be absorbed.
    return [update for update in updates if update.old_digest is not None or absorbed is not None]
