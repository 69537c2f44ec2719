"""Decide which bases are in an image, and which digest of each it was last built with. Pure."""

from __future__ import annotations

from image_factory.model.image_state import BaseState, ImageState


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


def absorbed_digest(image: ImageState, base: BaseState) -> str | None:
    """Return the digest of `base` that `image` holds, or None where state cannot tell.

    A rebuild's record says it by its causes. Else it is what the base pointed at when the image was
    last built, or, where that is not known, at our first sight of the base: an image is taken to be
    current when it is enrolled.
    """
    for build in reversed(image.history.rebuild_history):
        if build.result != "succeeded":
            continue
        for cause in build.causes:
            if cause.get("base") == base.name and isinstance(cause.get("to"), str):
                return str(cause["to"])
    updates = sorted(base.history.update_history, key=lambda update: update.at)
    if not updates:
        return base.runtime.current_digest
    built_at = image.runtime.last_built
    if built_at is not None:
        before = [update for update in updates if update.at <= built_at]
        if before:
            return before[-1].new_digest
    first = updates[0]
    return first.new_digest if first.old_digest is None else first.old_digest
