"""The id of one run of this program, by which it claims requests and names its notices. Light."""

from __future__ import annotations

import secrets
from datetime import datetime


def new_run_id(now: datetime) -> str:
    """Return an id that no other run has, as requests have theirs: `run-20260301T120000Z-1a2b3c4d`."""
    return f"run-{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
