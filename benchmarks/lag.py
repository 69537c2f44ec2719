"""How far behind an image is under each policy, and how often it is built, beside a trailing cooldown.

Counted, not timed, so the same on every machine: a base moves every 1, 3, 5 or 10 days, and an image is
rebuilt by the decisions themselves over simulated time. The yardstick is the rule that is mostly meant by a
minimum age of a release: the base must have rested for seven days. A base that moves more often is never
taken in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from benchmarks.harness import Count, Room
from image_factory.decide.replay_lag import Lag, Stretch, measure
from image_factory.decide.replay_record import find_recorded, try_policy
from image_factory.model.enrollment import DelayMode
from image_factory.testing.rebuild_world import START, RebuildWorld

SIZES = (365,)
"""Days."""
PERIODS = (1, 3, 5, 10)
"""Days between two moves of the base."""
DAY = timedelta(days=1)
REST = 7 * DAY
POLICIES = (
    ("aged, 7d", DelayMode.AGED, 7 * DAY),
    ("first-change, 7d", DelayMode.FIRST_CHANGE, 7 * DAY),
    ("aged, 3d", DelayMode.AGED, 3 * DAY),
    ("no delay", DelayMode.AGED, timedelta()),
)
LIMIT = 1.05
"""Where a base rests for long enough, a cooldown takes it in at the same time, but for window and build."""


def run(room: Room) -> Iterator[Count]:
    """Count each policy for each period."""
    for size in room.sizes:
        until = START + size * DAY
        for period in PERIODS:
            world = _world(size, period)
            recorded = find_recorded(world.facts())
            moves = [update.at for update in world.bases["node"].history.update_history]
            rested, builds = _trailing(moves, until)
            for name, mode, delay in POLICIES:
                changed = {
                    image: one.model_copy(update={"delay_mode": mode, "rebuild_delay": delay})
                    for image, one in recorded.enrollments.items()
                }
                tried = try_policy(recorded, changed, world.policy, until=until)
                yield Count(
                    f"median lag, {name}, base moves every {period} d",
                    size,
                    ours=_days(tried.lag.median),
                    yardstick=_days(rested.median),
                    limit=LIMIT,
                    unit="days",
                    more={
                        "ours": {**_lag(tried.lag), "builds": len(tried.builds)},
                        "yardstick": {**_lag(rested), "builds": builds},
                    },
                )


def _world(days: int, period: int) -> RebuildWorld:
    world = RebuildWorld()
    world.enroll("web", ["node"])
    for day in range(period, days, period):
        world.now = START + day * DAY
        world.move("node")
    return world


def _trailing(moves: Sequence[datetime], until: datetime) -> tuple[Lag, int]:
    """Return the lag and the builds of a rule that takes a base in once it has rested, the first sight being held."""
    stretches = []
    begin, behind = moves[0], None
    builds = 0
    for move, following in zip(moves[1:], [*moves[2:], datetime.max.replace(tzinfo=until.tzinfo)], strict=True):
        if behind is None:
            stretches.append(Stretch(begin, move, None))
            begin = behind = move
        rested = move + REST
        if rested <= min(following, until):
            stretches.append(Stretch(begin, rested, behind))
            begin, behind, builds = rested, None, builds + 1
    stretches.append(Stretch(begin, until, behind))
    return measure(stretches, moves[0], until), builds


def _lag(lag: Lag) -> dict[str, float]:
    return {"medianDays": _days(lag.median), "p90Days": _days(lag.p90), "maxDays": _days(lag.longest)}


def _days(length: timedelta) -> float:
    return round(length / DAY, 2)
