"""The words of events, and making foreign text fit to be shown."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.model.event import Event, EventKind, one_line, shorten, tally

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("kind", EventKind)
def test_every_kind_has_a_headline(kind: EventKind) -> None:
    assert kind.headline[0].isupper()


@given(st.text())
def test_one_line_is_one_line_that_can_be_seen(text: str) -> None:
    line = one_line(text)

    assert line.isprintable()
    assert one_line(line) == line


def test_a_header_cannot_be_smuggled_in_and_text_cannot_be_turned_around() -> None:
    assert one_line("moved\r\nBcc: x@example.com \u202edrow") == "moved Bcc: x@example.com �drow"


@given(st.text(max_size=300), st.integers(64, 200))
def test_what_is_shortened_fits_and_says_how_much_was_left_out(text: str, limit: int) -> None:
    short = shorten(text, limit)

    assert len(short) <= limit
    assert short == text or short.endswith("characters left out)")


def test_a_tally_counts_by_kind() -> None:
    kinds = (EventKind.TAG_VANISHED, EventKind.BASE_MOVED, EventKind.BASE_MOVED)

    assert tally(Event(kind, AT, "web", "x") for kind in kinds) == "2 × Base image moved, 1 × Tag vanished"
