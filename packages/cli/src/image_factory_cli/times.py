"""The instants and lengths of time that options take, checked where they are read: `type=instant`."""

from __future__ import annotations

from datetime import datetime, timedelta

from image_factory.errors import UserError


def instant(value: str | datetime) -> datetime:
    """Return the instant that an option means: an ISO 8601 date or time; without a zone it is UTC.

    Raises:
        UserError: it is none.
    """
    from image_factory.model.image_state import parse_time

    if isinstance(value, datetime):
        return value
    try:
        return parse_time(value)
    except ValueError as error:
        raise UserError(f"not a time: {value[:80]!r}", hint="write one such as 2026-12-24T00:00:00Z") from error


def length(value: str | timedelta) -> timedelta:
    """Return the length of time that an option means, written as in images.yaml, such as `7d` or `1h30m`.

    Raises:
        UserError: it is none.
    """
    from image_factory.model.duration import parse_duration

    return value if isinstance(value, timedelta) else parse_duration(value)
