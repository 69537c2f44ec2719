"""How the demo is shown: a line a step with what it learned; colours and a spinner at a terminal alone."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

MAX_WIDTH = 110
"""Columns beyond which lines are hard to follow."""


class Screen:
    """Writes the demo's lines. Text is always `Text`, so that no name can be taken for markup."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(file=sys.stdout, highlight=False, width=_width(), soft_wrap=False)
        self._step = 0

    def title(self, title: str, subtitle: str) -> None:
        self.console.print()
        self.console.print(Text(title, style="bold"))
        self.console.print(Text(subtitle, style="dim"))

    def chapter(self, title: str) -> None:
        self.console.print()
        self.console.print(Rule(Text(title, style="bold cyan"), align="left", style="cyan", characters="─"))

    @contextmanager
    def step(self, words: Sequence[str] | None, doing: str) -> Iterator[StepResult]:
        """Show a step: the command as one would type it, then what was learned by it and how long it took."""
        self._step += 1
        result = StepResult()
        head = Text(f"$ {command_line(words)}" if words else f"{doing[:1].upper()}{doing[1:]}", style="bold")
        self._indented(Text(f"{self._step}", style="dim"), head)
        if self.console.is_terminal:
            with self.console.status(Text(doing, style="dim"), spinner="dots"):
                yield result
        else:
            yield result
        line = Text(result.learned)
        if result.seconds >= _WORTH_TELLING:
            line.append(f"  {result.seconds:.1f} s", style="dim")
        self._indented(Text("✓", style="green"), line)

    def _indented(self, mark: Text, line: Text) -> None:
        """Write a line behind a mark; what does not fit goes on below the line, not below the mark."""
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(width=2, justify="right")
        grid.add_column(overflow="fold")
        grid.add_row(mark, line)
        self.console.print(grid)

    def output(self, text: str, *, is_cut: bool = False) -> None:
        """Show what a command wrote, indented; with `is_cut`, a line that is too long ends in an ellipsis."""
        for line in text.rstrip("\n").splitlines():
            style = {"+": "green", "-": "red"}.get(line[:1], "dim")
            left = _INDENT + len(line) - len(line.lstrip()) + (0 if is_cut else _HANGING)
            shown = Text(line.strip() if not is_cut else line, style=style)
            if is_cut:
                self.console.print(Padding(shown, (0, 0, 0, _INDENT), expand=False), no_wrap=True, overflow="ellipsis")
            else:
                wrapped = shown.wrap(self.console, self.console.width - left)
                for at, part in enumerate(wrapped):
                    self.console.print(Padding(part, (0, 0, 0, left if at else left - _HANGING), expand=False))

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 3, 0, 0))
        for heading in headings:
            table.add_column(heading, overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell, style="bold yellow" if at == 0 else "") for at, cell in enumerate(row)))
        self.console.print(Padding(table, (1, 0, 0, _INDENT), expand=False))

    def closing(self, title: str, lines: Sequence[tuple[str, str]]) -> None:
        """Show how to go on: commands, and what each does."""
        body = Table.grid()
        body.add_column(overflow="fold")
        for command, meaning in lines:
            body.add_row(Text(f"# {meaning}", style="dim"))
            body.add_row(Text(command, style="bold"))
        self.console.print()
        if self.console.is_terminal:
            self.console.print(Panel(body, title=Text(title), title_align="left", border_style="green"))
        else:
            self.console.print(Text(title))
            self.console.print(Padding(body, (0, 0, 0, _INDENT), expand=False))


_INDENT = 4
_HANGING = 2
"""Columns: how far output stands in, and how much further the rest of a long line."""
_WORTH_TELLING = 0.05
"""Seconds below which a step's time says nothing."""


class StepResult:
    """What a step reports of itself when it is done."""

    def __init__(self) -> None:
        self.learned = ""
        self.seconds = 0.0


def command_line(words: Sequence[str]) -> str:
    """Return a command as one types it at a shell."""
    return " ".join(word if word.startswith("…") else shlex.quote(word) for word in words)


def _width() -> int | None:
    """Return the width to write for: the terminal's up to a limit, a fixed one where there is no terminal."""
    if not sys.stdout.isatty():
        return int(os.environ.get("COLUMNS") or MAX_WIDTH)
    return min(os.get_terminal_size().columns, MAX_WIDTH)
