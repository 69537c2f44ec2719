"""Progress of long work: a bar at a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
from typing import Any

from image_factory.usecases.progress import NoProgress, Progress

MIN_ITEMS = 5
"""Below this many items a bar would only flash by."""


class TerminalProgress:
    """A bar on standard error that goes away when the work is done."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None

    def start(self, label: str, total: int) -> None:
        if total < MIN_ITEMS:
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[item]}", style="dim"),
            console=Console(stderr=True),
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task(label, total=total, item="")

    def advance(self, item: str) -> None:
        if self._bar is not None:
            self._bar.update(self._task, advance=1, item=item)

    def finish(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def progress_for() -> Progress:
    """Return a bar where standard error is a terminal, else nothing."""
    return TerminalProgress() if sys.stderr.isatty() else NoProgress()
