"""Options for times: what is written as images.yaml writes it is read, anything else is bad input."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from image_factory.errors import UserError
from image_factory_cli.times import instant, length


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC), id="a date is its midnight"),
        pytest.param("2026-03-01T12:00:00+02:00", datetime(2026, 3, 1, 10, tzinfo=UTC), id="a zone is minded"),
    ],
)
def test_instants_are_in_utc(text: str, expected: datetime) -> None:
    assert instant(text) == expected


def test_lengths_are_written_as_in_images_yaml() -> None:
    assert length("1h30m") == timedelta(minutes=90)


@pytest.mark.parametrize("read", [instant, length])
def test_anything_else_is_bad_input_that_is_shown(read: Callable[[str], object]) -> None:
    with pytest.raises(UserError, match="'tomorrow'"):
        read("tomorrow")


def test_a_default_is_taken_as_it_is() -> None:
    assert length(timedelta(1)) == timedelta(1)
    assert instant(datetime(2026, 3, 1, tzinfo=UTC)) == datetime(2026, 3, 1, tzinfo=UTC)
