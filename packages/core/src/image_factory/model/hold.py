"""What a person has stopped for a while: an image, or one digest of a base. Pure.

One file a hold, `state/holds/NAME.yaml`: NAME is the image's name, or the digest's first digits.
"""

from __future__ import annotations

from image_factory.model.enrollment import Record
from image_factory.model.image_state import DigestText, Time


class Hold(Record):
    """An image that is not rebuilt, or a digest that nothing is built with, for a reason and until an instant."""

    name: str
    """Of its file: the image's name, or `sha256-` and the digest's first 12 digits."""
    image: str | None = None
    digest: DigestText | None = None
    reason: str
    by: str = ""
    at: Time
    until: Time | None = None
    """When it ends by itself; None where only a person ends it."""
