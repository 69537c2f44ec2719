"""A replay of the recorded policy gives the builds that were; another policy gives others, and others' lags."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from image_factory.decide.replay import SimulatedBuild
from image_factory.decide.replay_record import Tried, find_recorded, try_policy
from image_factory.model.enrollment import DelayMode, Enrollment
from image_factory.model.request import RequestStatus
from image_factory.testing.rebuild_world import START, RebuildWorld

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
STEP = timedelta(minutes=30)


def replayed(world: RebuildWorld, *, until: datetime | None = None, **fields: Any) -> Tried:
    """Return what these fields of every enrollment would have come to."""
    recorded = find_recorded(world.facts())
    changed = {name: _changed(one, fields) for name, one in recorded.enrollments.items()}
    return try_policy(recorded, changed, world.policy, until=until or world.now)


def _changed(enrollment: Enrollment, fields: dict[str, Any]) -> Enrollment:
    return enrollment.model_copy(update=fields)


def shown(builds: tuple[SimulatedBuild, ...]) -> list[tuple[Any, ...]]:
    return [(one.image, one.requested_at, one.finished_at, one.result, one.digest) for one in builds]


def live(world: RebuildWorld, length: timedelta, *, every: timedelta = DAY, base: str = "node") -> None:
    """Let a base move every so often, and runs follow each other every half hour, with builds of half an hour."""
    end, moves_at = world.now + length, world.now + every
    while world.now < end:
        world.finish_all()
        if world.now >= moves_at:
            world.move(base)
            moves_at += every
        world.run()
        world.now += STEP
    world.finish_all()


def test_the_recorded_policy_gives_the_builds_that_were() -> None:
    world = RebuildWorld()
    world.enroll("runtime", ["node"], delay=2 * DAY)
    world.enroll("api", ["runtime", "nginx"], delay=DAY)
    live(world, 20 * DAY)

    recorded = find_recorded(world.facts())

    assert len(recorded.builds) > 10
    assert shown(replayed(world).builds) == shown(recorded.builds)


def test_a_shorter_delay_is_nearer_and_a_longer_one_is_further_behind() -> None:
    world = RebuildWorld()
    world.enroll("web", ["node"], delay=7 * DAY)
    live(world, 60 * DAY)

    week, three, none = (replayed(world, rebuild_delay=days * DAY) for days in (7, 3, 0))

    assert week.lag.median > three.lag.median > none.lag.median
    assert 7 * DAY <= week.lag.longest <= 8 * DAY
    assert 3 * DAY <= three.lag.longest <= 4 * DAY
    assert none.lag.longest <= HOUR + STEP
    # A base that moves every day is rebuilt on every day, whatever the delay.
    assert len(none.builds) - len(week.builds) == pytest.approx(7, abs=1)


def test_a_base_that_is_taken_in_from_its_first_change_on_is_built_less() -> None:
    world = RebuildWorld()
    world.enroll("web", ["node"], delay=7 * DAY)
    live(world, 60 * DAY)

    aged, first = (replayed(world, delay_mode=mode) for mode in (DelayMode.AGED, DelayMode.FIRST_CHANGE))

    assert len(first.builds) * 5 < len(aged.builds)


def test_a_build_that_failed_fails_again_and_its_next_attempt_ends_as_it_did() -> None:
    world = RebuildWorld()
    world.enroll("web", ["node"], delay=DAY)
    world.wait(hours=1)
    world.move("node")
    world.wait(hours=24, minutes=30)
    world.run()
    world.wait(minutes=30)
    world.finish("web", RequestStatus.FAILED)
    world.wait(hours=1)
    world.run()
    world.wait(minutes=30)
    world.finish("web")

    builds = replayed(world).builds

    assert [one.result for one in builds] == ["failed", "succeeded"]
    assert shown(builds) == shown(find_recorded(world.facts()).builds)


def test_other_inputs_end_a_backing_off_when_they_become_eligible() -> None:
    world = RebuildWorld()
    world.set_policy(window=timedelta())
    world.enroll("web", ["node"], delay=HOUR)
    for minutes in (30, 30):
        world.wait(minutes=minutes)
        world.move("node")
    world.wait(minutes=30)
    world.run()
    world.wait(minutes=10)
    world.finish("web", RequestStatus.FAILED)
    world.wait(minutes=20)
    world.run()
    world.wait(minutes=10)
    world.finish("web")

    builds = replayed(world).builds

    assert [one.requested_at for one in builds] == [START + 1.5 * HOUR, START + 2 * HOUR]
    assert shown(builds) == shown(find_recorded(world.facts()).builds)


def test_what_a_person_ordered_is_ordered_under_any_policy() -> None:
    world = RebuildWorld()
    world.enroll("web", ["node"], delay=10 * DAY)
    world.wait(hours=1)
    world.move("node")
    world.wait(days=1)
    order(world, "web")

    for delay in (10 * DAY, 20 * DAY):
        builds = replayed(world, until=world.now + 30 * DAY, rebuild_delay=delay).builds
        assert [(one.trigger, one.requested_at) for one in builds] == [("cli", START + DAY + HOUR)]


def order(world: RebuildWorld, name: str) -> None:
    """Let a person have an image rebuilt at once on what its base points at."""
    decision = world.decision(name)
    world.set_policy(window=timedelta())
    delays = world.enrollments[name]
    world.enrollments[name] = delays.model_copy(update={"rebuild_delay": timedelta()})
    world.run()
    world.wait(minutes=10)
    world.finish(name, trigger="cli")
    world.enrollments[name] = delays
    assert decision.causes


def test_approvals_are_needed_under_the_policy_that_asks_for_them_alone() -> None:
    world = RebuildWorld()
    world.enroll("web", ["node"], delay=DAY, auto_rebuild=False)
    world.wait(hours=1)
    world.move("node")
    world.wait(days=2)
    world.run()
    world.wait(hours=5)
    world.approve("web")
    world.finish("web")

    asked, free = replayed(world), replayed(world, auto_rebuild=True)

    assert [one.finished_at for one in asked.builds] == [START + 2 * DAY + 6 * HOUR]
    assert [one.requested_at for one in free.builds] == [START + DAY + HOUR + STEP]


def test_a_build_of_the_owner_s_takes_in_what_the_base_is_at() -> None:
    world = RebuildWorld()
    world.enroll("web", ["node"], delay=7 * DAY)
    world.wait(days=1)
    world.move("node")
    world.wait(days=2)
    world.publish("web")
    world.wait(days=20)

    tried = replayed(world)

    assert tried.builds == ()
    assert tried.lag.longest == 2 * DAY


def test_images_count_from_their_enrollment_on() -> None:
    world = RebuildWorld()
    world.enroll("web", ["node"], delay=DAY)
    live(world, 10 * DAY)
    world.enroll("late", ["node"], delay=DAY)
    live(world, 10 * DAY)

    tried = replayed(world)

    assert min(one.requested_at for one in tried.builds if one.image == "late") >= START + 10 * DAY
    assert shown(tried.builds) == shown(find_recorded(world.facts()).builds)


def test_a_part_of_the_time_and_of_the_images() -> None:
    world = RebuildWorld()
    world.enroll("web", ["node"], delay=DAY)
    world.enroll("api", ["node"], delay=2 * DAY)
    live(world, 20 * DAY)
    recorded = find_recorded(world.facts())

    tried = try_policy(
        recorded, recorded.enrollments, world.policy,
        until=world.now, since=START + 10 * DAY, images=frozenset({"api"}),
    )  # fmt: skip

    assert {one.image for one in tried.builds} == set(tried.lags) == {"api"}
    assert min(one.requested_at for one in tried.builds) >= START + 10 * DAY


def test_moves_that_the_records_have_lost_are_given_back_to_them() -> None:
    world = RebuildWorld()
    world.enroll("web", ["node"], delay=DAY)
    live(world, 20 * DAY)
    whole = world.bases["node"]
    updates = whole.history.update_history
    history = whole.history.model_copy(update={"update_history": updates[-10:]})
    world.bases["node"] = whole.model_copy(update={"history": history})

    recorded = find_recorded(world.facts(), {"node": updates[:14]})

    tried = try_policy(recorded, recorded.enrollments, world.policy, until=world.now)
    assert shown(tried.builds) == shown(recorded.builds)


def test_nothing_recorded_is_nothing_replayed() -> None:
    tried = replayed(RebuildWorld())

    assert (tried.builds, tried.lag.current_share) == ((), 1.0)


class Life(RebuildWorld):
    """A world whose text is short, since Hypothesis writes it down."""

    def __repr__(self) -> str:
        return f"Life({list(self.images)}, {self.now})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


@st.composite
def lives(draw: st.DrawFn) -> RebuildWorld:
    """Worlds of up to six images that were run for a few days, in which some builds failed."""
    world = Life()
    world.set_policy(window=draw(st.sampled_from([timedelta(), STEP, HOUR])), max_concurrent=draw(st.integers(1, 4)))
    names: list[str] = []
    coming = draw(st.integers(1, 6))

    def enroll() -> None:
        number = len(names)
        world.enroll(
            f"i{number}",
            draw(st.lists(st.sampled_from(["node", "nginx", *names]), min_size=1, max_size=3, unique=True)),
            delay=draw(st.integers(0, 30)) * HOUR,
            delay_mode=draw(st.sampled_from(DelayMode)),
            group=draw(st.sampled_from([None, None, "one"])),
        )
        names.append(f"i{number}")

    for _ in range(coming):
        enroll()
    for base in ("node", "nginx"):
        if base not in world.bases:
            world.add_base(base)
    ends: dict[str, datetime] = {}
    for _ in range(draw(st.integers(10, 150))):
        for name, at in sorted(ends.items()):
            if at <= world.now:
                del ends[name]
                failed = draw(st.integers(0, 6)) == 0
                world.finish(name, RequestStatus.FAILED if failed else RequestStatus.SUCCEEDED)
        if draw(st.integers(0, 9)) == 0:
            world.move(draw(st.sampled_from(["node", "nginx"])))
        while due := world.run():  # runs follow each other until there is nothing to do
            ends.update({decision.image: world.now + draw(st.integers(1, 4)) * STEP for decision in due})
        world.now += STEP
    while ends:
        for name, at in sorted(ends.items()):
            if at <= world.now:
                del ends[name]
                world.finish(name)
        while due := world.run():
            ends.update({decision.image: world.now + STEP for decision in due})
        world.now += STEP
    return world


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(world=lives())
def test_what_was_recorded_is_replayed_whatever_it_was(world: RebuildWorld) -> None:
    recorded = find_recorded(world.facts())

    tried = try_policy(recorded, recorded.enrollments, world.policy, until=world.now - STEP)

    assert shown(tried.builds) == shown(recorded.builds)


def test_the_same_is_found_again() -> None:
    world = RebuildWorld()
    world.enroll("web", ["node"], delay=DAY)
    live(world, 10 * DAY)

    assert replayed(world, rebuild_delay=HOUR) == replayed(world, rebuild_delay=HOUR)
    recorded = find_recorded(world.facts())
    assert replace(recorded) == find_recorded(world.facts())
