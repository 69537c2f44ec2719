"""One HTTP request and its answer as values, for protocols that are spoken without a socket. Pure.

`image_factory.ports` offers both under its own name: they are what the port `Http` takes and gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request as a value.

    `repr` shows no header or body, since either may hold a secret.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One answer, whole; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)
    url: str = ""
    """Where the answer came from, after redirects."""
