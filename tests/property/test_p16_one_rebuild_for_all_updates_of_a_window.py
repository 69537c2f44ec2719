"""P16: for every managed image with several bases updating within the window: one rebuild, listing all of them.

Updates beyond the window give another; the longest delay of the image's group applies.

Fails where `decide.window` opens anew with each update, where `decide.rebuilds` requests an image whose
window is open, or where a member of a group goes by its own delay.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from image_factory.decide.rebuilds import Policy
from image_factory.testing.rebuild_world import RebuildWorld

BASES = tuple(f"base-{number}" for number in range(6))
MINUTE = timedelta(minutes=1)

times = st.lists(st.integers(0, 400), min_size=1, max_size=len(BASES))
"""The minutes at which the bases move, once each."""
delays = st.sampled_from((timedelta(0), timedelta(hours=1), timedelta(days=7)))


def expected_batches(
    moved: dict[str, datetime], window: timedelta, delay: timedelta
) -> list[tuple[datetime, set[str]]]:
    """Return the requests that there have to be: each when its window closes, with all that is eligible by then."""
    waiting = sorted((at + delay, base) for base, at in moved.items())
    batches: list[tuple[datetime, set[str]]] = []
    while waiting:
        closes = waiting[0][0] + window
        if batches:
            closes = max(closes, batches[-1][0] + window)
        batches.append((closes, {base for at, base in waiting if at <= closes}))
        waiting = [(at, base) for at, base in waiting if at > closes]
    return batches


@settings(max_examples=40, deadline=None)
@given(times, delays, delays, st.sampled_from((0, 5, 30, 90)), st.booleans())
def test_p16_one_rebuild_lists_all_updates_of_its_window_at_the_longest_delay(
    minutes: list[int], delay: timedelta, other: timedelta, length: int, grouped: bool
) -> None:
    window = length * MINUTE
    world = RebuildWorld(policy=Policy(window=window))
    group = {"group": "shop"} if grouped else {}
    world.enroll("web", BASES, delay=delay, **group)
    world.enroll("api", ["elsewhere"], delay=other, **group)
    world.wait(days=1)
    start = world.now
    due = [(start + minute * MINUTE, base) for minute, base in zip(minutes, BASES, strict=False)]
    longest = max(delay, other) if grouped else delay
    last = max(at for at, _ in due) + longest + 3 * window + MINUTE

    # Runs at every instant at which something can change, each build over at once.
    while world.now <= last:
        for at, base in due:
            if at == world.now:
                world.move(base)
        world.run()
        world.finish_all()
        later = [at for at, _ in due if at > world.now]
        upcoming = [at for at in (world.plan().next_at, *later, last + MINUTE) if at is not None and at > world.now]
        world.now = min(upcoming)

    found = [(one.at, {cause.base for cause in one.decision.causes}) for one in world.log]
    assert found == expected_batches({base: at for at, base in due}, window, longest)


@settings(max_examples=40, deadline=None)
@given(times, st.integers(1, 300))
def test_p16_a_run_that_comes_late_takes_in_all_that_is_eligible_by_then(minutes: list[int], late: int) -> None:
    world = RebuildWorld(policy=Policy(window=30 * MINUTE))
    world.enroll("web", BASES, delay=timedelta(days=1))
    world.wait(days=1)
    start = world.now
    for minute, base in sorted(zip(minutes, BASES, strict=False)):
        world.now = start + minute * MINUTE
        world.move(base)
    world.now = start + max(minutes) * MINUTE + timedelta(days=1) + (30 + late) * MINUTE

    (decision,) = world.run()

    assert len(decision.causes) == len(minutes)
