"""Decide which references are to be asked for now, within what their registries allow. Pure.

A reference that hardly ever moves is asked for less often, up to a limit; one at a registry that
limits requests never more than once a day, unless somebody names it (a webhook, a person). Where a
registry allows fewer requests than are due, those that have waited longest go first, so that none
starves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from image_factory.model.duration import format_duration
from image_factory.model.settings import WatchSettings

DAY = timedelta(days=1)
CHECKS_A_MOVE = 8
"""How often a reference is asked for between two of its moves, about: the lag is an eighth of what it usually takes."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A reference, and what is known of it."""

    reference: str
    """Canonical; what several images share is asked for once."""
    registry: str
    """The host whose budget it counts against."""
    asked_at: datetime | None = None
    """When it was last asked for; None where that is not known."""
    moves: tuple[datetime, ...] = ()
    """When its digests were first seen, oldest first; the first is the first sight."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a registry allows: `requests` in each `window`."""

    requests: int
    window: timedelta
    is_free: bool = False
    """Whether asking for a digest does not count (Docker Hub's HEADs); the daily limit holds all the same."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether a reference is asked for now."""

    reference: str
    is_due: bool
    because: str
    next_at: datetime | None
    """When it will be due; None where it is now."""


def decide_due(
    watched: Sequence[Watched], *, budgets: Mapping[str, Budget], policy: WatchSettings, now: datetime
) -> tuple[Turn, ...]:
    """Return a turn for each reference, in the order given.

    Args:
        watched: each reference once.
        budgets: by registry host; a host that is not there limits nothing.
    """
    due = [one for one in watched if _due_at(one, budgets.get(one.registry), policy, now) is None]
    # Those that were never asked for first, then those that have waited longest; by name where that is the same.
    due.sort(key=lambda one: (one.asked_at is not None, one.asked_at or now, one.reference))
    left: dict[str, int] = {}
    free_at: dict[str, datetime] = {}
    for host, budget in budgets.items():
        spent = [at for one in watched if one.registry == host and (at := one.asked_at) and _is_spent(at, budget, now)]
        left[host] = len(due) if budget.is_free else max(0, budget.requests - len(spent))
        free_at[host] = (min(spent) if spent else now) + budget.window
    chosen: set[str] = set()
    for one in due:
        if one.registry in left:
            if left[one.registry] == 0:
                continue
            left[one.registry] -= 1
        chosen.add(one.reference)
    turns = []
    for one in watched:
        limit = budgets.get(one.registry)
        at = _due_at(one, limit, policy, now)
        if one.reference in chosen:
            because = "never asked for" if one.asked_at is None else "its time has come"
            turns.append(Turn(one.reference, True, because, None))
        elif at is not None or limit is None:
            turns.append(Turn(one.reference, False, "asked for not long ago", at))
        else:
            allowed = f"{one.registry} allows {limit.requests} requests in {format_duration(limit.window)}"
            turns.append(Turn(one.reference, False, f"{allowed}, and they are spent", free_at[one.registry]))
    return tuple(turns)


def check_interval(watched: Watched, *, is_limited: bool, policy: WatchSettings, now: datetime) -> timedelta:
    """Return how far apart the checks of a reference lie, by how often it has moved."""
    shortest = max(policy.public_interval, DAY) if is_limited else policy.private_interval
    if not watched.moves:
        return shortest
    # Without a move since, it takes at least as long as we have looked.
    gaps = max(1, len(watched.moves) - 1)
    since = watched.moves[0]
    until = watched.moves[-1] if len(watched.moves) > 2 else now
    usual = max(timedelta(), until - since) / gaps
    quiet = max(timedelta(), now - watched.moves[-1])
    return max(shortest, min(max(usual, quiet) / CHECKS_A_MOVE, policy.longest_interval))


def _due_at(one: Watched, budget: Budget | None, policy: WatchSettings, now: datetime) -> datetime | None:
    """Return when a reference is due, or None where it is now."""
    if one.asked_at is None or one.asked_at > now:
        return None  # never asked for, or by a clock that was ahead
    at = one.asked_at + check_interval(one, is_limited=budget is not None, policy=policy, now=now)
    return None if at <= now else at


def _is_spent(asked_at: datetime, budget: Budget, now: datetime) -> bool:
    return now - budget.window < asked_at <= now
