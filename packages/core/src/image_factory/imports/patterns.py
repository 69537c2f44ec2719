"""The patterns that bots take: globs as minimatch reads them, and regular expressions, in bounded time. Pure.

A pattern comes from a repository that anyone may have written. Renovate matches with RE2, in linear time;
Python's engine tries again and again, so that an expression whose tries could multiply is not taken.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache

from image_factory.errors import UserError

MAX_PATTERN = 500
"""Characters of one pattern."""
MAX_TRIES = 3
"""Repetitions without an upper bound in one expression: the time grows with that power of the text's length."""
MAX_TEXT = 512
"""Characters of a path or name that patterns are tried on."""

Predicate = Callable[[str], bool]

_REPEAT = re.compile(r"[*+]|\{\d*,\d*\}|\{\d+\}")


def match_any(text: str, patterns: Sequence[str]) -> bool:
    """Whether a list of globs and `/expressions/` takes `text`: one of those without `!`, and none of those with.

    Raises:
        UserError: one of the patterns is none, or could take too long.
    """
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    refused = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    if not patterns or (wanted and not any(_matches(text, pattern) for pattern in wanted)):
        return False
    return not any(_matches(text, pattern) for pattern in refused)


def _matches(text: str, pattern: str) -> bool:
    if pattern in ("*", text):
        return True
    flags = re.fullmatch(r"/(.*)/(i?)", pattern, re.DOTALL)
    if flags is not None:
        return expression(flags[1], ignore_case=bool(flags[2]))(text)
    return glob(pattern, ignore_case=True)(text)


@lru_cache(maxsize=4096)
def glob(pattern: str, *, ignore_case: bool = False) -> Predicate:
    """Return what tells whether a path is of a glob: `*` and `?` within a part, `**` for any parts, `{a,b}`, `[a-z]`.

    Raises:
        UserError: it is too long, or has too many stars.
    """
    alternatives = [_Parts(each, ignore_case) for each in _braces(_checked(pattern))]
    return lambda text: len(text) <= MAX_TEXT and any(each.match(text) for each in alternatives)


@lru_cache(maxsize=4096)
def expression(pattern: str, *, ignore_case: bool = False) -> Predicate:
    """Return what tells whether a regular expression is found in a text.

    Raises:
        UserError: it is none, or could take too long.
    """
    _check_repeats(_checked(pattern))
    found = _compiled(pattern, re.IGNORECASE if ignore_case else 0, pattern)
    return lambda text: len(text) <= MAX_TEXT and found.search(text) is not None


def _compiled(text: str, flags: int, pattern: str) -> re.Pattern[str]:
    """Return an expression; what Python's engine may come to read otherwise one day is no matter here."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return re.compile(text, flags)
    except (re.error, OverflowError, RecursionError) as error:
        raise UserError(f"not a pattern: {pattern[:80]!r} ({error})", hint="correct it") from error


def _checked(pattern: str) -> str:
    if len(pattern) > MAX_PATTERN:
        raise UserError(f"a pattern of more than {MAX_PATTERN} characters", hint="write several")
    return pattern


def _check_repeats(pattern: str) -> None:
    """Refuse what could take more tries than a small power of the text's length."""
    tries = 0
    groups = [False]  # of each open group, whether it repeats or chooses
    position = 0
    closed: bool | None = None  # of a group that has just ended
    while position < len(pattern):
        character = pattern[position]
        if character == "\\":
            if pattern[position + 1 : position + 2].isdigit():
                raise _slow(pattern)
            position, closed = position + 2, None
            continue
        if character == "[":
            end = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL).match(pattern, position)
            position, closed = (len(pattern) if end is None else end.end()), None
            continue
        if character == "(":
            if re.match(r"\(\?(?![:Pi])", pattern[position:]) or pattern.startswith("(?P=", position):
                raise _slow(pattern)  # RE2 has no lookaround either
            groups.append(False)
        elif character == ")" and len(groups) > 1:
            closed = groups.pop()
            groups[-1] = groups[-1] or closed
            position += 1
            continue
        elif character == "|":
            groups[-1] = True
        elif repeat := _REPEAT.match(pattern, position):
            if closed:
                raise _slow(pattern)
            groups[-1] = True
            tries += 1
            position = repeat.end()
            closed = None
            continue
        closed = None
        position += 1
    if tries > MAX_TRIES:
        raise _slow(pattern)


def _slow(pattern: str) -> UserError:
    return UserError(
        f"a regular expression that could take too long: {pattern[:80]!r}",
        hint=f"write one with at most {MAX_TRIES} repetitions, none of them within another",
    )


def _braces(pattern: str) -> list[str]:
    """Return the alternatives of `{a,b}`; at most 64 of them."""
    done, waiting = [], [pattern]
    while waiting:
        text = waiting.pop()
        match = re.search(r"\{([^{}]*,[^{}]*)\}", text)
        if match is None:
            done.append(text)
        else:
            waiting += [text[: match.start()] + each + text[match.end() :] for each in match[1].split(",")]
        if len(done) + len(waiting) > 64:
            raise UserError(f"a pattern with more than 64 alternatives: {pattern[:80]!r}", hint="write several")
    return done


class _Parts:
    """A glob part by part: what `**` stands for is tried once for each pair of parts, and never again."""

    def __init__(self, pattern: str, ignore_case: bool) -> None:
        flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
        self._parts = [
            None if part == "**" else _compiled(_translated(part), flags, part)
            for part in pattern.removeprefix("./").split("/")
        ]

    def match(self, text: str) -> bool:
        names = text.split("/")
        # Whether what is left of the names, by their number, is what is left of the pattern.
        rest = [False] * len(names) + [True]
        for index, part in enumerate(reversed(self._parts)):
            here = [False] * (len(names) + 1)
            for start in range(len(names), -1, -1):
                if part is not None:
                    here[start] = start < len(names) and rest[start + 1] and part.fullmatch(names[start]) is not None
                elif index == 0:
                    here[start] = start < len(names)  # what is in a folder, not the folder
                else:
                    here[start] = rest[start] or (start < len(names) and here[start + 1])
            rest = here
        return rest[0]


def _translated(part: str) -> str:
    """Return one part of a glob as a regular expression that never goes back behind what follows a star."""
    chunks: list[str] = [""]
    for piece in re.findall(r"\*+|\?|\[[!^]?\]?[^\]]*\]|\\.|.", part, re.DOTALL):
        if piece[0] == "*":
            chunks.append("")
        elif piece == "?":
            chunks[-1] += "."
        elif piece[0] == "[" and len(piece) > 2:
            inner = piece[1:-1].replace("\\", r"\\").replace("[", r"\[")
            chunks[-1] += f"[^{inner[1:]}]" if inner[0] in "!^" else f"[{inner}]"
        else:
            chunks[-1] += re.escape(piece[1:] if piece[0] == "\\" and len(piece) > 1 else piece)
    first, *middle = chunks
    if not middle:
        return first
    last = middle.pop()
    return first + "".join(f"(?>.*?{chunk})" for chunk in middle) + f".*{last}"
