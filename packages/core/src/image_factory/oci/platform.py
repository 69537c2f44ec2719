"""Platforms as `os/architecture[/variant]` (OCI image-spec, "Image Index", `platform`). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from image_factory.errors import InvalidReference

_PART = re.compile(r"[A-Za-z0-9_.-]+\Z")
# containerd/platforms writes Windows' version, and features, after the system: `windows(10.0.17763)`.
_OS = re.compile(r"([A-Za-z0-9_-]+)(?:\([A-Za-z0-9_.%+-]*\))?\Z")

# containerd/platforms `normalizeArch`: the spellings that mean one architecture, and its variant.
_ARCHITECTURES = {
    "x86_64": ("amd64", None),
    "x86-64": ("amd64", None),
    "aarch64": ("arm64", None),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "i386": ("386", ""),
}
# And the spellings of one variant, by architecture.
_VARIANTS = {
    "amd64": {"v1": ""},
    "arm64": {"8": "", "v8": "", "v8.0": "", "9": "v9", "9.0": "v9", "v9.0": "v9"},
    "arm": {"": "v7", "5": "v5", "6": "v6", "7": "v7", "8": "v8"},
}
# What one word alone may name (containerd/platforms `isKnownOS`, `isKnownArch`).
# fmt: off
_KNOWN_OS = frozenset(
    {
        "aix", "android", "darwin", "dragonfly", "freebsd", "hurd", "illumos", "ios", "js", "linux", "nacl",
        "netbsd", "openbsd", "plan9", "solaris", "windows", "zos",
    }
)
_KNOWN_ARCHITECTURES = frozenset(
    {
        "386", "amd64", "amd64p32", "arm", "armbe", "arm64", "arm64be", "ppc64", "ppc64le", "loong64", "mips",
        "mipsle", "mips64", "mips64le", "mips64p32", "mips64p32le", "ppc", "riscv", "riscv64", "s390",
        "s390x", "sparc", "sparc64", "wasm",
    }
)
# fmt: on


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """One platform, normalised as containerd's `Normalize` does it.

    `linux/aarch64` is `linux/arm64`, and `linux/arm` is `linux/arm/v7`. A Windows version is dropped.
    """

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Return the platform that `text` names.

        One word alone is a known system (on amd64) or a known architecture (of linux), as for
        `docker build --platform=arm64`.

        Raises:
            InvalidReference: `text` is not `os/architecture` or `os/architecture/variant`.
        """
        os, *others = text.strip().split("/", 3)
        system = _OS.match(os)
        if system is None or len(others) > 2 or not all(_PART.match(part) for part in others):
            raise _invalid(text)
        os = _system(system[1])
        if others:
            return cls(os, *_architecture(*others))
        if os in _KNOWN_OS:
            return cls(os, "amd64")
        architecture, variant = _architecture(os)
        if architecture not in _KNOWN_ARCHITECTURES:
            raise _invalid(text)
        return cls("linux", architecture, variant)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def _invalid(text: str) -> InvalidReference:
    shown = text if len(text) <= 100 else f"{text[:100]}…"
    return InvalidReference(f"not a platform: {shown!r}", hint="write os/architecture[/variant], such as linux/arm64")


def _system(text: str) -> str:
    return "darwin" if text.lower() == "macos" else text.lower()


def _architecture(text: str, variant: str = "") -> tuple[str, str]:
    architecture, implied = _ARCHITECTURES.get(text.lower(), (text.lower(), None))
    variant = variant.lower() if implied is None else implied
    return architecture, _VARIANTS.get(architecture, {}).get(variant, variant)


DEFAULT_PLATFORM = Platform("linux", "amd64")
"""What is built for, and built on, where an enrollment names no platform."""
