"""Decide how long a child waits for the images that it is built on, and in which wave it is. Pure.

A child whose window has closed waits for every parent, near or far, that is on its way to a new digest: due,
in its window, requested or being built. It does not wait for one that is held, frozen, quarantined, backing
off, waiting for a person, or only cooling down. Nor does it wait for ever for one that is always on its way:
what a parent begins after the child's window has closed, once it has brought a new digest since, is for the
next wave.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from image_factory.decide.eligibility import Reason
from image_factory.decide.wait import Wait, listed
from image_factory.model.image_state import ImageState
from image_factory.model.request import RebuildCause

NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Stir:
    """What is on its way above an image: the earliest of all, for each of the two questions."""

    opened_at: datetime
    """The first opening of a window among the images that are on their way."""
    built_at: datetime
    """The time of the last new digest of the one among them that has had none for the longest."""
    by: tuple[str, ...]
    """The nearest of them."""

    def holds(self, closes_at: datetime | None) -> bool:
        """Whether a child waits whose window closes then; one with nothing to take in waits for all."""
        return closes_at is None or self.opened_at <= closes_at or self.built_at <= closes_at

    def wait(self) -> Wait:
        """Return what it means for a child that waits."""
        return Wait(Reason.WAITS_FOR_PARENT, f"it is built on {listed(self.by)}, to be rebuilt first", None, self.by)


def join(parents: Iterable[tuple[str, Stir | None]]) -> Stir | None:
    """Return what is on its way above an image, from what is at and above each of its parents."""
    found = [(name, stir) for name, stir in parents if stir is not None]
    if not found:
        return None
    return Stir(
        min(stir.opened_at for _, stir in found),
        min(stir.built_at for _, stir in found),
        tuple(name for name, _ in found),
    )


def add_own(name: str, above: Stir | None, opened_at: datetime, built_at: datetime) -> Stir:
    """Return what is on its way at and above an image that is itself on its way."""
    if above is None:
        return Stir(opened_at, built_at, (name,))
    return Stir(min(opened_at, above.opened_at), min(built_at, above.built_at), (name,))


def last_built_at(image: ImageState) -> datetime:
    """Return when the image had its last new digest; the beginning of time where it never had one."""
    return max((update.at for update in image.history.update_history[-1:]), default=NEVER)


class Waves:
    """In which wave a rebuild is: how many managed images lie between it and what moved."""

    def __init__(self, images: Mapping[str, ImageState], managed: Mapping[str, str]) -> None:
        self._images = images
        self._managed = managed
        self._known: dict[tuple[str, str], int] = {}
        self._builds: dict[str, dict[str, tuple[tuple[str, str], ...]]] = {}

    def wave(self, causes: Iterable[RebuildCause]) -> int:
        """Return the wave of a rebuild with these causes; 0 where all that moved are bases."""
        return max((self._of(cause.base, cause.to) for cause in causes), default=0)

    def _of(self, base: str, digest: str) -> int:
        """Return 0 for a base's digest, else one more than the wave of the rebuild that brought it."""
        path = {(base, digest): None}  # a dictionary for its order: what a wave is asked for on the way up
        while path:
            current = next(reversed(path))
            above = next((key for key in self._above(current) if key not in self._known and key not in path), None)
            if above is not None:
                path[above] = None
                continue
            known = max((self._known.get(key, 0) for key in self._above(current)), default=0)
            self._known[current] = known + 1 if current[0] in self._managed else 0
            del path[current]
        return self._known[base, digest]

    def _above(self, key: tuple[str, str]) -> tuple[tuple[str, str], ...]:
        name = self._managed.get(key[0])
        image = self._images.get(name) if name is not None else None
        if name is None or image is None:
            return ()
        if name not in self._builds:
            self._builds[name] = {
                build.digest: tuple((str(cause.get("base")), str(cause.get("to"))) for cause in build.causes)
                for build in image.history.rebuild_history
                if build.digest is not None
            }
        return self._builds[name].get(key[1], ())
