"""What a finished build tells analysis. A value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Handover:
    """What a build hands over about one image: its new tag and digest, and where it was built from."""

    image: str
    tag: str | None = None
    digest: str | None = None
    dockerfile: str | None = None
    source_repo: str | None = None
    source_provider: str | None = None

    @property
    def source(self) -> Mapping[str, str]:
        """What it says of the source, by the source's field."""
        given = {"dockerfile": self.dockerfile, "repo": self.source_repo, "provider": self.source_provider}
        return {key: value for key, value in given.items() if value}
