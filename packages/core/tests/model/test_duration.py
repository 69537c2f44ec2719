from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.errors import UserError
from image_factory.model.duration import DURATION_PATTERN, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("7d", timedelta(days=7), id="days"),
        pytest.param("36h", timedelta(hours=36), id="hours"),
        pytest.param("90m", timedelta(minutes=90), id="minutes"),
        pytest.param("5s", timedelta(seconds=5), id="seconds"),
        pytest.param("2w", timedelta(weeks=2), id="weeks"),
        pytest.param("1w2d", timedelta(days=9), id="a sum"),
        pytest.param("0", timedelta(), id="nothing, without a unit"),
        pytest.param("0d", timedelta(), id="nothing, with a unit"),
        pytest.param(" 7d ", timedelta(days=7), id="blanks around it"),
        pytest.param("999999999d", timedelta(days=999_999_999), id="the longest"),
    ],
)
def test_a_duration_is_read(text: str, expected: timedelta) -> None:
    assert expected == parse_duration(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("7x", id="a unit that is none"),
        pytest.param("7", id="a number without a unit"),
        pytest.param("", id="nothing at all"),
        pytest.param("-1d", id="a negative one"),
        pytest.param("1.5d", id="a fraction"),
        pytest.param("1 d", id="a blank inside"),
        pytest.param("7D", id="a capital unit"),
        pytest.param("P7D", id="ISO 8601"),
        pytest.param("٧d", id="digits of another script"),
        pytest.param("7d\n8d", id="two lines"),
        pytest.param("9" * 100_000 + "d", id="a hundred thousand digits"),
        pytest.param("999999999d24h", id="a second longer than a timedelta can be"),
        pytest.param("999999999w", id="longer than a timedelta can be"),
    ],
)
def test_what_is_no_duration_is_refused_with_the_grammar_in_the_hint(text: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_duration(text)

    assert len(caught.value.message) < 200
    assert "d" in caught.value.hint


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta.max))
def test_what_is_written_is_read_back_to_the_second(duration: timedelta) -> None:
    written = format_duration(duration)

    assert re.match(DURATION_PATTERN, written)
    assert duration - timedelta(microseconds=duration.microseconds) == parse_duration(written)


def test_a_part_of_a_second_is_dropped_however_long_the_rest_is() -> None:
    assert format_duration(timedelta(days=101_806_633, microseconds=999_024)) == "101806633d"


def test_less_than_nothing_is_written_as_nothing() -> None:
    assert format_duration(timedelta(days=-3)) == "0"
