"""What holds for images of one group."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from image_factory.decide.eligibility import Reason
from image_factory.decide.groups import find_groups, longest_delay, units
from image_factory.decide.lineage import find_lineage
from image_factory.decide.rebuilds import Policy
from image_factory.model.hold import Hold
from image_factory.model.request import RequestStatus
from image_factory.model.settings import Freeze
from image_factory.testing.rebuild_world import START, RebuildWorld


def build_world(*more: tuple[str, list[str]], window: float = 0.5) -> RebuildWorld:
    """A week-long `api` and a day-long `web`, both of the group shop, on one base."""
    world = RebuildWorld(policy=Policy(window=timedelta(hours=window)))
    world.enroll("api", ["node"], delay=timedelta(days=7), group="shop")
    world.enroll("web", ["node"], delay=timedelta(days=1), group="shop")
    for name, on in more:
        world.enroll(name, on, delay=timedelta(days=1), group="shop")
    world.wait(days=1)
    return world


def reasons(world: RebuildWorld) -> dict[str, str]:
    return {name: str(decision.reason) for name, decision in world.plan().decisions.items()}


def test_the_longest_delay_is_the_groups_whoever_waits_for_what() -> None:
    world = build_world()
    groups = find_groups(world.enrollments)

    assert groups == {"shop": ("api", "web")}
    assert longest_delay(groups["shop"], world.enrollments) == (timedelta(days=7), "api")


def test_images_of_a_group_are_requested_together_at_the_longest_delay() -> None:
    world = build_world()
    world.move("node")
    world.wait(days=2)
    decision = world.decision("web")
    assert decision.reason is Reason.COOLING_DOWN
    assert decision.until == START + timedelta(days=8)
    assert decision.because.endswith("the delay is 7d of api, the longest of its group shop")

    world.now = START + timedelta(days=8, minutes=29)
    assert reasons(world) == {"api": "coordinating", "web": "coordinating"}
    world.wait(minutes=1)
    assert reasons(world) == {"api": "due", "web": "due"}


def test_an_image_without_causes_is_not_rebuilt_with_its_group() -> None:
    world = build_world(("docs", ["debian"]))
    world.move("node")
    world.wait(days=9)

    assert reasons(world) == {"api": "due", "web": "due", "docs": "up-to-date"}


def test_one_window_holds_for_the_group() -> None:
    world = build_world(("docs", ["debian"]), window=2)
    world.move("node")
    world.wait(hours=1)
    world.move("debian")
    world.wait(days=7, minutes=59)
    assert {one.until for one in world.plan().decisions.values()} == {START + timedelta(days=8, hours=2)}

    world.wait(minutes=1)

    assert reasons(world) == {"api": "due", "web": "due", "docs": "due"}


def approval(world: RebuildWorld) -> None:
    world.enrollments["web"] = world.enrollments["web"].model_copy(update={"auto_rebuild": False})


def hold(world: RebuildWorld) -> None:
    world.holds.append(Hold(name="web", image="web", reason="release", at=world.now))


def freeze(world: RebuildWorld) -> None:
    times = {"from": world.now, "until": world.now + timedelta(days=9)}
    world.set_policy(freezes=(Freeze.model_validate({"reason": "closing", "images": ["web"], **times}),))


def fail(world: RebuildWorld) -> None:
    world.run()
    world.finish("api", RequestStatus.SUCCEEDED)
    world.finish("web", RequestStatus.FAILED)
    world.enroll("docs", ["debian"], delay=timedelta(0), group="shop")
    world.move("debian")
    world.wait(days=7, hours=1)


@pytest.mark.parametrize(
    ("stop", "policy", "expected"),
    [
        pytest.param(hold, {}, Reason.HELD, id="held"),
        pytest.param(freeze, {}, Reason.FROZEN, id="frozen"),
        pytest.param(approval, {}, Reason.NEEDS_APPROVAL, id="waits for a person"),
        pytest.param(fail, {"retry_delay": timedelta(days=30)}, Reason.BACKING_OFF, id="backs off"),
        pytest.param(fail, {"quarantine_after": 1}, Reason.QUARANTINED, id="in quarantine"),
    ],
)
def test_one_that_is_stopped_does_not_keep_the_others(
    stop: Callable[[RebuildWorld], None], policy: dict[str, Any], expected: Reason
) -> None:
    world = build_world()
    world.set_policy(**policy)
    world.move("node")
    world.wait(days=9)
    stop(world)

    found = reasons(world)

    assert found.pop("web") == expected
    assert "due" in found.values()
    assert set(found.values()) <= {"due", "up-to-date"}
    others = [one for one in world.plan().decisions.values() if one.reason is Reason.DUE]
    assert all(one.because.endswith(f"; without web ({expected})") for one in others)


def test_one_that_waits_for_its_parent_keeps_the_others_until_it_is_ready() -> None:
    world = build_world()
    world.enroll("runtime", ["node"], delay=timedelta(days=1))
    world.enroll("docs", ["runtime"], delay=timedelta(days=1), group="shop")
    world.move("node")
    world.wait(days=7, minutes=-40)
    world.set_policy(window=timedelta(days=6))
    world.wait(minutes=40)
    assert reasons(world)["runtime"] == "due"
    world.run()
    world.set_policy(window=timedelta(0))

    waiting = reasons(world)
    decision = world.decision("api")
    world.wait(hours=1)
    world.finish_all()

    assert waiting == {
        "api": "waits-for-group",
        "web": "waits-for-group",
        "docs": "waits-for-parent",
        "runtime": "under-way",
    }
    assert decision.blocked_by == ("docs",)
    assert decision.because == "the images of group shop are rebuilt together, and docs cannot be yet"
    assert reasons(world) == {"api": "due", "web": "due", "docs": "due", "runtime": "up-to-date"}


def test_one_that_is_being_built_with_less_keeps_the_others_until_it_has_ended() -> None:
    world = build_world(window=0)
    world.move("node")
    world.wait(hours=1)
    world.move("node")
    world.wait(days=7, hours=-1)
    world.run()
    world.finish("api")
    world.wait(hours=1)

    waiting = reasons(world)
    world.finish("web")

    assert waiting == {"api": "waits-for-group", "web": "under-way"}
    assert reasons(world) == {"api": "due", "web": "due"}


def test_images_of_a_group_that_are_built_on_each_other_come_one_by_one() -> None:
    world = build_world(("docs", ["web"]), window=0)
    world.move("node")
    world.wait(days=8)
    first = [decision.image for decision in world.run()]
    world.finish_all()
    second = [decision.image for decision in world.run()]

    assert (first, second) == (["api", "web"], ["docs"])


def test_groups_that_are_built_on_each_other_crosswise_block_nothing() -> None:
    world = RebuildWorld(policy=Policy(window=timedelta(0)))
    world.enroll("a", ["node"], delay=timedelta(0), group="one")
    world.enroll("d", ["node"], delay=timedelta(0), group="two")
    world.enroll("b", ["d"], delay=timedelta(0), group="one")
    world.enroll("c", ["a"], delay=timedelta(0), group="two")
    lineage = find_lineage(world.enrollments, world.images, world.bases)

    assert list(units(lineage, find_groups(world.enrollments))) == [((name,), False) for name in ("a", "d", "b", "c")]
    world.move("node")
    assert [decision.image for decision in world.run()] == ["a", "d"]
    world.finish_all()
    assert [decision.image for decision in world.run()] == ["b", "c"]
