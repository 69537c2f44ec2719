"""How long work tells of its progress. Light, since every command imports it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told of long work; the terminal draws a bar from it, a log nothing."""

    def start(self, label: str, total: int) -> None: ...

    def advance(self, item: str) -> None: ...

    def finish(self) -> None: ...


class NoProgress:
    """Progress that nobody watches."""

    def start(self, label: str, total: int) -> None:
        pass

    def advance(self, item: str) -> None:
        pass

    def finish(self) -> None:
        pass
