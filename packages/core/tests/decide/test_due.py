"""Which references are asked for now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.decide.due import DAY, Budget, Watched, check_interval, decide_due
from image_factory.model.settings import WatchSettings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
POLICY = WatchSettings()
LIMITED = {"docker.io": Budget(100, 6 * HOUR)}


def _ago(*days: float) -> tuple[datetime, ...]:
    return tuple(NOW - timedelta(days=each) for each in days)


@pytest.mark.parametrize(
    ("asked", "moves", "registry", "is_due"),
    [
        pytest.param(None, (), "docker.io", True, id="one that was never asked for is due"),
        pytest.param(23.9 / 24, _ago(1), "docker.io", False, id="a public one is not asked for twice a day"),
        pytest.param(1, _ago(1), "docker.io", True, id="a public one is asked for after a day"),
        pytest.param(0.9 / 24, _ago(0.1), "reg.acme.example", False, id="a private one rests for an hour"),
        pytest.param(1 / 24, _ago(0.1), "reg.acme.example", True, id="a private one is asked for after an hour"),
        pytest.param(1.9, _ago(60, 40, 20), "docker.io", False, id="one that moves every 20 days rests for more"),
        pytest.param(2.5, _ago(60, 40, 20), "docker.io", True, id="one that moves every 20 days is asked at 2.5"),
        pytest.param(3, _ago(900), "docker.io", True, id="one that never moves is asked for every three days"),
        pytest.param(2.9, _ago(900), "docker.io", False, id="one that never moves is not asked for before that"),
        pytest.param(-1, _ago(1), "docker.io", True, id="one asked for by a clock that was ahead is due"),
    ],
)
def test_when_one_is_due(asked: float | None, moves: tuple[datetime, ...], registry: str, is_due: bool) -> None:
    asked_at = None if asked is None else NOW - timedelta(days=asked)
    watched = Watched("one", registry, asked_at, moves)

    (turn,) = decide_due([watched], budgets=LIMITED, policy=POLICY, now=NOW)

    assert turn.is_due is is_due
    assert turn.because
    assert (turn.next_at is None) is is_due


def test_a_wait_ends_when_it_says() -> None:
    watched = Watched("one", "docker.io", NOW - HOUR, _ago(1))

    (turn,) = decide_due([watched], budgets=LIMITED, policy=POLICY, now=NOW)

    assert turn.next_at == NOW + 23 * HOUR
    (then,) = decide_due([watched], budgets=LIMITED, policy=POLICY, now=turn.next_at)
    assert then.is_due


def test_a_configured_interval_is_never_shorter_than_a_day_for_a_public_registry() -> None:
    eager = WatchSettings(public_interval=HOUR)

    assert check_interval(Watched("one", "docker.io"), is_limited=True, policy=eager, now=NOW) == DAY


def test_a_budget_goes_to_those_that_have_waited_longest() -> None:
    watched = [Watched(str(days), "docker.io", NOW - timedelta(days=days), _ago(9)) for days in (2, 5, 3, 4)]

    turns = decide_due(watched, budgets={"docker.io": Budget(2, 6 * HOUR)}, policy=POLICY, now=NOW)

    assert [turn.reference for turn in turns if turn.is_due] == ["5", "4"]
    assert all("2 requests in 6h" in turn.because and turn.next_at for turn in turns if not turn.is_due)


def test_requests_made_within_the_window_count() -> None:
    spent = Watched("spent", "docker.io", NOW - HOUR, _ago(9))
    due = Watched("due", "docker.io", NOW - 2 * DAY, _ago(9))

    turns = decide_due([spent, due], budgets={"docker.io": Budget(1, 6 * HOUR)}, policy=POLICY, now=NOW)

    assert turns[1].is_due is False
    assert turns[1].next_at == NOW + 5 * HOUR


def test_where_asking_is_free_all_that_are_due_go() -> None:
    watched = [Watched(str(number), "docker.io") for number in range(300)]

    turns = decide_due(watched, budgets={"docker.io": Budget(2, 6 * HOUR, is_free=True)}, policy=POLICY, now=NOW)

    assert all(turn.is_due for turn in turns)


@given(
    st.integers(min_value=1, max_value=12),
    st.integers(min_value=1, max_value=4),
    st.lists(st.integers(min_value=1, max_value=400), min_size=10, max_size=40),
)
def test_nobody_starves_and_no_budget_is_passed(references: int, allowed: int, minutes: list[int]) -> None:
    """A registry is run against for some days; each reference that can be asked for is."""
    budget = Budget(allowed, 6 * HOUR)
    asked: dict[str, datetime] = {}
    times: list[datetime] = []
    now = NOW
    for step in minutes:
        now += timedelta(minutes=step)
        watched = [Watched(str(one), "docker.io", asked.get(str(one)), (NOW,)) for one in range(references)]
        for turn in decide_due(watched, budgets={"docker.io": budget}, policy=POLICY, now=now):
            if turn.is_due:
                if turn.reference in asked:
                    assert now - asked[turn.reference] >= DAY
                asked[turn.reference] = now
                times.append(now)
        assert sum(1 for at in times if now - budget.window < at <= now) <= allowed
        never = references - len(asked)
        assert never == 0 or times, "something is asked for as long as something is not"
    if now - NOW > budget.window * (references // allowed + 2):
        assert len(asked) == references
