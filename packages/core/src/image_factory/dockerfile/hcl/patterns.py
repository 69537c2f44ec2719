"""RE2 patterns, as Go's `regexp` takes them, on Python's `re`: only those that cannot run away.

RE2 takes time linear in the text; `re` tries every way. So a pattern that repeats a repetition is
refused, and one whose ways are too many for its text. Pure.
"""

from __future__ import annotations

import re
from functools import lru_cache

from image_factory.dockerfile.hcl.nodes import HclError

MAX_PATTERN = 500
"""Characters of a pattern."""
MAX_STEPS = 1_000_000
"""Ways that matching may try: the text's length to the power of the pattern's repetitions."""

# What RE2 has and `re` has not, or the other way round: look-around, back references, named classes.
_FOREIGN = re.compile(r"\[\[:|\\[pPQECkG1-9]|\(\?(?:[=!>#(]|<[=!]|P=|P>|[a-zA-Z-]*[^a-zA-Z:<P)-])|[*+?}]\+")
_MARK = re.compile(
    r"\\.|\[\^?+\]?+(?:\\.|[^\]\\])*\]|\((?:\?(?:P?<\w+>|[a-zA-Z-]*:|[a-zA-Z-]*(?=\))))?|\)|[*+]|\{\d+(?:,\d*)?\}|\?|\||.",
    re.DOTALL,
)
_REPLACEMENT = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})")


def compile_pattern(pattern: str, text: str, line: int) -> re.Pattern[str]:
    """Return the pattern, ready for `text`.

    Raises:
        HclError: it is no pattern, or one that could take too long.
    """
    shown = pattern[:60]
    if len(pattern) > MAX_PATTERN or _FOREIGN.search(pattern):
        raise HclError(line, f"a pattern that is not read here: {shown!r}")
    repetitions = _repetitions(pattern)
    if repetitions is None or (len(text) + 1) ** repetitions > MAX_STEPS:
        raise HclError(line, f"a pattern that could take too long: {shown!r}")
    try:
        return _compiled(pattern)
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        raise HclError(line, f"not a pattern: {shown!r}") from error


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(_MARK.sub(_rewritten, pattern))


def _rewritten(found: re.Match[str]) -> str:
    """Return a part of a pattern as `re` writes it; in a set, what `re` keeps for set operations is escaped."""
    mark = found.group()
    if mark.startswith("["):
        if len(mark) == 1 or "--" in mark:
            raise ValueError(mark)
        return "[" + re.sub(r"(\\.)|([\[&~|])", lambda inner: inner[1] or f"\\{inner[2]}", mark[1:])
    if mark.startswith("(?<"):
        return f"(?P{mark[2:]}"
    return "\\Z" if mark == "\\z" else mark


def _repetitions(pattern: str) -> int | None:
    """Return how many parts of a pattern may be repeated, 1 for the place it begins at included.

    None where what is repeated repeats itself, or chooses: there the ways double with each character.
    """
    total = 1
    groups = [False]
    closed = False
    for found in _MARK.finditer(pattern):
        mark = found.group()
        if mark.startswith("(") and not mark.startswith("\\"):
            groups.append(False)
        elif mark == ")" and len(groups) > 1:
            closed = groups.pop()
            groups[-1] = groups[-1] or closed
            continue
        elif mark in ("*", "+", "?") or (mark.startswith("{") and len(mark) > 1):
            if closed and mark != "?":
                return None
            if mark.startswith("{") and max(map(int, re.findall(r"\d+", mark))) > 100:
                return None
            total += 1
            groups[-1] = True
        elif mark == "|":
            groups[-1] = True
        closed = False
    return total


def replace_all(pattern: re.Pattern[str], text: str, replacement: str, line: int) -> str:
    """Return the text with each match replaced; `$1`, `${1}`, `$name` and `$$` as Go's `Expand` reads them."""
    if (len(text) + 1) * len(replacement) > 4_000_000:
        raise HclError(line, "a text of more than 4000000 characters")

    def expanded(found: re.Match[str]) -> str:
        def group(reference: re.Match[str]) -> str:
            if reference[1]:
                return "$"
            name = reference[2] or reference[3]
            try:
                return found[int(name) if name.isdecimal() else name] or ""
            except IndexError:
                return ""

        return _REPLACEMENT.sub(group, replacement)

    return pattern.sub(expanded, text)
