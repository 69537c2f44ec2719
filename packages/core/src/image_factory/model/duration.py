"""Durations as people write them in YAML: `7d`, `36h`, `1w2d`, `0`. Pure."""

from __future__ import annotations

import re
from datetime import timedelta

from image_factory.errors import UserError

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_WHOLE = re.compile(r"(?:\d{1,6}[wdhms])+\Z")
_PART = re.compile(r"(\d+)([wdhms])")


def parse_duration(text: str) -> timedelta:
    """Return the time that `text` names, such as `7d`, `36h`, `1w2d` or `0`.

    Raises:
        UserError: `text` is not a sum of whole numbers with a unit of s, m, h, d or w.
    """
    trimmed = text.strip()
    if trimmed == "0":
        return timedelta()
    if not _WHOLE.match(trimmed):
        raise UserError(f"not a duration: {text!r}", hint="write a number and a unit of s, m, h, d or w, such as 7d")
    return timedelta(seconds=sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(trimmed)))


def format_duration(duration: timedelta) -> str:
    """Return the shortest text that `parse_duration` reads back; parts of a second are dropped."""
    seconds = int(duration.total_seconds())
    if seconds <= 0:
        return "0"
    parts = []
    for unit in ("d", "h", "m", "s"):
        number, seconds = divmod(seconds, _UNITS[unit])
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts)
