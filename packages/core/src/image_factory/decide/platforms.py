"""Decide whether a base's move touches a platform that is built. Pure.

The index digest is a base's identity, and moves with any of its platforms. Beside it the digest of each
platform is recorded; a move that changes none of those that an image is built on starts nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from functools import lru_cache
from typing import Any

from image_factory.errors import InvalidReference
from image_factory.model.image_state import BaseState, DigestUpdate, ImageState
from image_factory.oci.platform import Platform

Platforms = Mapping[str, Any]
"""A digest by platform."""


def built_platforms(image: ImageState, base: str, chosen: Collection[str]) -> frozenset[str]:
    """Return the platforms of `base` that `image` is built on; empty means all of them.

    Args:
        chosen: `source.platforms`; a stage with a `--platform` of its own is pulled for that one instead.
    """
    if not chosen:
        return frozenset()
    sites = [site for site in image.configuration.references if site.name == base and site.reachable]
    pulled = {platform for site in sites for platform in site.platforms}
    return frozenset(map(_normal, pulled or chosen))


def platforms_of(base: BaseState, digest: str | None) -> Platforms:
    """Return the platforms of a digest that `base` has or had, as far as they are known."""
    for update in reversed(base.history.update_history):
        if update.new_digest == digest and update.platforms:
            return update.platforms
    return _current_platforms(base, digest)


def _current_platforms(base: BaseState, digest: str | None) -> Platforms:
    found = (base.runtime.metadata or {}).get("platforms") if digest == base.runtime.current_digest else None
    return found if isinstance(found, Mapping) else {}


def platform_key(known: Platforms, built: Collection[str]) -> Hashable:
    """Return what two digests share if no platform that is built differs; None where that cannot be told.

    Args:
        built: normalized, as `built_platforms` returns them; empty means all.
    """
    if not known:
        return None
    normal = {_normal(platform): str(digest) for platform, digest in known.items()}
    return tuple(sorted((name, digest) for name, digest in normal.items() if not built or name in built))


def update_key(base: BaseState, update: DigestUpdate, built: Collection[str]) -> Hashable:
    """Return an update's `platform_key`, or its digest where the platforms are not known."""
    known = update.platforms or _current_platforms(base, update.new_digest)
    return platform_key(known, built) or update.new_digest


@lru_cache(maxsize=256)
def _normal(text: str) -> str:
    try:
        return str(Platform.parse(text))
    except InvalidReference:
        return text
