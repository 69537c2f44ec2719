"""The Kargo versions that resources can be written for. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from image_factory.errors import InvalidSettings

_VERSION = re.compile(r"v?(\d{1,4})\.(\d{1,4})(?:\.\d{1,6})?\Z")


@dataclass(frozen=True, slots=True, order=True)
class KargoVersion:
    """A minor release of Kargo; its patch releases have the same resources."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> KargoVersion:
        """Return the version that `text` names, such as `1.11` or `v1.11.2`.

        Raises:
            InvalidSettings: it is no version, or one whose resources are not known here.
        """
        found = _VERSION.match(text.strip())
        version = cls(int(found[1]), int(found[2])) if found else None
        if version not in KNOWN:
            what = "a Kargo version" if found is None else "a Kargo version that resources can be written for"
            raise InvalidSettings(
                f"not {what}: {text!r}", hint=f"give one of {', '.join(map(str, KNOWN))} as --kargo-version"
            )
        return version

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


KNOWN = (KargoVersion(1, 9), KargoVersion(1, 10), KargoVersion(1, 11))
"""The first is the floor: before it an image's `constraint` and `allowTagsRegexes` did not both exist."""
