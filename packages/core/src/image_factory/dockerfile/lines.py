"""Lines: from the text of a Dockerfile to its instructions, each on one line however many it was written on.

Comments, blank lines, continuations, the escape directive and the bodies of heredocs end here, as in
frontend/dockerfile/parser/parser.go. Pure; time is linear in the text.
"""

from __future__ import annotations

import re

from image_factory.dockerfile.directives import read_directive
from image_factory.dockerfile.exec_form import exec_form
from image_factory.dockerfile.findings import Findings
from image_factory.dockerfile.flags import read_flags
from image_factory.dockerfile.heredocs import Bodies, heredocs
from image_factory.dockerfile.reading import Span
from image_factory.dockerfile.text import BOM, MAX_LINE, SPACES, Refusal

_HEAD = re.compile(r"([^\t\v\f\r ]+)[\t\v\f\r ]*")
_WITH_HEREDOCS = frozenset({"run", "copy", "add"})


class Instruction:
    """One instruction on one line.

    Attributes:
        keyword: its first word in lower case.
        text: the line, without the spaces around it.
        rest: where in the text what follows the keyword begins.
        line, end_line: its first and last line in the file, a heredoc's body included.
    """

    __slots__ = ("_pieces", "_start", "end_line", "keyword", "line", "rest", "text")

    def __init__(self, text: str, line: int, end_line: int, start: int, pieces: list[tuple[int, int]] | None) -> None:
        self.text = text
        self.line = line
        self.end_line = end_line
        self._start = start
        self._pieces = pieces
        found = _HEAD.match(text)
        if found is None:
            self.keyword = ""
            self.rest = len(text)
        else:
            self.keyword = found[1].lower()
            self.rest = found.end()

    def offset(self, index: int) -> int:
        """Return where in the file the character `index` of the text stands."""
        if self._pieces is None:
            return self._start + index
        index += self._start
        low, high = 0, len(self._pieces)
        while high - low > 1:
            middle = (low + high) // 2
            if self._pieces[middle][0] <= index:
                low = middle
            else:
                high = middle
        begin, at = self._pieces[low]
        return at + index - begin

    def span(self, start: int, end: int) -> Span:
        """Return where in the file the characters `start` to `end` of the text stand."""
        if start >= end:
            at = self.offset(start)
            return Span(at, at)
        return Span(self.offset(start), self.offset(end - 1) + 1)


class Lines:
    """The instructions of a file, its escape character, and what was wrong with its lines."""

    __slots__ = ("escape", "findings", "instructions")

    def __init__(self, text: str) -> None:
        self.instructions: list[Instruction] = []
        self.findings = Findings()
        self.escape = "\\"
        self._read(text)

    def _read(self, text: str) -> None:
        rows = text.split("\n")
        if not rows[-1]:
            rows.pop()
        count = len(rows)
        if rows and rows[0].startswith(BOM):
            rows[0] = rows[0][1:]
        position = 1 if text.startswith(BOM) else 0
        escape = "\\"
        directives: set[str] | None = set()
        bodies: Bodies | None = None
        add = self.instructions.append
        at = 0
        while at < count:
            row = rows[at]
            start = position
            at += 1
            position += len(row) + 1
            line = row.lstrip(SPACES)
            if not line:
                directives = None
                continue
            if len(row) > MAX_LINE // 4 and _too_long(row):
                self.findings.add(at, f"a line is longer than {MAX_LINE} bytes")
                directives = None
                continue
            start += len(row) - len(line)
            if line[-1] == "\r":
                line = line.rstrip("\r")
            if line[0] == "#":
                if directives is not None:
                    escape, directives = self._directive(line, at, escape, directives)
                continue
            directives = None
            number = at
            pieces: list[tuple[int, int]] | None = None
            if escape in line:
                bare = _continued(line, escape)
                if bare is not None:
                    parts = [bare]
                    pieces = [(0, start)]
                    length = len(bare)
                    while at < count:
                        row = rows[at]
                        begin = position
                        at += 1
                        position += len(row) + 1
                        if len(row) > MAX_LINE // 4 and _too_long(row):
                            self.findings.add(at, f"a line is longer than {MAX_LINE} bytes")
                            continue
                        line = row.lstrip(SPACES)
                        if not line or line[0] == "#":
                            continue
                        line = row.rstrip("\r")
                        bare = _continued(line, escape) if escape in line else None
                        part = line if bare is None else bare
                        if part:
                            parts.append(part)
                            pieces.append((length, begin))
                            length += len(part)
                        if bare is None:
                            break
                    whole = "".join(parts)
                    line = whole.lstrip(SPACES)
                    start = len(whole) - len(line)
            if line[-1:] in SPACES:
                line = line.rstrip(SPACES)
            instruction = Instruction(line, number, at, start, pieces)
            add(instruction)
            if "<<" in line:
                if bodies is None:
                    bodies = Bodies(rows)
                end = self._after_heredocs(instruction, escape, bodies, at)
                while at < end:
                    position += len(rows[at]) + 1
                    at += 1
                instruction.end_line = at
        self.escape = escape

    def _directive(self, line: str, number: int, escape: str, seen: set[str]) -> tuple[str, set[str] | None]:
        """Read a comment at the top: the escape character after it, and None where directives are over."""
        directive = read_directive(line, 0, "#", number)
        if directive is None:
            return escape, None
        if directive.name in seen:
            self.findings.add(number, f"the directive {directive.name!r} stands twice")
            return escape, seen
        seen.add(directive.name)
        if directive.name == "escape":
            if directive.value in ("\\", "`"):
                return directive.value, seen
            self.findings.add(number, f"the escape character is \\ or `, not {directive.value[:40]!r}")
        return escape, seen

    def _after_heredocs(self, instruction: Instruction, escape: str, bodies: Bodies, row: int) -> int:
        """Return the row after the bodies of an instruction's heredocs, of which there may be none."""
        text, keyword, rest = instruction.text, instruction.keyword, instruction.rest
        if keyword == "onbuild":
            rest = read_flags(text, rest, escape)[1]
            found = _HEAD.match(text, rest)
            if found is None:
                return row
            keyword, rest = found[1].lower(), found.end()
        if keyword not in _WITH_HEREDOCS:
            return row
        try:
            if exec_form(text[read_flags(text, rest, escape)[1] :]) is not None:
                return row
            started = heredocs(text)
        except Refusal as error:
            self.findings.add(instruction.line, error.message)
            return row
        for heredoc in started:
            end = bodies.end(heredoc, row)
            if end is None:
                # What follows is read as if it were no body: a shift taken for a heredoc must not hide the rest.
                self.findings.add(instruction.line, f"the heredoc {heredoc.name[:40]!r} has no end")
                return row
            row = end
        return row


def _too_long(row: str) -> bool:
    return len(row) > MAX_LINE or len(row.encode("utf-8", "surrogatepass")) > MAX_LINE


def _continued(line: str, escape: str) -> str | None:
    """Return the line without the escape that continues it, or None where the next line is another."""
    bare = line.rstrip(" \t")
    if bare[-1:] != escape or bare[-2:-1] == escape:
        return None
    return bare[:-1]
