"""How long a child waits for the images that it is built on, and in which wave it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from image_factory.decide.eligibility import Reason
from image_factory.decide.rebuilds import Policy
from image_factory.decide.waves import Stir
from image_factory.model.hold import Hold
from image_factory.model.request import RequestStatus
from image_factory.model.settings import Freeze
from image_factory.testing.rebuild_world import START, RebuildWorld

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("opened", "built", "closes", "expected"),
    [
        pytest.param(0, -9, 1, True, id="the parent was eligible before the child's window closed"),
        pytest.param(1, 9, 1, True, id="at the instant at which it closed"),
        pytest.param(2, -9, 1, True, id="it was eligible later, and has brought nothing since"),
        pytest.param(2, 1.5, 1, False, id="it was eligible later, and has brought a digest since"),
        pytest.param(2, 9, None, True, id="a child with nothing to take in waits"),
    ],
)
def test_whether_a_child_waits_for_what_is_on_its_way(
    opened: float, built: float, closes: float | None, expected: bool
) -> None:
    stir = Stir(START + opened * HOUR, START + built * HOUR, ("base",))

    assert stir.holds(None if closes is None else START + closes * HOUR) is expected


def build_world(**child: Any) -> RebuildWorld:
    """`runtime` on node, `web` on runtime and debian; both at once and without a window."""
    world = RebuildWorld(policy=Policy(window=timedelta(0)))
    world.enroll("runtime", ["node"], delay=timedelta(0))
    world.enroll("web", ["runtime", "debian"], **{"delay": timedelta(0), **child})
    world.wait(days=1)
    return world


def test_a_child_waits_while_its_parent_is_due_and_while_it_is_built() -> None:
    world = build_world()
    world.move("node")
    world.move("debian")
    world.wait(hours=1)

    due = world.decision("web")
    world.run()
    building = world.decision("web")
    world.finish("runtime")
    ready = world.decision("web")

    assert due.reason is building.reason is Reason.WAITS_FOR_PARENT
    assert due.blocked_by == ("runtime",)
    assert due.because == "it is built on runtime, to be rebuilt first"
    assert (due.wave, building.wave) == (1, 1)
    assert ready.reason is Reason.DUE
    assert [cause.base for cause in ready.causes] == ["debian", "runtime"]


def test_a_child_waits_for_an_image_far_above_it() -> None:
    world = build_world()
    world.enroll("site", ["web", "golang"], delay=timedelta(0))
    world.move("node")
    world.move("golang")

    decision = world.decision("site")

    assert (decision.reason, decision.blocked_by, decision.wave) == (Reason.WAITS_FOR_PARENT, ("web",), 2)


def hold(world: RebuildWorld) -> None:
    world.holds.append(Hold(name="runtime", image="runtime", reason="release", at=world.now))


def freeze(world: RebuildWorld) -> None:
    times = {"from": world.now, "until": world.now + timedelta(days=9)}
    world.set_policy(freezes=(Freeze.model_validate({"reason": "closing", "images": ["runtime"], **times}),))


def ask(world: RebuildWorld) -> None:
    world.enrollments["runtime"] = world.enrollments["runtime"].model_copy(update={"auto_rebuild": False})


def ask_and_wait(world: RebuildWorld) -> None:
    ask(world)
    world.holds.append(Hold(name="web", image="web", reason="later", at=world.now, until=world.now))
    world.enrollments["web"] = world.enrollments["web"].model_copy(update={"rebuild_delay": timedelta(days=1)})
    world.run()
    world.wait(days=1)


def fail(world: RebuildWorld) -> None:
    world.run()
    world.finish("runtime", RequestStatus.FAILED)


def age(world: RebuildWorld) -> None:
    world.enrollments["runtime"] = world.enrollments["runtime"].model_copy(update={"rebuild_delay": timedelta(days=9)})


@pytest.mark.parametrize(
    ("stop", "policy", "expected"),
    [
        pytest.param(hold, {}, Reason.HELD, id="held"),
        pytest.param(freeze, {}, Reason.FROZEN, id="frozen"),
        pytest.param(ask, {}, Reason.NEEDS_APPROVAL, id="about to ask a person"),
        pytest.param(ask_and_wait, {}, Reason.NEEDS_APPROVAL, id="waiting for a person"),
        pytest.param(fail, {}, Reason.BACKING_OFF, id="backing off"),
        pytest.param(fail, {"quarantine_after": 1}, Reason.QUARANTINED, id="in quarantine"),
        pytest.param(age, {}, Reason.COOLING_DOWN, id="cooling down"),
    ],
)
def test_a_parent_that_is_not_on_its_way_holds_no_child(
    stop: Callable[[RebuildWorld], None], policy: dict[str, Any], expected: Reason
) -> None:
    world = build_world()
    world.set_policy(**policy)
    world.move("node")
    world.move("debian")
    stop(world)

    assert world.decision("runtime").reason is expected
    assert world.decision("web").reason is Reason.DUE


def test_a_parent_that_becomes_eligible_within_the_childs_window_is_waited_for() -> None:
    world = build_world()
    world.set_policy(window=HOUR)
    world.move("debian")
    world.wait(minutes=59)
    world.move("node")
    world.wait(minutes=1)

    assert world.decision("runtime").reason is Reason.COORDINATING
    assert world.decision("web").reason is Reason.WAITS_FOR_PARENT


def test_a_parent_that_is_always_on_its_way_is_waited_for_once() -> None:
    world = build_world()
    world.set_policy(window=HOUR)
    world.move("debian")
    waited = 0
    while not any(one.decision.image == "web" for one in world.log):
        world.move("node")
        world.wait(minutes=40)
        world.run()
        world.wait(minutes=40)
        world.finish_all()
        waited += 1
        assert waited < 10

    assert 1 <= waited <= 4


@pytest.mark.parametrize(
    ("parent", "child", "expected"),
    [
        pytest.param(1, 7, 7, id="the child's is longer"),
        pytest.param(7, 1, 7, id="the parent's is longer"),
        pytest.param(7, 7, 7, id="they are equal: not twice"),
        pytest.param(0, 0, 0, id="none"),
    ],
)
def test_a_cascade_waits_for_the_longest_delay_on_the_way_and_not_for_the_sum(
    parent: int, child: int, expected: int
) -> None:
    world = build_world(delay=timedelta(days=child))
    world.enrollments["runtime"] = world.enrollments["runtime"].model_copy(
        update={"rebuild_delay": timedelta(days=parent)}
    )
    world.move("node")
    moved_at = world.now
    while len(world.log) < 2:
        world.run()
        world.finish_all()
        world.run()
        world.wait(hours=1)

    assert [one.decision.image for one in world.log] == ["runtime", "web"]
    assert world.log[0].at == moved_at + timedelta(days=parent)
    assert world.log[1].at == moved_at + timedelta(days=expected)
    assert world.log[1].decision.causes[0].seen_at == moved_at


def test_what_a_parents_owner_builds_ages_by_the_childs_delay() -> None:
    world = build_world(delay=timedelta(days=2))
    world.publish("runtime")  # the first digest that is known of it is the one that the child is taken to hold
    world.wait(days=1)
    world.publish("runtime")
    world.wait(days=1)
    world.publish("runtime")
    world.wait(days=1, seconds=-1)

    early = world.decision("web")
    world.wait(seconds=1)

    assert (early.reason, early.until) == (Reason.COOLING_DOWN, world.now)
    assert world.decision("web").reason is Reason.DUE


def test_an_image_of_a_cycle_says_its_path_and_the_others_go_on() -> None:
    world = build_world()
    runtime = world.images["runtime"]
    configuration = runtime.configuration.model_copy(update={"base_images": ("node", "web")})
    world.images["runtime"] = runtime.model_copy(update={"configuration": configuration})
    world.enroll("site", ["web", "golang"], delay=timedelta(0))
    world.move("golang")
    world.move("node")

    plan = world.plan()

    told = "images depend on each other in a cycle: runtime -> web -> runtime"
    assert {name: one.because for name, one in plan.decisions.items() if one.reason is Reason.CYCLE} == {
        "runtime": told,
        "web": told,
    }
    assert plan.decisions["web"].blocked_by == ("runtime",)
    assert plan.decisions["site"].reason is Reason.DUE


def test_a_wave_is_the_number_of_our_images_between_it_and_what_moved() -> None:
    world = build_world()
    world.enroll("site", ["web", "golang"], delay=timedelta(0))
    world.move("node")
    while len(world.log) < 3:
        world.run()
        world.finish_all()

    assert [(one.decision.image, one.decision.wave) for one in world.log] == [("runtime", 0), ("web", 1), ("site", 2)]


def test_a_rebuild_takes_in_the_only_digest_that_is_known_of_a_parent() -> None:
    world = build_world(delay=timedelta(days=9))
    world.move("node")
    world.run()
    world.finish("runtime")
    world.enrollments["web"] = world.enrollments["web"].model_copy(update={"rebuild_delay": timedelta(days=5)})
    world.wait(hours=-1)
    world.move("debian")
    world.wait(days=5)

    (decision,) = world.run()
    world.finish("web")
    world.wait(days=30)

    assert [cause.base for cause in decision.causes] == ["debian", "runtime"]
    assert world.decision("web").reason is Reason.UP_TO_DATE
