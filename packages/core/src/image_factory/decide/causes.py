"""Decide what each image that an image is built on means for it. Pure.

The one place where moves, holds, platforms, delay and what was taken in before meet; `status` shows what
the plan decides by.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from image_factory.decide.absorption import absorbed_digest, built_in
from image_factory.decide.eligibility import (
    Eligibility,
    Move,
    Reason,
    age_moves,
    decide_moves,
    pending_updates,
)
from image_factory.decide.parents import age_builds, own_moves
from image_factory.decide.platforms import built_platforms, platform_key, platforms_of, update_key
from image_factory.model.enrollment import DelayMode, Enrollment, Kind
from image_factory.model.image_state import BaseState, DigestUpdate, ImageState
from image_factory.model.request import RebuildCause


@dataclass(frozen=True, slots=True)
class Cause:
    """What one base means for one image."""

    base: str
    """Its state name, or that of the managed image where it is one of ours."""
    eligibility: Eligibility
    absorbed: str | None
    current: str | None
    is_managed: bool = False
    """Whether it is one of ours."""
    upcoming: tuple[datetime, ...] = ()
    """When further digests of it become eligible, as far as that is known."""

    @property
    def is_due(self) -> bool:
        """Whether a digest of it may be taken in now."""
        return self.eligibility.reason in (Reason.DUE, Reason.NEEDS_APPROVAL)

    @property
    def request(self) -> RebuildCause | None:
        """What a request says of it, where there is something to take in."""
        found = self.eligibility
        if found.digest is None:
            return None
        return RebuildCause(base=self.base, from_digest=self.absorbed, to=found.digest, seen_at=found.seen_at)


def find_causes(
    image: ImageState,
    enrollment: Enrollment,
    *,
    bases: Mapping[str, BaseState],
    images: Mapping[str, ImageState],
    now: datetime,
    delay: timedelta | None = None,
    held: Mapping[str, datetime | None] | None = None,
) -> tuple[Cause, ...]:
    """Return what each known image that the built target of `image` is made from means for it, by name.

    Args:
        enrollment: what images.yaml says of it now.
        delay: its group's, where that is longer than its own.
        held: until when each digest is held; None where only a person ends it.
    """
    delay = enrollment.rebuild_delay if delay is None else delay
    causes = []
    for name in built_in(image):
        source = input_named(name, bases, images)
        if source is None:
            continue
        absorbed = absorbed_digest(image, source)
        if isinstance(source, ImageState):
            moves = age_builds(source, _own_pending(source, absorbed), delay, now)
            is_other = False
        else:
            moves, is_other = _base_moves(image, source, enrollment, absorbed, delay, now)
        found = decide_moves(
            moves, mode=enrollment.delay_mode, now=now, held=held, auto_rebuild=enrollment.auto_rebuild
        )
        if is_other:
            found = Eligibility(Reason.OTHER_PLATFORM, None, None, None)
        upcoming = _upcoming(moves, enrollment.delay_mode, now, held or {})
        causes.append(
            Cause(name, found, absorbed, source.runtime.current_digest, isinstance(source, ImageState), upcoming)
        )
    return tuple(causes)


def input_named(
    name: str, bases: Mapping[str, BaseState], images: Mapping[str, ImageState]
) -> BaseState | ImageState | None:
    """Return the record of what an image is built on: the managed image where it is one of ours, else the base."""
    base = bases.get(name)
    parent = images.get(base.configuration.managed_by or name if base is not None else name)
    if parent is not None and parent.kind is Kind.MANAGED:
        return parent
    return base


def _own_pending(parent: ImageState, absorbed: str | None) -> tuple[DigestUpdate, ...]:
    if absorbed is not None and absorbed == parent.runtime.current_digest:
        return ()
    updates = own_moves(parent)
    return updates if absorbed is None else pending_updates(updates, absorbed)


def _base_moves(
    image: ImageState, base: BaseState, enrollment: Enrollment, absorbed: str | None, delay: timedelta, now: datetime
) -> tuple[tuple[Move, ...], bool]:
    """Return the moves of a base that are not taken in, and whether it moved on other platforms only."""
    chosen = enrollment.source.platforms if enrollment.source is not None else ()
    built = built_platforms(image, base.name, chosen)
    held_key: Hashable = platform_key(platforms_of(base, absorbed), built)
    updates = base.history.update_history
    if held_key is None:
        # What the image holds is not known by platform: every move counts.
        pending = pending_updates(updates, absorbed)
    else:
        pending = pending_updates(updates, absorbed, lambda update: update_key(base, update, built), held_key)
    moved = bool(updates) and absorbed is not None and updates[-1].new_digest != absorbed
    return age_moves(pending, delay, now), moved and not pending


def _upcoming(
    moves: tuple[Move, ...], mode: DelayMode, now: datetime, held: Mapping[str, datetime | None]
) -> tuple[datetime, ...]:
    if mode is DelayMode.FIRST_CHANGE:
        return ()
    ends = (held.get(move.digest, move.eligible_at) for move in moves)
    return tuple(
        sorted({max(at, move.eligible_at) for at, move in zip(ends, moves, strict=True) if at is not None and at > now})
    )
