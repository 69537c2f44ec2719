"""The words of Renovate's rules: what a rule is limited to, and how long an age is. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from fractions import Fraction

from image_factory.imports.answers import FileKind, texts_of
from image_factory.imports.patterns import match_any
from image_factory.state.yaml_tree import MapNode

LEGACY = {
    "packageNames": "matchPackageNames",
    "packagePatterns": "matchPackagePatterns",
    "managers": "matchManagers",
    "datasources": "matchDatasources",
    "paths": "matchFileNames",
    "matchPaths": "matchFileNames",
    "matchFiles": "matchFileNames",
    "updateTypes": "matchUpdateTypes",
    "depTypeList": "matchDepTypes",
    "languages": "matchCategories",
    "matchLanguages": "matchCategories",
}
"""Matchers by the names that they had in earlier versions."""
DECIDED = frozenset(
    {
        "matchPackageNames",
        "matchPackagePatterns",
        "matchPackagePrefixes",
        "excludePackageNames",
        "excludePackagePatterns",
        "excludePackagePrefixes",
        "matchDepNames",
        "matchManagers",
        "matchDatasources",
        "matchCategories",
        "matchFileNames",
        "matchDepTypes",
        "matchUpdateTypes",
    }
)
"""Matchers that can be told without asking a registry."""


_AGE = re.compile(r"\s*(\d{1,9}(?:\.\d{1,6})?|\.\d{1,6})\s*([A-Za-z]+)")
_UNITS = {
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds"), Fraction(1, 1000)),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), Fraction(1)),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), Fraction(60)),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), Fraction(3600)),
    **dict.fromkeys(("d", "day", "days"), Fraction(86_400)),
    **dict.fromkeys(("w", "week", "weeks"), Fraction(7 * 86_400)),
    **dict.fromkeys(("month", "months"), Fraction(30 * 86_400)),
    **dict.fromkeys(("y", "yr", "yrs", "year", "years"), Fraction(365 * 86_400 + 21_600)),
}


UNKNOWN_PRESET = "matchPreset"
"""A matcher of our own: the presets of a rule whose limits are not known."""

IMAGES = ("docker",)
MANAGERS = tuple(kind.value for kind in FileKind)
CATEGORIES = ("docker", "kubernetes", "helm")


def parse_age(text: str) -> timedelta | None:
    """Return the time that a `minimumReleaseAge` names, such as `3 days` or `1 week 12 hours`; None where it is none.

    A month is 30 days and a year 365.25, as Renovate counts them. What is below a second is no time of ours.
    """
    seconds = Fraction(0)
    position = 0
    while position < len(text.rstrip()):
        part = _AGE.match(text, position)
        if part is None:
            return None
        # A capital M alone is a month, a small one a minute.
        unit = Fraction(30 * 86_400) if part[2] == "M" else _UNITS.get(part[2].lower())
        if unit is None:
            return None
        seconds += Fraction(part[1]) * unit
        position = part.end()
    if position == 0 or seconds.denominator != 1 or seconds > 999_999_999 * 86_400:
        return None
    return timedelta(seconds=int(seconds))


def matchers_of(rule: MapNode) -> Mapping[str, Sequence[str]]:
    """Return what a rule is limited to, each matcher by its present name."""
    made: dict[str, Sequence[str]] = {}
    for key, value in rule.entries.items():
        name = LEGACY.get(key, key)
        if name.startswith(("match", "exclude")):
            made[name] = [*made.get(name, ()), *texts_of(value)]
    return made


def is_about_images(matchers: Mapping[str, Sequence[str]]) -> bool:
    """Whether a rule may take an image, as far as its datasources, managers and categories tell."""
    for key, words in (("matchDatasources", IMAGES), ("matchManagers", MANAGERS), ("matchCategories", CATEGORIES)):
        patterns = matchers.get(key)
        if patterns is not None and not any(match_any(word, patterns) for word in words):
            return False
    return True
