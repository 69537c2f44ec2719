"""The clock that stands still."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from image_factory.ports import Clock
from image_factory.shell.clock import SystemClock
from image_factory.testing.clock import START, FixedClock


def test_it_is_a_clock_and_so_is_the_systems() -> None:
    assert isinstance(FixedClock(), Clock)
    assert isinstance(SystemClock(), Clock)


def test_it_moves_only_when_told() -> None:
    clock = FixedClock()

    assert (clock.now(), clock.now()) == (START, START)
    assert clock.advance(timedelta(hours=1)) == START + timedelta(hours=1)
    clock.sleep(timedelta(minutes=5))
    clock.sleep(timedelta(minutes=-5))

    assert clock.now() == START + timedelta(hours=1, minutes=5)
    assert clock.slept == [timedelta(minutes=5), timedelta(minutes=-5)]


def test_it_tells_utc() -> None:
    east = timezone(timedelta(hours=2))

    assert FixedClock(datetime(2026, 1, 1, 2, tzinfo=east)).now() == datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="zone"):
        FixedClock(datetime(2026, 1, 1))  # noqa: DTZ001 - what it refuses


def test_the_systems_clock_tells_utc_and_sleeps() -> None:
    clock = SystemClock()
    before = clock.now()

    clock.sleep(timedelta(milliseconds=20))
    clock.sleep(timedelta(seconds=-1))

    assert clock.now() - before >= timedelta(milliseconds=20)
    assert before.tzinfo is UTC
