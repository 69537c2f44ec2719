"""Drop from an image's record what no decision looks at any more, so that long replays stay linear. Pure.

Only for simulations: a record that is written keeps its history.
"""

from __future__ import annotations

from collections.abc import Iterable

from image_factory.decide.absorption import SUCCEEDED, built_in
from image_factory.model.image_state import Build, DigestUpdate, ImageState

TRIM_AFTER = 40
"""Rebuilds that a record may have before it is looked at."""
KEPT = 8
"""The last rebuilds that stay in any case: failures in a row are counted among them."""


def trim(image: ImageState, children: Iterable[ImageState]) -> ImageState:
    """Return `image` with the part of its history that decisions about it, and about what is built on it, go by.

    Args:
        children: all that is built on it; where one was not rebuilt yet, all of its digests stay.
    """
    builds, updates = image.history.rebuild_history, image.history.update_history
    ours = {build.digest for build in builds}
    updates = _needed_updates(updates, ours, [_held(child, image.name) for child in children])
    wanted = {update.new_digest for update in updates}
    missing = set(built_in(image))
    kept: list[Build] = []
    for place, build in enumerate(reversed(builds)):
        names = {str(cause.get("base")) for cause in build.causes} if build.result == SUCCEEDED else set()
        if place < KEPT or names & missing or build.digest in wanted:
            kept.append(build)
        missing -= names
    history = image.history.model_copy(update={"rebuild_history": tuple(reversed(kept)), "update_history": updates})
    return image.model_copy(update={"history": history})


def _held(child: ImageState, parent: str) -> str | None:
    """Return the digest of `parent` that `child` was last rebuilt with, or None where no rebuild tells."""
    for build in reversed(child.history.rebuild_history):
        if build.result == SUCCEEDED:
            for cause in build.causes:
                if cause.get("base") == parent:
                    return str(cause.get("to"))
    return None


def _needed_updates(
    updates: tuple[DigestUpdate, ...], ours: set[str | None], held: list[str | None]
) -> tuple[DigestUpdate, ...]:
    """Return the digests since the oldest that a child holds, and the last one that its owner built."""
    places = {update.new_digest: place for place, update in enumerate(updates)}
    first = len(updates) - 2
    for digest in held:
        if digest not in places:
            return updates
        first = min(first, places[digest])
    others = [place for place, update in enumerate(updates) if update.new_digest not in ours]
    last_other = {others[-1]} if others else set()
    return tuple(update for place, update in enumerate(updates) if place >= first or place in last_other)
