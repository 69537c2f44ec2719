"""From when a rebuild is due: ages count from first sight, and no base can starve a rebuild."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.decide.eligibility import (
    Eligibility,
    Reason,
    age_moves,
    decide_eligibility,
    decide_moves,
    pending_updates,
)
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


HOUR = timedelta(hours=1)
NEVER = None


@pytest.mark.parametrize(
    ("mode", "held", "expected"),
    [
        pytest.param("aged", {}, (Reason.DUE, 2), id="none is held: the newest that has aged"),
        pytest.param("aged", {2: NEVER}, (Reason.DUE, 1), id="the newest is held: the next newest that has aged"),
        pytest.param("aged", {1: NEVER, 2: NEVER}, (Reason.HELD, 3, 12), id="all that have aged: until one more has"),
        pytest.param("aged", {1: 11, 2: 10.5}, (Reason.HELD, 2, 10.5), id="until the first is held no more"),
        pytest.param("aged", {1: NEVER, 2: NEVER, 3: 30}, (Reason.HELD, 3, 30), id="until the only hold that ends"),
        pytest.param("aged", {1: NEVER, 2: NEVER, 3: NEVER}, (Reason.HELD, 1, NEVER), id="all of them, for ever"),
        pytest.param("first-change", {}, (Reason.DUE, 3), id="first change: the newest, aged or not"),
        pytest.param("first-change", {3: NEVER}, (Reason.DUE, 2), id="first change: the next newest"),
        pytest.param("first-change", {1: 20, 2: 19, 3: NEVER}, (Reason.HELD, 3, 19), id="first change: all are held"),
    ],
)
def test_a_digest_that_is_held_is_not_taken(
    mode: str, held: dict[int, float | None], expected: tuple[Reason, int] | tuple[Reason, int, float | None]
) -> None:
    now = START + timedelta(days=10)
    moved = age_moves(moves(1, 2, 5)[1:], WEEK, now)
    ends = {digest(number): None if day is None else START + timedelta(days=day) for number, day in held.items()}

    found = decide_moves(moved, mode=DelayMode(mode), now=now, held=ends)

    assert (found.reason, found.digest) == (expected[0], digest(expected[1]))
    if len(expected) == 3:
        assert found.eligible_at == (None if expected[2] is None else START + timedelta(days=expected[2]))


def test_a_window_opens_with_the_first_that_aged_and_not_with_the_one_that_is_taken() -> None:
    found = decide(moves(1, 2), 20)

    assert (found.digest, found.opens_at) == (digest(2), START + timedelta(days=8))


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        pytest.param([0, 1, 2], [1, 2], id="two moves"),
        pytest.param([0, 1, 0], [], id="back at what the image holds"),
        pytest.param([0, 1, 2, 1], [1], id="back at a move before: what lies between is taken back"),
        pytest.param([0, 1, 0, 1], [1], id="there, back and there again"),
        pytest.param([0, 1, 2, 3, 1, 4], [1, 4], id="and on from there"),
        pytest.param([5, 1, 2], [5, 1, 2], id="what the image holds is not in the history"),
    ],
)
def test_a_base_that_moves_back_takes_its_moves_back(way: list[int], expected: list[int]) -> None:
    updates = [
        DigestUpdate(
            at=START + number * HOUR, old_digest=digest(way[number - 1]) if number else None, new_digest=digest(each)
        )
        for number, each in enumerate(way)
    ]

    pending = pending_updates(updates, digest(0))

    assert [update.new_digest for update in pending] == [digest(each) for each in expected]
    first = {digest(each): START + way.index(each) * HOUR for each in way}
    if way != [0, 1, 0, 1]:
        assert all(update.at == first[update.new_digest] for update in pending)


def test_a_first_sight_in_the_future_counts_as_of_now() -> None:
    (move,) = age_moves(moves(40)[1:], WEEK, START)

    assert (move.seen_at, move.eligible_at) == (START, START + WEEK)
