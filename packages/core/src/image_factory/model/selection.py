"""What a tag strategy chooses among, and its choice. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from image_factory.oci.reference import Digest


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tag that might be chosen."""

    tag: str
    digest: Digest | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """What a strategy chose, or None, and why."""

    chosen: Candidate | None
    reason: str
