"""When a coordination window closes, from first sights and delays alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from image_factory.decide.window import closes_at, last_request_at
from image_factory.model.image_state import Build
from image_factory.model.request import RebuildRequest, RequestStatus

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HALF = timedelta(minutes=30)


def minutes(number: int) -> datetime:
    return NOON + timedelta(minutes=number)


@pytest.mark.parametrize(
    ("opens", "length", "last", "expected"),
    [
        pytest.param(0, 30, None, 30, id="it closes its length after it opened"),
        pytest.param(0, 0, None, 0, id="a length of nothing closes at once"),
        pytest.param(0, 30, -30, 30, id="a request just a window ago holds nothing up"),
        pytest.param(0, 30, -600, 30, id="nor does one of long ago"),
        pytest.param(0, 30, 10, 40, id="a request within it holds the next one up for a whole length"),
        pytest.param(0, 0, 10, 10, id="with a length of nothing the same instant may request again"),
    ],
)
def test_when_a_window_closes(opens: int, length: int, last: int | None, expected: int) -> None:
    known = None if last is None else minutes(last)

    assert closes_at(minutes(opens), timedelta(minutes=length), last_request_at=known) == minutes(expected)


def test_a_length_past_the_end_of_time_closes_then() -> None:
    assert closes_at(NOON, timedelta(days=10_000_000)).year == 9999


def request(at: int) -> RebuildRequest:
    return RebuildRequest(
        name="web", request_id="web-1", status=RequestStatus.FAILED, requested_at=minutes(at), reason="due"
    )


def build(at: int) -> Build:
    return Build(at=minutes(at), reason="due", trigger="policy", result="failed")


@pytest.mark.parametrize(
    ("asked", "built", "expected"),
    [
        pytest.param(None, None, None, id="never"),
        pytest.param(-20, None, -20, id="by the request's file"),
        pytest.param(None, -20, -20, id="by the history, where the file is gone"),
        pytest.param(-20, -5, -5, id="the later of the two"),
        pytest.param(500, None, None, id="a time in the future, from a clock that was wrong, holds nothing up"),
        pytest.param(500, -5, -5, id="nor does it hide one that is right"),
        pytest.param(0, None, 0, id="this very instant"),
    ],
)
def test_when_an_image_was_last_requested(asked: int | None, built: int | None, expected: int | None) -> None:
    found = last_request_at(
        None if asked is None else request(asked), () if built is None else (build(-600), build(built)), NOON
    )

    assert found == (None if expected is None else minutes(expected))
