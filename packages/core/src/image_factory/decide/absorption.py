"""Decide which bases are in an image, and which digest of each it was last built with. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from image_factory.decide.settlement import BASE_DIGEST_LABEL
from image_factory.model.image_state import BaseState, Build, ImageState

SUCCEEDED = "succeeded"
"""The result of a build that took its causes in."""


def built_in(image: ImageState) -> tuple[str, ...]:
    """Return the names of what the built target of `image` is made from, sorted.

    A stage that the target does not reach is not built, so its base moving changes nothing; a record
    without sites, from before they were kept, counts all that it names.
    """
    configuration = image.configuration
    named = {*configuration.base_images, *configuration.secondary_images}
    known = {site.name for site in configuration.references}
    reached = {site.name for site in configuration.references if site.reachable}
    return tuple(sorted(name for name in named if name in reached or name not in known))


def absorbed_digest(image: ImageState, base: BaseState | ImageState) -> str | None:
    """Return the digest of `base` that `image` holds, or None where state cannot tell.

    What the image itself says of its base is believed first, by the label `org.opencontainers.image.base.digest`.
    A rebuild's record says it by its causes, under the name that the base had then: one that becomes a
    managed image, or was one, has another now. A rebuild for other causes was told to keep what the image
    held. A build that was not ours took what the base pointed at then. Else, where no build is known, it
    is our first sight of the base: an image is taken to be current when it is enrolled.
    """
    told = _labelled(image, base)
    if told is not None:
        return told
    others = _others(image)
    for build in reversed(image.history.rebuild_history):
        if build.result != SUCCEEDED:
            continue
        if others and others[-1] > _ended(build):
            break
        for cause in build.causes:
            if isinstance(cause.get("to"), str) and _is_about(cause, image, base):
                return str(cause["to"])
        # It was told what the image held when it was requested; what others built since is not in it.
        others = [at for at in others if at <= build.at]
    updates = base.history.update_history
    if not updates:
        return base.runtime.current_digest
    if others:
        before = [update for update in updates if update.at <= others[-1]]
        if before:
            return before[-1].new_digest
    first = updates[0]
    if first.old_digest is None and isinstance(base, ImageState) and _is_rebuilt(base, first.new_digest):
        # The first digest that we know of is one that we built: what there was before, the image was built on.
        return None
    return first.new_digest if first.old_digest is None else first.old_digest


def _labelled(image: ImageState, base: BaseState | ImageState) -> str | None:
    """Return the digest of `base` that the image's label names, or None where it names none that the base had.

    The label is about the one image that the last stage is built on. Builders name the index, or one platform of it.
    """
    labels = (image.runtime.metadata or {}).get("labels")
    told = labels.get(BASE_DIGEST_LABEL) if isinstance(labels, Mapping) else None
    finals = {site.name for site in image.configuration.references if site.role == "final"}
    if told is None or base.name not in finals:
        return None
    for update in reversed(base.history.update_history):
        if told == update.new_digest or told in (update.platforms or {}).values():
            return update.new_digest
        if told == update.old_digest:
            return update.old_digest
    return None


def _is_about(cause: Mapping[str, Any], image: ImageState, base: BaseState | ImageState) -> bool:
    if cause.get("base") == base.name:
        return True
    configuration = image.configuration
    if cause.get("base") in {*configuration.base_images, *configuration.secondary_images}:
        return False
    return any(cause["to"] in (update.new_digest, update.old_digest) for update in base.history.update_history)


def _is_rebuilt(image: ImageState, digest: str) -> bool:
    return any(build.digest == digest and build.result == SUCCEEDED for build in image.history.rebuild_history)


def _others(image: ImageState) -> list[datetime]:
    """Return when the image was built by others than us, oldest first: by its owner's CI, for changes of its own."""
    built_at, current = image.runtime.last_built, image.runtime.current_digest
    ours = [build for build in image.history.rebuild_history if build.result == SUCCEEDED]
    # One that published on another base than it was told has failed, and its digest is ours all the same.
    digests = {build.digest for build in image.history.rebuild_history if build.digest is not None}
    found = [
        update.at
        for update in image.history.update_history
        if update.source == "build" and update.new_digest not in digests
    ]
    # A rebuild of ours moves `lastBuilt` too, when it is settled: only its digest tells whose the last build was.
    is_after = not ours or (current is not None and _ended(ours[-1]) < (built_at or _NEVER))
    is_other = current not in digests and is_after
    return sorted([*found, built_at] if built_at is not None and is_other else found)


def _ended(build: Build) -> datetime:
    return build.finished_at or build.at


_NEVER = datetime.min.replace(tzinfo=UTC)
