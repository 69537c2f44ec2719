"""Decide which digest each reference of a Dockerfile is built with. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from image_factory.decide.causes import Cause
from image_factory.model.image_state import ImageState
from image_factory.model.request import PinnedDigest


def pin_digests(image: ImageState, causes: Iterable[Cause]) -> tuple[PinnedDigest, ...]:
    """Return the digests to build `image` with now, one a reference and role, in the order of the Dockerfile.

    A base with something due gives that digest; any other the one that the image holds, so that nothing
    that has not aged slips in. References with a digest of their own, and those of stages that the target
    does not reach, need none.
    """
    chosen = {}
    for cause in causes:
        digest = cause.eligibility.digest if cause.is_due else cause.absorbed
        chosen[cause.base] = digest if digest is not None else cause.current
    pinned = {}
    for site in image.configuration.references:
        digest = chosen.get(site.name)
        if digest is not None and site.reachable and "@" not in site.reference:
            pinned[site.reference, site.role] = PinnedDigest(reference=site.reference, digest=digest, role=site.role)
    return tuple(pinned.values())
