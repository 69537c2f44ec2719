"""Decide from when a rebuild is due for an image, given how its base moved.

Age counts from when we first saw a digest, never from the image's own `created` field, which its
publisher sets. Pure: the present instant is an argument.
"""

from __future__ import annotations

from collections.abc import Sequence
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


@dataclass(frozen=True, slots=True)
class Eligibility:
    """What one base means for one image."""

    reason: Reason
    digest: str | None
    """The digest that a rebuild takes: one that has aged where it is due, else the one that will age first."""
    seen_at: datetime | None
    eligible_at: datetime | None
    """The instant from which it is due; None where nothing is to be taken in."""


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
        updates: the base's moves, oldest first.
        absorbed: the digest that the image was last built with; None counts every move.
    """
    pending = pending_updates(updates, absorbed)
    if not pending:
        return Eligibility(Reason.UP_TO_DATE, None, None, None)
    first, newest = pending[0], pending[-1]
    eligible_at = first.at + delay
    if now < eligible_at:
        chosen = first if mode is DelayMode.AGED else newest
        return Eligibility(Reason.COOLING_DOWN, chosen.new_digest, chosen.at, eligible_at)
    if mode is DelayMode.AGED:
        aged = [update for update in pending if update.at + delay <= now]
        newest = aged[-1]
        eligible_at = newest.at + delay
    reason = Reason.DUE if auto_rebuild else Reason.NEEDS_APPROVAL
    return Eligibility(reason, newest.new_digest, newest.at, eligible_at)


def pending_updates(updates: Sequence[DigestUpdate], absorbed: str | None) -> tuple[DigestUpdate, ...]:
    """Return the moves after the one that brought `absorbed`, oldest first; none where the base is back at it."""
    ordered = sorted(updates, key=lambda update: update.at)
    if ordered and ordered[-1].new_digest == absorbed:
        return ()
    for position in range(len(ordered) - 1, -1, -1):
        if ordered[position].new_digest == absorbed:
            return tuple(ordered[position + 1 :])
        if ordered[position].old_digest == absorbed:
            return tuple(ordered[position:])
    # The first entry of a history is the first sight of the base: no move, unless nothing is known to be absorbed.
    return tuple(update for update in ordered if update.old_digest is not None or absorbed is not None)
