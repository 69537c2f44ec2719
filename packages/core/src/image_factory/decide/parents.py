"""Decide how the digests of a managed image age for what is built on it. Pure.

A digest that a rebuild brought is no news of its own: what is new in it are the digests that the rebuild
took in, and those age from when they were first seen. So a cascade waits for the longest delay on the way
down, and not for their sum. A digest that the owner's CI built for changes of its own ages as any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from image_factory.decide.absorption import SUCCEEDED
from image_factory.decide.eligibility import Move, add
from image_factory.model.image_state import Build, DigestUpdate, ImageState, parse_time

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def own_moves(image: ImageState) -> tuple[DigestUpdate, ...]:
    """Return the digests that `image` had, in their order, those of rebuilds included that its updates have lost."""
    updates = image.history.update_history
    known = {update.new_digest for update in updates} | {update.old_digest for update in updates[:1]}
    lost = []
    for build in image.history.rebuild_history:
        if build.result == SUCCEEDED and build.digest is not None and build.digest not in known:
            known.add(build.digest)
            lost.append(
                DigestUpdate(at=build.finished_at or build.at, old_digest=None, new_digest=build.digest, source="build")
            )
    return tuple(sorted([*lost, *updates], key=lambda update: update.at)) if lost else updates


def age_builds(
    parent: ImageState, pending: Sequence[DigestUpdate], delay: timedelta, now: datetime
) -> tuple[Move, ...]:
    """Return pending digests of a managed image with the instants from which each is eligible.

    Each counts with the newest first sight among what it and the pending ones before it took in, since
    it holds all of that. A time that lies in the future, from a clock that was wrong, holds nothing up
    here: the digest is our own, and what it was built with has its own first sight.
    """
    wanted = {update.new_digest for update in pending}
    builds = {
        build.digest: build
        for build in (parent.history.rebuild_history if wanted else ())
        if build.digest in wanted and build.result == SUCCEEDED
    }
    moves = []
    newest = _LONG_AGO
    for update in pending:
        at = update.at if update.at <= now else _LONG_AGO
        seen = _taken_in(builds.get(update.new_digest))
        seen_at = at if seen is None else min(seen, now)
        newest = max(newest, seen_at)
        moves.append(Move(update.new_digest, newest, max(at, add(newest, delay))))
    return tuple(moves)


def _taken_in(build: Build | None) -> datetime | None:
    """Return the newest first sight among a rebuild's causes; None where it had none, or state cannot tell."""
    if build is None or not build.causes:
        return None
    seen = [cause.get("seenAt") for cause in build.causes]
    if not all(isinstance(at, str) for at in seen):
        return None
    try:
        return max(parse_time(str(at)) for at in seen)
    except ValueError:
        return None
