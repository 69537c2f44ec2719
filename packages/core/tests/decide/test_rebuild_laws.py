"""The laws of a plan, over generated graphs, clocks and streams of events.

Each world keeps accounts of its own: when it saw a digest, and which digests an image holds.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_factory.decide.eligibility import ENDINGS, Ending, Reason
from image_factory.decide.rebuilds import Facts, Policy, decide_rebuilds
from image_factory.model.enrollment import DelayMode
from image_factory.model.hold import Hold
from image_factory.model.request import RequestStatus
from image_factory.model.settings import Freeze
from image_factory.testing.rebuild_world import START, RebuildWorld

BASES = ("node", "debian", "golang")
DELAYS = (timedelta(0), timedelta(days=1), timedelta(days=3), timedelta(days=7))
WINDOWS = (timedelta(0), timedelta(minutes=30), timedelta(hours=5))

graphs = st.lists(
    st.tuples(
        st.sets(st.integers(0, 7), min_size=1, max_size=3),
        st.sampled_from(DELAYS),
        st.sampled_from((None, None, "shop", "bank")),
    ),
    min_size=1,
    max_size=5,
)
"""What each image is built on (bases first, then earlier images), its delay and its group."""
streams = st.lists(
    st.tuples(
        st.floats(0.02, 80, allow_nan=False),
        st.sampled_from(("node", "debian", "golang", "run", "run", "run", "finish", "finish", "fail", "publish")),
    ),
    max_size=40,
)
"""Hours that pass, and what happens then."""


def build_world(graph: list[tuple[set[int], timedelta, str | None]], **policy: Any) -> RebuildWorld:
    world = RebuildWorld(policy=Policy(**policy))
    for base in BASES:
        world.add_base(base)
    for number, (picks, delay, group) in enumerate(graph):
        choices = [*BASES, *(f"i{earlier}" for earlier in range(number))]
        on = list(dict.fromkeys(choices[pick % len(choices)] for pick in sorted(picks)))
        world.enroll(f"i{number}", on, delay=delay, **({} if group is None else {"group": group}))
    return world


def play(world: RebuildWorld, stream: list[tuple[float, str]]) -> None:
    for hours, event in stream:
        world.wait(hours=hours)
        if event in BASES:
            world.move(event)
        elif event == "run":
            world.run()
        elif event == "publish":
            world.publish("i0")
        else:
            world.finish_all(RequestStatus.SUCCEEDED if event == "finish" else RequestStatus.FAILED)


def settle(world: RebuildWorld, *, days: float = 30, step: timedelta = timedelta(hours=3)) -> None:
    """Let nothing more move, and the world come to rest."""
    end = world.now + timedelta(days=days)
    while world.now < end:
        is_busy = bool(world.run())
        world.now += step / 2
        is_busy |= any(request.status.is_open for request in world.requests.values())
        world.finish_all()
        world.now += step / 2
        if not is_busy:
            plan = world.plan()
            # Between two instants at which something may change, runs do nothing: they are left out.
            world.now = max(world.now, end if plan.next_at is None and not plan.due else plan.next_at or world.now)


def delay_of(world: RebuildWorld, name: str) -> timedelta:
    group = world.enrollments[name].group
    members = [one for one in world.enrollments.values() if one.name == name or (group and one.group == group)]
    return max(one.rebuild_delay for one in members)


@settings(max_examples=120, deadline=None)
@given(graphs, streams, st.sampled_from(WINDOWS))
def test_nothing_is_taken_in_before_it_has_aged_however_it_comes(
    graph: list[Any], stream: list[Any], window: timedelta
) -> None:
    world = build_world(graph, window=window)
    original = world.finish

    def finish(name: str, status: RequestStatus = RequestStatus.SUCCEEDED, **rest: Any) -> None:
        requested_at, before = world.requests[name].requested_at, world.held_by(name)
        original(name, status, **rest)
        for digest in world.held_by(name) - before if before else ():
            assert world.first_seen[digest] + delay_of(world, name) <= requested_at

    world.finish = finish  # type: ignore[method-assign]
    play(world, stream)

    for requested in world.log:
        for cause in requested.decision.causes:
            if cause.base in BASES:
                assert world.first_seen[cause.to] + delay_of(world, requested.decision.image) <= requested.at


@settings(max_examples=80, deadline=None)
@given(graphs, streams, st.sampled_from(WINDOWS))
def test_when_nothing_more_moves_everything_holds_the_newest_and_each_image_rests(
    graph: list[Any], stream: list[Any], window: timedelta
) -> None:
    world = build_world(graph, window=window, quarantine_after=99)
    play(world, stream)

    settle(world, days=25)

    plan = world.plan()
    newest = {world.bases[base].runtime.current_digest for base in BASES}
    for name, decision in plan.decisions.items():
        assert decision.reason is Reason.UP_TO_DATE, decision
        assert world.held_by(name) <= newest


@settings(max_examples=80, deadline=None)
@given(graphs, streams, st.sampled_from(WINDOWS))
def test_no_inputs_are_built_twice_and_no_image_is_requested_twice_within_a_window(
    graph: list[Any], stream: list[Any], window: timedelta
) -> None:
    world = build_world(graph, window=window)
    play(world, [(hours, "finish" if event == "fail" else event) for hours, event in stream])
    settle(world, days=20)

    for name in world.images:
        ours = [requested for requested in world.log if requested.decision.image == name]
        inputs = [frozenset((pin.reference, pin.digest) for pin in one.decision.digests) for one in ours]
        assert len(set(inputs)) == len(inputs)
        for earlier, later in pairwise(ours):
            assert later.at - earlier.at >= window


HAPPENINGS = ("node", "node", "debian", "back", "run", "run", "run", "finish", "finish", "fail", "publish")
people = st.lists(
    st.tuples(
        st.floats(0.02, 80, allow_nan=False),
        st.sampled_from([*HAPPENINGS, "hold-image", "hold-digest", "freeze", "approve"]),
    ),
    max_size=40,
)
"""As `streams`, with people who stop and approve things, and a base that moves back."""


def intervene(world: RebuildWorld, hours: float, event: str) -> None:
    world.wait(hours=hours)
    until = world.now + timedelta(hours=30)
    node = world.bases["node"]
    if event == "back":
        updates = node.history.update_history
        world.move("node", updates[max(0, len(updates) - 3)].new_digest)
    elif event == "hold-image":
        world.holds.append(Hold(name="i0", image="i0", reason="release", at=world.now, until=until))
    elif event == "hold-digest":
        digest = node.runtime.current_digest
        world.holds.append(Hold(name=f"d{len(world.holds)}", digest=digest, reason="bad", at=world.now, until=until))
    elif event == "freeze":
        freeze = Freeze.model_validate({"reason": "closing", "from": world.now, "until": until})
        world.set_policy(freezes=(*world.policy.freezes, freeze))
    elif event == "approve":
        approve_all(world)
    else:
        play(world, [(0.0, event)])


def approve_all(world: RebuildWorld) -> None:
    for name, request in world.requests.items():
        if request.status is RequestStatus.NEEDS_APPROVAL:
            world.approve(name)


@settings(max_examples=80, deadline=None)
@given(graphs, people, st.sampled_from(WINDOWS), st.integers(1, 3))
def test_what_a_person_stops_is_not_requested_and_goes_on_afterwards(
    graph: list[Any], stream: list[Any], window: timedelta, places: int
) -> None:
    world = build_world(graph, window=window, max_concurrent=places, quarantine_after=99)
    for name, fields in (("i0", {"auto_rebuild": False}), ("i1", {"delay_mode": DelayMode.FIRST_CHANGE})):
        if name in world.enrollments:
            world.enrollments[name] = world.enrollments[name].model_copy(update=fields)
    for hours, event in stream:
        intervene(world, hours, event)
        held = {hold.image or hold.digest for hold in world.holds if hold.until is None or hold.until > world.now}
        is_frozen = any(freeze.from_ <= world.now < freeze.until for freeze in world.policy.freezes)
        for decision in world.plan().due:
            assert not is_frozen
            assert decision.image not in held
            assert not held & {pin.digest for pin in decision.digests}

    for _ in range(12):
        settle(world, days=3)
        approve_all(world)

    for name, decision in world.plan().decisions.items():
        assert decision.reason is Reason.UP_TO_DATE, decision
        assert world.held_by(name) <= {world.bases[base].runtime.current_digest for base in BASES}


@settings(max_examples=60, deadline=None)
@given(graphs, streams, st.sampled_from(WINDOWS))
def test_every_wait_that_ends_by_the_clock_says_when_and_every_decision_its_evidence(
    graph: list[Any], stream: list[Any], window: timedelta
) -> None:
    world = build_world(graph, window=window, max_concurrent=1)
    for event in stream:
        play(world, [event])

        for decision in world.plan().decisions.values():
            assert decision.because
            if ENDINGS[decision.reason] is Ending.AT_AN_INSTANT:
                assert decision.until is not None
                assert decision.until > world.now
            if ENDINGS[decision.reason] is Ending.BY_ITSELF:
                assert decision.blocked_by


def test_every_reason_says_how_it_ends() -> None:
    assert set(ENDINGS) == set(Reason)


@settings(max_examples=60, deadline=None)
@given(graphs, streams)
def test_the_same_facts_give_the_same_plan_in_whatever_order_they_come(graph: list[Any], stream: list[Any]) -> None:
    world = build_world(graph)
    play(world, stream)
    facts, random = world.facts(), Random(1)

    def shuffled(mapping: Any) -> dict[str, Any]:
        items = list(mapping.items())
        random.shuffle(items)
        return dict(items)

    other = Facts(
        shuffled(facts.images), shuffled(facts.bases), shuffled(facts.enrollments), shuffled(facts.requests),
        facts.holds, facts.policy,
    )  # fmt: skip

    assert decide_rebuilds(other, now=world.now) == decide_rebuilds(facts, now=world.now)


@settings(max_examples=60, deadline=None)
@given(graphs, streams)
def test_a_second_run_at_the_same_instant_requests_nothing(graph: list[Any], stream: list[Any]) -> None:
    world = build_world(graph)
    for event in stream:
        play(world, [event])
        world.run()

        assert world.run() == ()


@settings(max_examples=60, deadline=None)
@given(graphs, st.sampled_from(DELAYS), st.sampled_from(WINDOWS), st.integers(1, 12))
def test_a_wave_builds_each_image_once_and_children_after_all_their_parents(
    graph: list[Any], delay: timedelta, window: timedelta, hours: int
) -> None:
    world = build_world([(picks, delay, None) for picks, _, _ in graph], window=window, max_concurrent=2)
    world.wait(days=1)
    world.move("node")
    moved_at = world.now

    settle(world, days=20, step=timedelta(hours=hours))

    order = [requested.decision.image for requested in world.log]
    assert len(set(order)) == len(order)
    affected = {name for name in world.images if world.bases["node"].runtime.current_digest in world.held_by(name)}
    assert set(order) == affected
    for requested in world.log:
        image = world.images[requested.decision.image]
        parents = [name for name in image.configuration.base_images if name in affected]
        assert all(order.index(parent) < order.index(image.name) for parent in parents)
        assert requested.decision.wave == max((world_wave(world, name) + 1 for name in parents), default=0)
        assert requested.at >= moved_at + delay


def world_wave(world: RebuildWorld, name: str) -> int:
    return next(requested.decision.wave for requested in world.log if requested.decision.image == name)


@pytest.mark.parametrize("every", [1 / 24, 1, 3, 5, 7], ids=lambda every: f"a base that moves every {every:g} days")
@pytest.mark.parametrize("depth", [1, 2, 3], ids=lambda depth: f"{depth} images deep")
def test_a_base_that_keeps_moving_starves_no_image(every: float, depth: int) -> None:
    window, step, delay = timedelta(minutes=30), timedelta(hours=4), timedelta(days=7)
    world = RebuildWorld(policy=Policy(window=window))
    world.add_base("node")
    for number in range(depth):
        world.enroll(f"i{number}", ["node" if number == 0 else f"i{number - 1}"], delay=delay)
    last_move = world.now
    while world.now < START + timedelta(days=40):
        while last_move + timedelta(days=every) <= world.now:
            last_move += timedelta(days=every)
            now, world.now = world.now, last_move
            world.move("node")
            world.now = now
        world.run()
        world.now += step / 2
        world.finish_all()
        world.now += step / 2

        for number in range(depth):
            # Each image on the way up may be in its window, waiting for the run, or one build behind.
            allowed = delay + window + (2 * step + max(step, timedelta(days=every))) * (number + 1)
            aged = [at for digest, at in seen_of(world, "node") if at <= world.now - allowed]
            held = [world.first_seen[digest] for digest in world.held_by(f"i{number}")]
            if aged and aged[-1] > START:
                assert held
                assert held[0] >= aged[-1]
    assert all(any(one.decision.image == f"i{number}" for one in world.log) for number in range(depth))


def seen_of(world: RebuildWorld, base: str) -> list[tuple[str, datetime]]:
    return [(update.new_digest, update.at) for update in world.bases[base].history.update_history]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-300, 100, allow_nan=False), st.sampled_from(("node", "run", "finish"))), max_size=25),
    st.sampled_from(list(DelayMode)),
)
def test_a_clock_that_jumps_requests_nothing_twice_and_holds_nothing_once_it_is_right(
    stream: list[tuple[float, str]], mode: DelayMode
) -> None:
    world = RebuildWorld()
    world.enroll("web", ["node"], delay=timedelta(days=7), delayMode=str(mode))
    for hours, event in stream:
        world.now = max(START, world.now + timedelta(hours=hours))
        play(world, [(0.0, event)])
    world.now = max(START, world.now - timedelta(hours=300))
    world.finish_all()
    current = world.bases["node"].runtime.current_digest
    assert current is not None
    world.move("node", current)  # the next check, with the clock put right

    settle(world, days=9)

    assert world.decision("web").reason is Reason.UP_TO_DATE
    taken = [tuple(cause.to for cause in one.decision.causes) for one in world.log]
    assert len(set(taken)) == len(taken)


def test_ten_times_the_images_take_about_ten_times_the_steps() -> None:
    def count_calls(size: int) -> int:
        world = RebuildWorld()
        for number in range(size):
            on = [f"base-{number % 30}"] + ([f"i{number - 30}"] if number >= 30 else [])
            world.enroll(f"i{number}", on, delay=timedelta(0), group=f"g{number % 7}" if number % 5 == 0 else None)
        world.wait(hours=1)
        for number in range(30):
            world.move(f"base-{number}")
        world.wait(hours=1)
        counted, facts = 0, world.facts()

        def count(frame: Any, event: str, argument: Any) -> None:
            nonlocal counted
            counted += event == "call"

        sys.setprofile(count)
        try:
            decide_rebuilds(facts, now=world.now)
        finally:
            sys.setprofile(None)
        return counted

    assert count_calls(1000) <= 12 * count_calls(100)
