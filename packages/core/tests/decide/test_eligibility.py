"""From when a rebuild is due: ages count from first sight, and no base can starve a rebuild."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.decide.eligibility import Eligibility, Reason, decide_eligibility
from image_factory.model.enrollment import DelayMode
from image_factory.model.image_state import DigestUpdate

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
WEEK = timedelta(days=7)


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def moves(*days: float) -> list[DigestUpdate]:
    """The first sight of digest 0 at the start, then one move a day that is named."""
    updates = [DigestUpdate(at=START, old_digest=None, new_digest=digest(0))]
    for number, day in enumerate(days, start=1):
        at = START + timedelta(days=day)
        updates.append(DigestUpdate(at=at, old_digest=digest(number - 1), new_digest=digest(number)))
    return updates


def decide(
    updates: list[DigestUpdate], day: float, *, seconds: int = 0, mode: DelayMode = DelayMode.AGED, auto: bool = True
) -> Eligibility:
    return decide_eligibility(
        updates,
        absorbed=digest(0),
        delay=WEEK,
        mode=mode,
        now=START + timedelta(days=day, seconds=seconds),
        auto_rebuild=auto,
    )


def test_a_base_that_has_not_moved_leaves_the_image_up_to_date() -> None:
    assert decide(moves(), 30) == Eligibility(Reason.UP_TO_DATE, None, None, None)


def test_a_base_that_moved_back_to_what_was_taken_in_leaves_the_image_up_to_date() -> None:
    back = [*moves(1), DigestUpdate(at=START + timedelta(days=2), old_digest=digest(1), new_digest=digest(0))]

    assert decide(back, 30).reason is Reason.UP_TO_DATE


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param(-1, Reason.COOLING_DOWN, id="one second before the delay is over"),
        pytest.param(0, Reason.DUE, id="exactly when the delay is over"),
        pytest.param(1, Reason.DUE, id="one second after"),
    ],
)
def test_a_digest_is_due_when_its_delay_is_over_and_not_before(seconds: int, expected: Reason) -> None:
    found = decide(moves(1), 8, seconds=seconds)

    assert found.reason is expected
    assert found.digest == digest(1)
    assert found.eligible_at == START + timedelta(days=8)


def test_a_zero_delay_is_due_at_once() -> None:
    found = decide_eligibility(
        moves(1), absorbed=digest(0), delay=timedelta(), mode=DelayMode.AGED, now=START + timedelta(days=1)
    )

    assert found.reason is Reason.DUE


def test_a_later_digest_does_not_restart_the_clock_of_an_earlier_one() -> None:
    found = decide(moves(1, 5), 8)

    assert (found.reason, found.digest) == (Reason.DUE, digest(1))


def test_the_newest_digest_that_has_aged_is_taken() -> None:
    found = decide(moves(1, 2, 5), 9.5)

    assert (found.reason, found.digest) == (Reason.DUE, digest(2))


def test_first_change_takes_the_newest_digest_unaged() -> None:
    found = decide(moves(1, 5), 8, mode=DelayMode.FIRST_CHANGE)

    assert (found.reason, found.digest, found.eligible_at) == (Reason.DUE, digest(2), START + timedelta(days=8))


def test_without_auto_rebuild_a_due_rebuild_waits_for_a_person() -> None:
    assert decide(moves(1), 8, auto=False).reason is Reason.NEEDS_APPROVAL


def test_what_came_before_the_digest_that_was_taken_in_counts_no_more() -> None:
    found = decide_eligibility(
        moves(1, 2), absorbed=digest(1), delay=WEEK, mode=DelayMode.AGED, now=START + timedelta(days=8)
    )

    assert found.reason is Reason.COOLING_DOWN
    assert found.digest == digest(2)


@pytest.mark.parametrize("every", [1 / 24, 1, 3, 5, 7], ids=lambda every: f"a base that moves every {every:g} days")
def test_a_base_that_keeps_moving_starves_nothing(every: float) -> None:
    updates = moves(*(every * number for number in range(1, int(30 / every) + 1)))

    found = decide(updates, 30)

    assert found.reason is Reason.DUE
    assert found.seen_at is not None
    assert found.seen_at + WEEK <= START + timedelta(days=30)


days = st.lists(st.floats(0.01, 40, allow_nan=False), max_size=12, unique=True).map(sorted)


@given(days, st.floats(0, 60, allow_nan=False), st.sampled_from(list(DelayMode)))
def test_nothing_is_due_early_and_nothing_waits_for_ever(times: list[float], day: float, mode: DelayMode) -> None:
    now = START + timedelta(days=day)
    updates = [update for update in moves(*times) if update.at <= now]
    found = decide_eligibility(updates, absorbed=digest(0), delay=WEEK, mode=mode, now=now)

    pending = updates[1:]
    if not pending:
        assert found.reason is Reason.UP_TO_DATE
    elif pending[0].at + WEEK <= now:
        assert found.reason is Reason.DUE
        assert found.eligible_at is not None
        assert found.eligible_at <= now
        if mode is DelayMode.AGED:
            assert found.seen_at is not None
            assert found.seen_at + WEEK <= now
    else:
        assert found.reason is Reason.COOLING_DOWN
        assert found.eligible_at == pending[0].at + WEEK
