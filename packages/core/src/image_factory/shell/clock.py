"""The system's clock, as the port `Clock`. The only place that asks the machine for the time."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class SystemClock:
    """Tells the machine's time and really sleeps."""

    def now(self) -> datetime:
        """Return the present instant, in UTC."""
        return datetime.now(UTC)  # noqa: TID251 - this is the clock that all others are handed

    def sleep(self, duration: timedelta) -> None:
        """Sleep for `duration`; nothing where it is zero or negative."""
        seconds = duration.total_seconds()
        if seconds > 0:
            time.sleep(seconds)
