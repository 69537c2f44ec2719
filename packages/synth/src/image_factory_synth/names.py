"""What resources are called: names that are unique by themselves, whoever else is enrolled. Pure.

A name follows from what it is for alone, so that none changes when others come and go, and no two are the same:
where two could be, one is written in a way in which no other name is.
"""

from __future__ import annotations

import hashlib
import re

from image_factory.model.enrollment import MAX_LABEL
from image_factory_synth.records import REQUESTS_ROLE

_DIGITS = 8
_CUT = re.compile(rf"-[0-9a-f]{{{_DIGITS}}}\Z")
ANALYZE = "analyze-dockerfile"
"""What the stages of analysis are called, before the image's name."""


def warehouse_name(image: str) -> str:
    """Return the name of an image's Warehouse: the image's.

    But for an image that is called as another's Warehouse of requests may be, or whose name is too long: with a dot,
    as no image's name has one.
    """
    if len(image) <= MAX_LABEL and not image.startswith(f"{REQUESTS_ROLE}-"):
        return image
    return _fitted(f"image.{image}")


def prefixed(prefix: str, name: str) -> str:
    """Return `prefix-name`; where that is too long, its beginning and 8 hex digits of its hash, 63 characters in all.

    One that is not too long and yet looks cut is cut too, so that it is not what another is cut to.
    """
    return _fitted(f"{prefix}-{name}")


def _fitted(whole: str) -> str:
    if len(whole) < MAX_LABEL or (len(whole) == MAX_LABEL and not _CUT.search(whole)):
        return whole
    digits = hashlib.sha256(whole.encode()).hexdigest()[:_DIGITS]
    return f"{whole[: MAX_LABEL - _DIGITS - 1]}-{digits}"
