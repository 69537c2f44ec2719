"""What holds a rebuild back: one value for every rule that can. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from image_factory.decide.eligibility import Reason


@dataclass(frozen=True, slots=True)
class Wait:
    """One thing that a rebuild waits for."""

    reason: Reason
    because: str
    """The evidence, in a sentence without a full stop."""
    until: datetime | None = None
    """When it ends; None where that is not known, or where only a person or a change ends it."""
    blocked_by: tuple[str, ...] = ()
    """The images, requests, holds or freezes that it waits for."""


def longest_wait(waits: Iterable[Wait | None]) -> Wait | None:
    """Return the one that ends last, since until then the others do not matter; of equal ones the first."""
    found: Wait | None = None
    for wait in waits:
        if wait is None:
            continue
        if found is None or (found.until is not None and (wait.until is None or wait.until > found.until)):
            found = wait
    return found


def instant(at: datetime) -> str:
    """Return an instant as sentences write it: in UTC, to the second."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def listed(names: Sequence[str]) -> str:
    """Return names as sentences write them: three, and how many more."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
