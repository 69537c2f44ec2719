"""Platforms as `os/architecture[/variant]` (OCI image-spec, "Image Index", `platform`). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from image_factory.errors import InvalidReference

_PART = re.compile(r"[A-Za-z0-9_.-]+\Z")

# containerd/platforms `normalizeArch`: the spellings that mean one architecture.
_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "i386": ("386", ""),
}


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """One platform, normalised as containerd does it: `linux/aarch64` is `linux/arm64`."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Return the platform that `text` names.

        Raises:
            InvalidReference: `text` is not `os/architecture` or `os/architecture/variant`.
        """
        parts = text.strip().split("/")
        if len(parts) not in (2, 3) or not all(_PART.match(part) for part in parts):
            raise InvalidReference(
                f"not a platform: {text!r}", hint="write os/architecture[/variant], such as linux/arm64"
            )
        os = parts[0].lower()
        architecture = parts[1].lower()
        variant = parts[2].lower() if len(parts) == 3 else ""
        if architecture in _ARCHITECTURES:
            architecture, default = _ARCHITECTURES[architecture]
            variant = variant or default
        if architecture == "arm64" and variant in ("8", "v8"):
            variant = ""
        if architecture == "arm" and variant.isdigit():
            variant = f"v{variant}"
        if architecture == "amd64" and variant == "v1":
            variant = ""
        return cls({"macos": "darwin"}.get(os, os), architecture, variant)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


DEFAULT_PLATFORM = Platform("linux", "amd64")
"""What is built for, and built on, where an enrollment names no platform."""
