"""Measure how far behind the images are that a simulation builds: the lag, weighed by time. Pure.

An image's lag at an instant is the time since the first move of a base that it does not hold: nothing while
it holds all that was seen, else growing by a day a day until a rebuild takes the move in. What an image
holds of a base it holds through those that it is built on too, so that a child is behind while its parent is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from image_factory.decide.absorption import absorbed_digest, built_in
from image_factory.decide.causes import input_named
from image_factory.decide.eligibility import pending_updates
from image_factory.decide.platforms import built_platforms, platform_key, platforms_of, update_key
from image_factory.decide.replay import Simulation
from image_factory.model.image_state import BaseState, ImageState

Held = frozenset[tuple[str, str | None]]
"""Bases, and the digest that is held of each; None before any was seen."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time in which an image's lag only grew, or was nothing."""

    begin: datetime
    end: datetime
    behind_since: datetime | None
    """The first move that it did not hold; None where it held all."""


@dataclass(frozen=True, slots=True)
class Lag:
    """How far behind, over a time."""

    median: timedelta
    p90: timedelta
    longest: timedelta
    current_share: float
    """The part of the time in which nothing was missing, from 0 to 1."""


NO_LAG = Lag(timedelta(), timedelta(), timedelta(), 1.0)


class LagWatch:
    """Follows a simulation, and keeps each image's stretches."""

    def __init__(self) -> None:
        self._stretches: dict[str, list[Stretch]] = {}
        self._present: dict[str, tuple[datetime, datetime | None]] = {}
        self._held: dict[str, Held] = {}
        self._of_digest: dict[tuple[str, str | None], Held] = {}
        self._holders: dict[str, set[str]] = {}

    def enrolled(self, world: Simulation, now: datetime, image: ImageState) -> None:
        """Begin to count."""
        self._take_in(world, image)
        self._present[image.name] = (now, self._behind_since(world, image))

    def moved(self, world: Simulation, now: datetime, base: BaseState) -> None:
        """Look again at what holds something of a base."""
        for name in sorted(self._holders.get(base.name, ())):
            self._look(world, now, world.images[name])

    def built(self, world: Simulation, now: datetime, image: ImageState) -> None:
        """Look again at an image that was built."""
        self._take_in(world, image)
        self._look(world, now, image)

    def stretches(self, until: datetime) -> Mapping[str, tuple[Stretch, ...]]:
        """Return the stretches of every image up to `until`."""
        return {
            name: (*self._stretches.get(name, ()), Stretch(begin, max(begin, until), since))
            for name, (begin, since) in self._present.items()
        }

    def _look(self, world: Simulation, now: datetime, image: ImageState) -> None:
        known = self._present.get(image.name)
        if known is None:
            return
        begin, was = known
        since = self._behind_since(world, image)
        if since != was:
            if begin < now:
                self._stretches.setdefault(image.name, []).append(Stretch(begin, now, was))
            self._present[image.name] = (now, since)

    def _take_in(self, world: Simulation, image: ImageState) -> None:
        held: set[tuple[str, str | None]] = set()
        for name in built_in(image):
            source = input_named(name, world.bases, world.images)
            if isinstance(source, BaseState):
                held.add((source.name, absorbed_digest(image, source)))
            elif source is not None and source.name != image.name:
                digest = absorbed_digest(image, source)
                known = self._of_digest.get((source.name, digest), self._held.get(source.name))
                held |= known if known is not None else set()
        self._held[image.name] = self._of_digest[image.name, image.runtime.current_digest] = frozenset(held)
        for base, _ in held:
            self._holders.setdefault(base, set()).add(image.name)

    def _behind_since(self, world: Simulation, image: ImageState) -> datetime | None:
        source = image.configuration.enrollment.source
        chosen = source.platforms if source is not None else ()
        found = (
            _first_missing(world.bases[base], digest, built_platforms(image, base, chosen))
            for base, digest in self._held.get(image.name, ())
            if base in world.bases
        )
        return min((at for at in found if at is not None), default=None)


def _first_missing(base: BaseState, digest: str | None, built: Collection[str]) -> datetime | None:
    updates = base.history.update_history
    if not updates:
        return None
    if digest is None:
        first = updates[0]
        digest = first.new_digest if first.old_digest is None else first.old_digest
    held = platform_key(platforms_of(base, digest), built)
    if held is None:
        pending = pending_updates(updates, digest)
    else:
        pending = pending_updates(updates, digest, lambda update: update_key(base, update, built), held)
    return pending[0].at if pending else None


def measure(stretches: Iterable[Stretch], since: datetime, until: datetime) -> Lag:
    """Return the lag over all stretches between two instants, each instant of each image weighing the same."""
    current = 0.0
    slopes: dict[float, int] = {}
    total, longest = 0.0, 0.0
    for stretch in stretches:
        begin, end = max(stretch.begin, since), min(stretch.end, until)
        if end <= begin:
            continue
        length = (end - begin).total_seconds()
        total += length
        if stretch.behind_since is None:
            current += length
            continue
        low = max(0.0, (begin - stretch.behind_since).total_seconds())
        slopes[low] = slopes.get(low, 0) + 1
        slopes[low + length] = slopes.get(low + length, 0) - 1
        longest = max(longest, low + length)
    if total == 0:
        return NO_LAG
    marks = sorted(slopes.items())
    median, p90 = (_quantile(marks, current, total * part) for part in (0.5, 0.9))
    return Lag(
        timedelta(seconds=round(median)), timedelta(seconds=round(p90)), timedelta(seconds=longest), current / total
    )


def _quantile(marks: list[tuple[float, int]], current: float, wanted: float) -> float:
    """Return the lag below which `wanted` seconds lie; between two marks their number grows evenly."""
    counted, slope, at = current, 0, 0.0
    if wanted <= counted:
        return 0.0
    for mark, change in marks:
        grown = (mark - at) * slope
        if slope and counted + grown >= wanted:
            return at + (wanted - counted) / slope
        counted, at, slope = counted + grown, mark, slope + change
    return at
