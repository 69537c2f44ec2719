"""When Warehouses look: an interval for each, so that no two on one registry look at one time.

Kargo has no start time and no jitter: a Warehouse looks again its interval after it looked last. So
each gets an interval that is a little longer than asked for, by a length of its own, and those that
were applied at one instant drift apart (docs/decisions/0003-stagger.md). Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

DAY = timedelta(days=1)
SLOTS = 3_600_000
"""Different lengths within a spread: so many that two names of a thousand seldom want the same."""
_SPREADS = ((DAY, timedelta(hours=1)), (timedelta(hours=1), timedelta(minutes=6)), (timedelta(), timedelta(seconds=36)))
"""How much longer an interval may become, by the least interval it is for; each is SLOTS times whole microseconds."""
_NEVER = datetime.max.replace(tzinfo=UTC)

PUBLIC_FLOORS: Mapping[str, timedelta] = {"docker.io": timedelta(hours=1)}
"""How often a managed image is looked for at most, on registries that limit everyone's requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A Warehouse that is to look at a registry."""

    name: str
    registry: str
    interval: timedelta
    """It never looks more often."""
    requests: int
    """What one look costs the registry while nothing is new."""
    known_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """Requests that a registry takes from us in a day, and who says so.

    Kargo asks with GETs, so that a registry's free HEADs free us of nothing.
    """

    per_day: int
    origin: str
    """A plugin or a setting, as people know it."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What all Warehouses together ask of one registry."""

    registry: str
    warehouses: int
    requests_per_day: int
    """The most that any 24 hours can hold."""
    budget: Budget | None
    """None where nobody states one."""

    @property
    def excess(self) -> int:
        """Requests a day beyond the budget; 0 within it."""
        return 0 if self.budget is None else max(0, self.requests_per_day - self.budget.per_day)


def stagger(checks: Iterable[Check]) -> dict[str, timedelta]:
    """Return an interval for each name: at least the one asked for, no two the same on one registry.

    It follows from the name alone. Where two names want the same length, the one known longer has it
    and the other takes its next choice, so that a new member moves none that was there.
    """
    taken: set[tuple[str, timedelta]] = set()
    intervals: dict[str, timedelta] = {}
    for check in sorted(checks, key=lambda check: (check.known_since or _NEVER, check.name)):
        spread = next(spread for least, spread in _SPREADS if check.interval >= least)
        attempt = 0
        while (check.registry, interval := check.interval + _offset(check.name, attempt, spread)) in taken:
            attempt += 1
        taken.add((check.registry, interval))
        intervals[check.name] = interval
    return intervals


def _offset(name: str, attempt: int, spread: timedelta) -> timedelta:
    wanted = hashlib.sha256(f"{name}\0{attempt}".encode()).digest()
    return int.from_bytes(wanted[:8], "big") % SLOTS * (spread // SLOTS)


def traffic(
    checks: Iterable[Check], intervals: Mapping[str, timedelta], budgets: Mapping[str, Budget]
) -> tuple[Traffic, ...]:
    """Return what each registry is asked in a day at most, sorted by registry."""
    counts: dict[str, int] = {}
    loads: dict[str, int] = {}
    for check in checks:
        counts[check.registry] = counts.get(check.registry, 0) + 1
        # Looks that lie an interval apart: so many fall into a day where the first is at its beginning.
        looks = -(-DAY // intervals[check.name])
        loads[check.registry] = loads.get(check.registry, 0) + check.requests * looks
    return tuple(
        Traffic(registry, counts[registry], loads[registry], budgets.get(registry)) for registry in sorted(counts)
    )
