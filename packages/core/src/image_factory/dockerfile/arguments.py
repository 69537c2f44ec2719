"""The variables that FROM sees: the automatic platform ARGs, those before the first FROM, and build args.

As `defaultArgs` and `buildMetaArgs` in frontend/dockerfile/dockerfile2llb. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from image_factory.dockerfile.findings import Findings
from image_factory.dockerfile.instructions import Argument, is_template
from image_factory.dockerfile.reading import Category
from image_factory.dockerfile.text import Refusal, shown
from image_factory.dockerfile.words import Budget, Expansion, expand
from image_factory.errors import InvalidReference
from image_factory.oci.platform import DEFAULT_PLATFORM, Platform

BUILD_PLATFORM = DEFAULT_PLATFORM
"""What a build runs on. BUILDPLATFORM among the build args says otherwise."""

# containerd/platforms knows these by one word; the rest of the pair is the machine's own.
_SYSTEMS = frozenset(
    {
        "aix",
        "android",
        "darwin",
        "dragonfly",
        "freebsd",
        "hurd",
        "illumos",
        "ios",
        "js",
        "linux",
        "nacl",
        "netbsd",
        "openbsd",
        "plan9",
        "solaris",
        "windows",
        "zos",
    }
)
_ARCHITECTURES = frozenset(
    {
        "386",
        "amd64",
        "amd64p32",
        "arm",
        "armbe",
        "arm64",
        "arm64be",
        "ppc64",
        "ppc64le",
        "loong64",
        "mips",
        "mipsle",
        "mips64",
        "mips64le",
        "mips64p32",
        "mips64p32le",
        "ppc",
        "riscv",
        "riscv64",
        "s390",
        "s390x",
        "sparc",
        "sparc64",
        "wasm",
    }
)


class Variables:
    """The variables of one build, and what is unknown about them."""

    __slots__ = ("_budget", "_escape", "_unknown", "findings", "values")

    def __init__(
        self, arguments: Sequence[Argument], given: Mapping[str, str], automatic: Mapping[str, str], escape: str
    ) -> None:
        self.findings = Findings()
        self._escape = escape
        self._budget = Budget()
        self._unknown: dict[str, tuple[str, ...]] = {}
        """For each variable whose value lacks something: the variables without a value that it lacks."""
        self.values = {name: given.get(name, value) for name, value in automatic.items()}
        for argument in arguments:
            name = argument.name
            if name in given:
                self.values[name] = given[name]
                continue
            if argument.value is None:
                continue
            try:
                expansion = expand(argument.value, self.values, escape, self._budget)
            except Refusal as error:
                self._refuse(error, argument.value, argument.instruction.line)
                self.values.pop(name, None)
                continue
            missing = self._missing(expansion)
            if missing:
                self._unknown[name] = missing
            else:
                self._unknown.pop(name, None)
            self.values[name] = expansion.text

    def expand(self, word: str, line: int) -> tuple[str, bool, bool] | None:
        """Return a word of a FROM expanded, or None where BuildKit refuses it; diagnostics tell the rest.

        With it: whether a variable was missing, and whether one was empty.
        """
        try:
            expansion = expand(word, self.values, self._escape, self._budget)
        except Refusal as error:
            self._refuse(error, word, line)
            return None
        if not expansion.used and not expansion.missing:
            return expansion.text, False, False
        missing = self._missing(expansion)
        for name in missing:
            message = f"{name} has no value in the file or among the build args, in {shown(word)}"
            self.findings.add(line, message, Category.UNRESOLVED_ARG)
        empty = any(not self.values[name] for name in expansion.used)
        return expansion.text, bool(missing), empty

    def _missing(self, expansion: Expansion) -> tuple[str, ...]:
        if not expansion.missing and not self._unknown:
            return ()
        # At most a handful are told, or a chain of ARGs would drag all its names along.
        names = dict.fromkeys(expansion.missing[:8])
        for name in expansion.used:
            names.update(dict.fromkeys(self._unknown.get(name, ())))
        return tuple(names)[:8]

    def _refuse(self, error: Refusal, word: str, line: int) -> None:
        category = Category.TEMPLATE if is_template(word) else error.category
        self.findings.add(line, error.message, category)


def automatic_arguments(platform: Platform, stage: str) -> dict[str, str]:
    """Return the variables that BuildKit sets by itself, for a target platform and the target's name."""
    build, target = _with_variant(BUILD_PLATFORM), _with_variant(platform)
    return {
        "BUILDPLATFORM": str(build),
        "BUILDOS": build.os,
        "BUILDOSVERSION": "",
        "BUILDARCH": build.architecture,
        "BUILDVARIANT": build.variant,
        "TARGETPLATFORM": str(target),
        "TARGETOS": target.os,
        "TARGETOSVERSION": "",
        "TARGETARCH": target.architecture,
        "TARGETVARIANT": target.variant,
        "TARGETSTAGE": stage or "default",
    }


def _with_variant(platform: Platform) -> Platform:
    # containerd/platforms `Normalize`: arm without a variant is v7.
    if platform.architecture == "arm" and not platform.variant:
        return Platform(platform.os, "arm", "v7")
    return platform


def read_platform(text: str) -> Platform | None:
    """Return the platform that a `--platform` names, where one word may stand for a pair; None if it is none."""
    if "/" not in text:
        system = {"macos": "darwin"}.get(text.lower(), text.lower())
        if system in _SYSTEMS:
            return Platform(system, BUILD_PLATFORM.architecture)
        text = f"{BUILD_PLATFORM.os}/{text}"
        known = True
    else:
        known = False
        # windows(10.0.17763)/amd64: the version of the system is not part of our platform.
        system, _, rest = text.partition("/")
        if system.endswith(")") and "(" in system:
            text = f"{system[: system.index('(')]}/{rest}"
    try:
        platform = _with_variant(Platform.parse(text))
    except InvalidReference:
        return None
    return None if known and platform.architecture not in _ARCHITECTURES else platform
