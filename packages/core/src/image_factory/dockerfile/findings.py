"""Findings: the diagnostics of one reading as they are come upon, up to a bound. Pure."""

from __future__ import annotations

from image_factory.dockerfile.reading import Category, Diagnostic

MAX_FINDINGS = 10_000
"""Diagnostics that are listed; a last one tells that there are more. A file of noise would have millions."""


class Findings:
    """What could not be read, in the order in which it was found."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: list[Diagnostic] = []

    def add(self, line: int, message: str, category: Category = Category.SYNTAX) -> None:
        """Take down that something on a line could not be read."""
        if len(self._found) < MAX_FINDINGS:
            self._found.append(Diagnostic(category, line, message))
        elif len(self._found) == MAX_FINDINGS:
            message = f"there are more than {MAX_FINDINGS} diagnostics; from here on they are not listed"
            self._found.append(Diagnostic(category, line, message))

    def listed(self, more: list[Findings]) -> tuple[Diagnostic, ...]:
        """Return these findings and more, each once, by line."""
        every = list(self._found)
        for findings in more:
            every += findings._found
        if len(more) > 1:
            every = list(dict.fromkeys(every))
        if len(every) > 1:
            every.sort(key=_line)
        return tuple(every)


def _line(diagnostic: Diagnostic) -> int:
    return diagnostic.line
