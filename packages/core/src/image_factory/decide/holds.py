"""Decide what a person has stopped: images, and digests that nothing is built with. Pure.

A hold ends at its `until`, to the second; one without ends when a person takes it back, and only then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from image_factory.decide.eligibility import Reason
from image_factory.decide.wait import Wait, instant
from image_factory.model.hold import Hold


@dataclass(frozen=True, slots=True)
class Holds:
    """The holds of one instant; of several on one thing the one that ends last."""

    images: Mapping[str, Hold]
    digests: Mapping[str, Hold]
    digest_ends: Mapping[str, datetime | None]
    """Until when each digest is held; None where only a person ends it."""

    def image(self, name: str) -> Wait | None:
        """Return what the hold on an image means for it, or None where there is none."""
        hold = self.images.get(name)
        return None if hold is None else Wait(Reason.HELD, _told(hold, "it"), hold.until, (hold.name,))

    def digest(self, digest: str, base: str) -> Wait | None:
        """Return what the hold on a digest of `base` means, or None where there is none."""
        hold = self.digests.get(digest)
        if hold is None:
            return None
        return Wait(Reason.HELD, _told(hold, f"{short(digest)} of {base}"), hold.until, (hold.name,))


def active_holds(holds: Iterable[Hold], now: datetime) -> Holds:
    """Return the holds that have not ended at `now`."""
    images: dict[str, Hold] = {}
    digests: dict[str, Hold] = {}
    for hold in sorted(holds, key=lambda each: each.name):
        if hold.until is not None and hold.until <= now:
            continue
        if hold.image is not None:
            images[hold.image] = _longer(images.get(hold.image), hold)
        if hold.digest is not None:
            digests[hold.digest] = _longer(digests.get(hold.digest), hold)
    return Holds(images, digests, {digest: hold.until for digest, hold in digests.items()})


def short(digest: str) -> str:
    """Return a digest as people compare it: the algorithm and 12 digits."""
    algorithm, colon, digits = digest.partition(":")
    return f"{algorithm}{colon}{digits[:12]}"


def _longer(one: Hold | None, other: Hold) -> Hold:
    if one is None or (one.until is not None and (other.until is None or other.until > one.until)):
        return other
    return one


def _told(hold: Hold, what: str) -> str:
    by = f" by {hold.by}" if hold.by else ""
    until = f" until {instant(hold.until)}" if hold.until is not None else " until a person ends it"
    return f"{what} is held{by}{until}: {hold.reason}"
