"""Durations as people write them in YAML: `7d`, `36h`, `1w2d`, `0`. Pure."""

from __future__ import annotations

import re
from datetime import timedelta

from image_factory.errors import UserError

DURATION_PATTERN = r"^(0|([0-9]{1,9}[wdhms]){1,8})$"
"""The grammar for editors; `parse_duration` holds to the same."""

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
# ASCII digits only: int() would take those of every script. Nine, since a timedelta has at most 999,999,999 days.
_WHOLE = re.compile(r"(?:[0-9]{1,9}[wdhms]){1,8}\Z")
_PART = re.compile(r"([0-9]+)([wdhms])")
_MAX_SHOWN = 80


def parse_duration(text: str) -> timedelta:
    """Return the time that `text` names, such as `7d`, `36h`, `1w2d` or `0`.

    Raises:
        UserError: `text` is not a sum of whole numbers with a unit of s, m, h, d or w.
    """
    trimmed = text.strip()
    if trimmed == "0":
        return timedelta()
    if not _WHOLE.match(trimmed):
        shown = text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
        raise UserError(f"not a duration: {shown!r}", hint="write a number and a unit of s, m, h, d or w, such as 7d")
    seconds = sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(trimmed))
    if seconds > timedelta.max // timedelta(seconds=1):
        raise UserError(f"a duration without end: {trimmed!r}", hint="write at most 999999999d")
    return timedelta(seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """Return a text that `parse_duration` reads back, in days, hours, minutes and seconds.

    Parts of a second are dropped, and what is below zero is `0`.
    """
    seconds = duration // timedelta(seconds=1)  # total_seconds() is a float, and rounds what is long
    if seconds <= 0:
        return "0"
    parts = []
    for unit in ("d", "h", "m", "s"):
        number, seconds = divmod(seconds, _UNITS[unit])
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts)
