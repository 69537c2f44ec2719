"""Progress: a bar at a terminal, and nothing elsewhere."""

from __future__ import annotations

import sys

import pytest

from image_factory.usecases.progress import NoProgress
from image_factory_cli.progress import MIN_ITEMS, TerminalProgress, progress_for


def test_without_a_terminal_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)

    assert isinstance(progress_for(), NoProgress)


def test_at_a_terminal_there_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)

    assert isinstance(progress_for(), TerminalProgress)


@pytest.mark.parametrize("total", [MIN_ITEMS - 1, MIN_ITEMS + 5])
def test_a_bar_counts_and_is_gone_when_the_work_is_done(total: int, capsys: pytest.CaptureFixture[str]) -> None:
    bar = TerminalProgress()

    bar.start("reading", total)
    for number in range(total):
        bar.advance(f"item {number}")
    bar.finish()
    bar.finish()

    assert capsys.readouterr().out == ""
