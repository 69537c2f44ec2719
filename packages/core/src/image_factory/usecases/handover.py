"""What a finished build tells analysis. A value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from image_factory.errors import InvalidReference
from image_factory.oci.reference import is_tag

_DIGEST = re.compile(r"sha(?:256:[0-9a-f]{1,64}|512:[0-9a-f]{1,128})\Z")
"""Shorter than a hash is let through: people shorten one when they record it by hand."""


@dataclass(frozen=True, slots=True)
class Handover:
    """What a build hands over about one image: its new tag and digest, and where it was built from."""

    image: str
    tag: str | None = None
    digest: str | None = None
    dockerfile: str | None = None
    source_repo: str | None = None
    source_provider: str | None = None

    def __post_init__(self) -> None:
        """Refuse what is no tag and no digest: both go on into state, commits and manifests.

        Raises:
            InvalidReference: one of them is none.
        """
        if self.tag is not None and not is_tag(self.tag):
            raise InvalidReference(
                f"not a tag: {self.tag!r}", hint="write letters, digits and _ . -, at most 128, such as 0.6.3"
            )
        if self.digest is not None and not _DIGEST.match(self.digest):
            raise InvalidReference(f"not a digest: {self.digest!r}", hint="write sha256: and 64 lower-case hex digits")

    @property
    def source(self) -> Mapping[str, str]:
        """What it says of the source, by the source's field."""
        given = {"dockerfile": self.dockerfile, "repo": self.source_repo, "provider": self.source_provider}
        return {key: value for key, value in given.items() if value}
