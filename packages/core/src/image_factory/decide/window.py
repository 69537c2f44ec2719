"""Decide when an image's coordination window closes. Pure.

The window opens with the first instant at which something that the image has not taken in became
eligible, and closes `length` later; all that is eligible by then makes one request. Nothing is
stored: both follow from first sights and delays, so a run that comes late finds the window closed and
takes in at once what has become eligible meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from image_factory.decide.eligibility import add
from image_factory.model.image_state import Build
from image_factory.model.request import RebuildRequest


def closes_at(opens_at: datetime, length: timedelta, *, last_request_at: datetime | None = None) -> datetime:
    """Return when the window closes that opened at `opens_at`: from then on the rebuild is due.

    Args:
        last_request_at: when the image was last requested; within `length` of that it is not requested again.
    """
    closes = add(opens_at, length)
    return closes if last_request_at is None else max(closes, add(last_request_at, length))


def last_request_at(request: RebuildRequest | None, builds: Sequence[Build], now: datetime) -> datetime | None:
    """Return when an image was last requested, or None where it never was.

    A time that lies in the future was written while the clock was wrong, and holds nothing up.
    """
    times = [build.at for build in builds[-1:]]
    if request is not None:
        times.append(request.requested_at)
    return max((at for at in times if at <= now), default=None)
