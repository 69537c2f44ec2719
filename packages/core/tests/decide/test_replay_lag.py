"""How far behind: stretches of time, and the quantiles of what they hold, each instant weighing the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.decide.replay_lag import NO_LAG, Stretch, measure

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def stretch(begin: float, end: float, since: float | None) -> Stretch:
    return Stretch(START + begin * DAY, START + end * DAY, None if since is None else START + since * DAY)


@pytest.mark.parametrize(
    ("stretches", "median", "p90", "longest", "share"),
    [
        pytest.param([], 0, 0, 0, 1.0, id="nothing"),
        pytest.param([stretch(0, 10, None)], 0, 0, 0, 1.0, id="always up to date"),
        pytest.param([stretch(0, 10, 0)], 5, 9, 10, 0.0, id="never"),
        pytest.param([stretch(0, 10, -10)], 15, 19, 20, 0.0, id="behind from before"),
        pytest.param([stretch(0, 5, None), stretch(5, 10, 5)], 0, 4, 5, 0.5, id="half of the time"),
        pytest.param([stretch(0, 10, None), stretch(0, 10, 0)], 0, 8, 10, 0.5, id="one of two images"),
        pytest.param([stretch(-5, 20, 0)], 5, 9, 10, 0.0, id="what lies outside does not count"),
    ],
)
def test_quantiles(stretches: list[Stretch], median: float, p90: float, longest: float, share: float) -> None:
    lag = measure(stretches, START, START + 10 * DAY)

    assert [lag.median, lag.p90, lag.longest] == [median * DAY, p90 * DAY, longest * DAY]
    assert lag.current_share == share


def test_no_time_is_no_lag() -> None:
    assert measure([stretch(0, 10, 0)], START, START) == NO_LAG


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 5), st.none() | st.integers(-9, 0)), max_size=6))
def test_the_quantiles_are_those_of_single_minutes(spans: list[tuple[int, int, int | None]]) -> None:
    minute = timedelta(minutes=1)
    stretches = []
    lags: list[float] = []
    for begin, length, since in spans:
        behind = None if since is None else begin + since
        at = None if behind is None else START + behind * minute
        stretches.append(Stretch(START + begin * minute, START + (begin + length) * minute, at))
        seconds = range(begin * 60, (begin + length) * 60)
        lags += [0 if behind is None else second + 0.5 - behind * 60 for second in seconds]
    lags.sort()

    found = measure(stretches, START, START + 60 * minute)

    if lags:
        assert found.median.total_seconds() == pytest.approx(lags[(len(lags) - 1) // 2], abs=1.01)
        assert found.p90.total_seconds() == pytest.approx(lags[int(len(lags) * 0.9) - 1], abs=1.51)
