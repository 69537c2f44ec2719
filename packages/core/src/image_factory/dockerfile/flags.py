"""The flags of an instruction: `--platform=…`, `--from=…`, `--mount=…`, in any order and number.

Read as in frontend/dockerfile/parser/split_command.go, checked as in instructions/bflag.go. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from image_factory.dockerfile.text import SPACES, Refusal, shown

_PLAIN = {escape: re.compile(rf"--[^\s'\"{re.escape(escape)}\x80-\U0010ffff]*+(?=[ \t]|\Z)") for escape in "\\`"}
_BLANK = " \t\n\v\f\r"
_BYTE_SPACES = frozenset(_BLANK + "\x85\xa0")

SWITCH = "switch"
TEXT = "text"
TEXTS = "texts"


class Flag:
    """One flag as a word, and where each of its characters stands in the instruction."""

    __slots__ = ("end", "positions", "start", "word")

    def __init__(self, word: str, start: int, end: int, positions: list[int] | None = None) -> None:
        self.word = word
        self.start = start
        self.end = end
        self.positions = positions

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return where the characters `start` to `end` of the word stand in the instruction."""
        if self.positions is None:
            return self.start + start, self.start + end
        if start >= end:
            return self.end, self.end
        return self.positions[start], self.positions[end - 1] + 1


def read_flags(text: str, start: int, escape: str) -> tuple[list[Flag], int]:
    """Return the flags that stand at `start` of an instruction, and where its arguments begin."""
    flags: list[Flag] = []
    plain = _PLAIN[escape]
    length = len(text)
    while start < length:
        if text[start] in _BLANK:
            start += 1
            continue
        if not text.startswith("--", start):
            break
        found = plain.match(text, start)
        if found is None:
            flag, end = _read_quoted(text, start, escape)
        else:
            end = found.end()
            flag = Flag(found[0], start, end)
        start = end
        if flag.word == "--":
            break
        flags.append(flag)
    while start < length and text[start] in SPACES:
        start += 1
    return flags, start


def _read_quoted(text: str, start: int, escape: str) -> tuple[Flag, int]:
    """Read a flag with quotes, escapes or other than ASCII: quotes and escapes do not stay.

    BuildKit reads flags byte by byte, each byte as a character: `é` becomes two, of which some are
    space. The same here, so that words end where its words end.
    """
    out: list[str] = []
    positions: list[int] = []
    quote = ""
    escaped = False
    for index in range(start, len(text)):
        char = text[index]
        units = char if char < "\x80" else char.encode("utf-8", "surrogatepass").decode("latin-1")
        for unit in units:
            if escaped:
                escaped = False
            elif quote:
                if unit == quote:
                    quote = ""
                    continue
                if unit == escape:
                    escaped = True
                    continue
            elif unit in _BYTE_SPACES:
                return Flag("".join(out), start, index, positions), index if units is char else index + 1
            elif unit in "'\"":
                quote = unit
                continue
            elif unit == escape:
                escaped = True
                continue
            out.append(unit)
            positions.append(index)
    return Flag("".join(out), start, len(text), positions), len(text)


def check_flags(flags: list[Flag], known: Mapping[str, str]) -> list[tuple[str, str, Flag]]:
    """Return the flags as names and values.

    Raises:
        Refusal: a flag is not known, stands twice, or has no value or a wrong one.
    """
    result: list[tuple[str, str, Flag]] = []
    seen: set[str] = set()
    for flag in flags:
        name, equals, value = flag.word.partition("=")
        kind = known.get(name[2:])
        if kind is None:
            raise Refusal(f"unknown flag: {shown(name)}")
        if name in seen and kind != TEXTS:
            raise Refusal(f"flag given twice: {name}")
        seen.add(name)
        if kind == SWITCH:
            if (equals and not value) or value.lower() not in ("", "true", "false"):
                raise Refusal(f"{name} is true or false, not {shown(value)}")
        elif not equals:
            raise Refusal(f"{name} needs a value")
        result.append((name[2:], value, flag))
    return result
