"""Heredocs: which words of a line begin one, and where their bodies end.

As in frontend/dockerfile/parser/parser.go: the line is split by the shell lexer, and a word that is
`<<NAME`, `<<-NAME` or `3<<NAME` begins a heredoc; shifts, here-strings and quotes do not. Pure.
"""

from __future__ import annotations

import re

from image_factory.dockerfile.text import Refusal, shown
from image_factory.dockerfile.words import Budget, Lexer, Words

_MARK = re.compile(r"\d*<<(-?)[\t\n\f\r ]*([^<]*)\Z", re.ASCII)


class Heredoc:
    """One heredoc: its name ends the body; `chomp` (`<<-`) lets tabs stand before that name."""

    __slots__ = ("chomp", "name")

    def __init__(self, name: str, chomp: bool) -> None:
        self.name = name
        self.chomp = chomp


def heredocs(line: str) -> list[Heredoc]:
    """Return the heredocs that a line begins, in their order.

    Raises:
        Refusal: the name of one cannot be read.
    """
    if "<<" not in line:
        return []
    try:
        words = _split(line, keep=True)
    except Refusal:
        # BuildKit passes over this error: a line that the shell lexer cannot read has no heredoc.
        return []
    return [found for word in words if (found := parse_heredoc(word)) is not None]


def parse_heredoc(word: str) -> Heredoc | None:
    """Return the heredoc that a word begins, or None.

    Raises:
        Refusal: the name cannot be read.
    """
    found = _MARK.match(word)
    if found is None or not found[2]:
        return None
    try:
        names = _split(found[2], keep=False)
    except Refusal as error:
        raise Refusal(f"unreadable heredoc {shown(word)}: {error.message}") from None
    return Heredoc(names[0], bool(found[1])) if len(names) == 1 else None


def _split(text: str, *, keep: bool) -> list[str]:
    words = Words()
    Lexer(text, {}, "\\", Budget(), words=words, unset=True, quotes=keep, raw=keep).read()
    return words.found


class Bodies:
    """Finds the ends of heredocs in a file's lines, each search in time linear in what it passes over."""

    __slots__ = ("_lines", "_rows")

    def __init__(self, rows: list[str]) -> None:
        self._rows = rows
        self._lines: dict[bool, dict[str, int]] = {}

    def end(self, heredoc: Heredoc, start: int) -> int | None:
        """Return the row after the body that begins at row `start`, or None where nothing ends it."""
        # A file of many heredocs without an end would be read to its end for each of them.
        last = self._last_rows(heredoc.chomp).get(heredoc.name, -1)
        if last < start:
            return None
        rows, chomp, name = self._rows, heredoc.chomp, heredoc.name
        for row in range(start, last + 1):
            text = rows[row].rstrip("\r")
            if (text.lstrip("\t") if chomp else text) == name:
                return row + 1
        return None  # pragma: no cover -- `last` is such a row

    def _last_rows(self, chomp: bool) -> dict[str, int]:
        known = self._lines.get(chomp)
        if known is None:
            known = {
                (row.rstrip("\r").lstrip("\t") if chomp else row.rstrip("\r")): number
                for number, row in enumerate(self._rows)
            }
            self._lines[chomp] = known
        return known
