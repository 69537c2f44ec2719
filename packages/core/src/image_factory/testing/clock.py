"""A clock that stands still until it is told to move, for tests and simulations."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
"""Where a fixed clock starts if nothing is said: a Sunday, at noon."""


class FixedClock:
    """A `Clock` whose time moves only by `advance` and `sleep`; thread-safe.

    `slept` holds every duration that was slept, so that a test can ask how long something waited.
    """

    def __init__(self, now: datetime = START) -> None:
        if now.tzinfo is None:
            raise ValueError("a clock needs an instant with a zone")
        self._now = now.astimezone(UTC)
        self._lock = threading.Lock()
        self.slept: list[timedelta] = []

    def now(self) -> datetime:
        """Return the instant the clock stands at, in UTC."""
        with self._lock:
            return self._now

    def sleep(self, duration: timedelta) -> None:
        """Move forward by `duration` at once, and remember it."""
        with self._lock:
            self.slept.append(duration)
            self._now += max(duration, timedelta())

    def advance(self, duration: timedelta) -> datetime:
        """Move forward by `duration`, and return where the clock stands then."""
        with self._lock:
            self._now += duration
            return self._now
