"""Decide what a base image's record says of when each image that is built on it may be rebuilt. Pure.

`rebuildEligibleAt` is for people and programs that read the record; the decisions work it out anew. It
follows from the record and from policy alone, and not from the present instant, so that a run that
learns nothing writes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from image_factory.decide.absorption import absorbed_digest, built_in
from image_factory.decide.eligibility import decide_eligibility
from image_factory.model.enrollment import DelayMode, Enrollment
from image_factory.model.image_state import BaseState, ImageState

DEFAULT = "default"
"""The key of an image with the default policy that was built when the base was first seen."""


def with_eligible_times(base: BaseState, dependents: Iterable[ImageState], unread: Collection[str] = ()) -> BaseState:
    """Return `base` with the times from which its dependents may be rebuilt; the same record where it has them.

    What has nothing to take in has no time.

    Args:
        dependents: the images whose built target is made from it.
        unread: images whose records cannot be read, and of which what is written stays.
    """
    written = base.runtime.rebuild_eligible_at
    found = _eligible_times(base, dependents) | {name: at for name, at in written.items() if name in unread}
    if found == written:
        return base
    return base.model_copy(update={"runtime": base.runtime.model_copy(update={"rebuild_eligible_at": found})})


def dependents_by_base(images: Iterable[ImageState]) -> Mapping[str, list[ImageState]]:
    """Return the images whose built target is made from each base, by the base's name."""
    found: dict[str, list[ImageState]] = {}
    for image in images:
        for name in built_in(image):
            found.setdefault(name, []).append(image)
    return found


def _eligible_times(base: BaseState, dependents: Iterable[ImageState]) -> dict[str, datetime]:
    updates = base.history.update_history
    if not updates or base.configuration.managed_by is not None:
        return {}
    as_of = updates[-1].at
    first = updates[0].old_digest or updates[0].new_digest
    delay = Enrollment.model_fields["rebuild_delay"].get_default()
    times = {
        DEFAULT: decide_eligibility(updates, absorbed=first, delay=delay, mode=DelayMode.AGED, now=as_of).eligible_at
    }
    for image in sorted(dependents, key=lambda image: image.name):
        policy = image.configuration.enrollment
        times[image.name] = decide_eligibility(
            updates,
            absorbed=absorbed_digest(image, base),
            delay=policy.rebuild_delay,
            mode=policy.delay_mode,
            now=as_of,
        ).eligible_at
    return {name: at for name, at in times.items() if at is not None}
