"""Decide whether a freeze of the calendar holds for an image. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from image_factory.decide.eligibility import Reason
from image_factory.decide.wait import Wait, instant
from image_factory.model.settings import Freeze


def frozen(image: str, freezes: Sequence[Freeze], now: datetime) -> Wait | None:
    """Return what the freeze that holds for `image` at `now` means for it, or None where none does.

    Freezes that follow each other without a gap are one: `until` is when the last of them ends.
    """
    ours = [freeze for freeze in freezes if not freeze.images or image in freeze.images]
    current = [freeze for freeze in ours if freeze.from_ <= now < freeze.until]
    if not current:
        return None
    last = max(current, key=lambda freeze: freeze.until)
    for freeze in sorted(ours, key=lambda each: each.from_):
        if freeze.from_ <= last.until < freeze.until:
            last = freeze
    reasons = dict.fromkeys(freeze.reason for freeze in (*current, last))
    told = f"nothing is rebuilt until {instant(last.until)}: {', '.join(reasons)}"
    return Wait(Reason.FROZEN, told, last.until, tuple(reasons))
