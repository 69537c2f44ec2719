"""Semantic versions and ranges (semver.org 2.0.0; ranges as Kargo takes them, Masterminds/semver). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_VERSION = re.compile(
    r"v?(0|[1-9][0-9]{0,17})(?:\.(0|[1-9][0-9]{0,17}))?(?:\.(0|[1-9][0-9]{0,17}))?"
    r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?\Z"
)
_PART = re.compile(
    r"(=|!=|>=|=>|<=|=<|>|<|\^|~>?|)\s*v?([0-9xX*]+(?:\.[0-9xX*]+){0,2}(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?)"
)
_HYPHEN = re.compile(r"(\S+)\s+-\s+(\S+)\Z")


class InvalidRange(ValueError):
    """A text is not a version range."""


@dataclass(frozen=True, slots=True)
class SemanticVersion:
    """A version; missing minor and patch numbers are 0."""

    major: int
    minor: int
    patch: int
    prerelease: tuple[str, ...] = ()
    text: str = ""

    @classmethod
    def parse(cls, text: str) -> SemanticVersion | None:
        """Return the version that `text` writes, with or without `v`, or None where it is none."""
        found = _VERSION.match(text)
        if found is None:
            return None
        prerelease = tuple(found[4].split(".")) if found[4] else ()
        if any(part.isdigit() and len(part) > 1 and part[0] == "0" for part in prerelease):
            return None
        return cls(int(found[1]), int(found[2] or 0), int(found[3] or 0), prerelease, text)

    @property
    def precedence(self) -> tuple[int, int, int, int, tuple[tuple[int, int, str], ...]]:
        """The key that orders versions (SemVer 2.0.0, item 11): a prerelease comes before its release."""
        identifiers = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.prerelease)
        return (self.major, self.minor, self.patch, 0 if self.prerelease else 1, identifiers)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class _Bound:
    operator: str
    version: SemanticVersion

    def holds(self, version: SemanticVersion) -> bool:
        left, right = version.precedence, self.version.precedence
        return {
            "=": left == right,
            "!=": left != right,
            ">": left > right,
            ">=": left >= right,
            "<": left < right,
            "<=": left <= right,
        }[self.operator]


@dataclass(frozen=True, slots=True)
class Range:
    """Alternatives (`||`) of bounds that must all hold."""

    alternatives: tuple[tuple[_Bound, ...], ...]

    @classmethod
    def parse(cls, text: str) -> Range:
        """Return the range that `text` writes: `*`, `1.x`, `^1.2`, `~1.2`, `>=1 <2`, `1.0 - 2.0`, joined by `||`.

        Raises:
            InvalidRange: it is no range.
        """
        return cls(tuple(tuple(_bounds(part.strip(), text)) for part in text.split("||")))

    def contains(self, version: SemanticVersion) -> bool:
        """Whether a version is in the range; prereleases only where a bound of the range names one."""
        for bounds in self.alternatives:
            allows_prerelease = any(bound.version.prerelease for bound in bounds)
            if version.prerelease and not allows_prerelease:
                continue
            if all(bound.holds(version) for bound in bounds):
                return True
        return False


def _bounds(part: str, whole: str) -> list[_Bound]:
    hyphen = _HYPHEN.match(part)
    if hyphen:
        return _bound(">=", hyphen[1], whole) + _bound("<=", hyphen[2], whole)
    bounds: list[_Bound] = []
    position = 0
    while position < len(part):
        if part[position] in " ,\t":
            position += 1
            continue
        found = _PART.match(part, position)
        if found is None:
            raise InvalidRange(f"not a version range: {whole!r}")
        bounds += _bound(found[1] or "=", found[2], whole)
        position = found.end()
    if not part:
        raise InvalidRange(f"not a version range: {whole!r}")
    return bounds


def _bound(operator: str, text: str, whole: str) -> list[_Bound]:
    core, dash, prerelease = text.partition("+")[0].partition("-")
    numbers: list[int] = []
    for number in core.split("."):
        if number in ("x", "X", "*"):
            break
        if not number.isdigit():
            raise InvalidRange(f"not a version range: {whole!r}")
        numbers.append(int(number))
    if dash and len(numbers) != 3:
        raise InvalidRange(f"not a version range: {whole!r}")
    lowest = _version([*numbers, 0, 0, 0][:3], prerelease)
    operator = {"=>": ">=", "=<": "<=", "~>": "~"}.get(operator, operator)
    if operator == "~" and len(numbers) == 3:
        return [_Bound(">=", lowest), _Bound("<", _next(numbers, 1))]
    if operator == "^" and numbers:
        # The left-most number that is not 0 stays (npm and Masterminds agree for whole versions).
        index = next((i for i, number in enumerate(numbers) if number), len(numbers) - 1)
        return [_Bound(">=", lowest), _Bound("<", _next(numbers, index))]
    if len(numbers) == 3:
        return [_Bound("=" if operator in ("~", "^") else operator, lowest)]
    if not numbers:
        if operator in ("<", ">", "!="):
            raise InvalidRange(f"not a version range: {whole!r}")
        return []
    above = _next(numbers, len(numbers) - 1)
    if operator in ("=", "~"):
        return [_Bound(">=", lowest), _Bound("<", above)]
    if operator == ">":
        return [_Bound(">=", above)]
    if operator == "<=":
        return [_Bound("<", above)]
    if operator == "!=":
        raise InvalidRange(f"not a version range: {whole!r}")
    return [_Bound(operator, lowest)]


def _version(numbers: list[int], prerelease: str) -> SemanticVersion:
    text = ".".join(map(str, numbers)) + (f"-{prerelease}" if prerelease else "")
    version = SemanticVersion.parse(text)
    if version is None:
        raise InvalidRange(f"not a version: {text!r}")
    return version


def _next(numbers: list[int], index: int) -> SemanticVersion:
    raised = [*numbers[:index], numbers[index] + 1, 0, 0, 0][:3]
    return _version(raised, "")
