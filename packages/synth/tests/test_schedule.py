from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from image_factory_synth.schedule import DAY, SLOTS, Budget, Check, Traffic, _offset, stagger, traffic

AT = datetime(2026, 1, 1, tzinfo=UTC)


def check(
    name: str, *, registry: str = "docker.io", interval: timedelta = DAY, requests: int = 1, age: int | None = None
) -> Check:
    since = None if age is None else AT - timedelta(days=age)
    return Check(name=name, registry=registry, interval=interval, requests=requests, known_since=since)


def test_an_interval_is_a_little_longer_than_asked_for_and_never_shorter() -> None:
    intervals = stagger(check(f"image-{number}") for number in range(300))

    assert all(DAY <= interval < DAY + timedelta(hours=1) for interval in intervals.values())
    assert len(set(intervals.values())) == 300


@pytest.mark.parametrize(
    ("interval", "spread"),
    [
        (timedelta(minutes=5), timedelta(seconds=36)),
        (timedelta(hours=1), timedelta(minutes=6)),
        (timedelta(hours=48), timedelta(hours=1)),
    ],
    ids=str,
)
def test_a_short_interval_is_lengthened_by_less(interval: timedelta, spread: timedelta) -> None:
    intervals = stagger(check(f"image-{number}", interval=interval) for number in range(200)).values()

    assert all(interval <= given < interval + spread for given in intervals)
    assert max(intervals) - min(intervals) > spread / 2


def test_the_order_of_the_images_means_nothing() -> None:
    checks = [check(f"image-{number}") for number in range(50)]

    assert stagger(reversed(checks)) == stagger(checks)


def test_a_new_member_moves_none_that_was_there() -> None:
    before = [check(f"image-{number}") for number in range(500)]

    assert stagger([*before, check("aaa")]).items() >= stagger(before).items()


def colliding() -> tuple[str, str]:
    """Return two names that want one slot, found by trying."""
    spread = timedelta(hours=1)
    seen: dict[timedelta, str] = {}
    for number in range(SLOTS):
        name = f"image-{number}"
        offset = _offset(name, 0, spread)
        if offset in seen:
            return seen[offset], name
        seen[offset] = name
    raise AssertionError("no two names of a million want one slot")


def test_of_two_names_that_want_one_slot_the_one_known_longer_has_it() -> None:
    one, other = colliding()
    alone = stagger([check(one, age=5)])[one]

    both = stagger([check(one, age=5), check(other, age=1)])
    swapped = stagger([check(one, age=1), check(other, age=5)])

    assert both[one] == alone
    assert swapped[other] == alone
    assert both[other] != both[one]
    assert swapped[one] != swapped[other]


def test_an_image_without_state_yields_to_one_with_state() -> None:
    one, other = colliding()

    assert stagger([check(one), check(other, age=1)])[other] == stagger([check(other, age=1)])[other]


def test_registries_do_not_share_slots() -> None:
    one, other = colliding()

    intervals = stagger([check(one, registry="a.example"), check(other, registry="b.example")])

    assert intervals[one] == intervals[other]


def test_traffic_counts_the_requests_of_a_day_and_what_is_beyond_the_budget() -> None:
    checks = [check("a"), check("b", interval=timedelta(hours=1), requests=6), check("c", registry="ghcr.io")]
    intervals = {"a": DAY, "b": timedelta(hours=1), "c": DAY * 2}

    assert traffic(checks, intervals, {"docker.io": Budget(100, "x")}) == (
        Traffic("docker.io", 2, 145, Budget(100, "x")),
        Traffic("ghcr.io", 1, 1, None),
    )
    assert [of.excess for of in traffic(checks, intervals, {"docker.io": Budget(100, "x")})] == [45, 0]


def test_traffic_counts_the_most_that_a_day_can_hold_and_no_mean() -> None:
    intervals = {"a": DAY + timedelta(minutes=40), "b": DAY - timedelta(minutes=1)}

    (found,) = traffic([check("a"), check("b")], intervals, {"docker.io": Budget(2, "x")})

    assert (found.requests_per_day, found.excess) == (3, 1)
