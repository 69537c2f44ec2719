"""The cascade of a base that moves: the engine's own, told beforehand, with what is left out and why."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from image_factory.decide.eligibility import Reason
from image_factory.decide.plan import Decision
from image_factory.decide.prediction import Prediction, predict
from image_factory.errors import DependencyCycle, NotFound, UserError
from image_factory.model.enrollment import DelayMode
from image_factory.model.hold import Hold
from image_factory.testing.rebuild_world import START, RebuildWorld

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
STEP = timedelta(minutes=30)


def shop() -> RebuildWorld:
    """A base image under a service, and a page on that, with delays of three days and one."""
    world = RebuildWorld()
    world.enroll("runtime", ["node"], delay=3 * DAY)
    world.enroll("api", ["runtime"], delay=DAY)
    world.enroll("page", ["api", "nginx"], delay=DAY)
    return world


def told(world: RebuildWorld, base: str = "node", **more: object) -> Prediction:
    return predict(world.facts(), base, now=world.now, **more)  # type: ignore[arg-type]


def why(prediction: Prediction, image: str) -> Reason | str:
    found = prediction.not_rebuilt[image]
    return found.reason if isinstance(found, Decision) else found


def test_images_come_in_waves_at_the_longest_delay_on_the_way() -> None:
    runtime, api, page = told(shop()).builds

    assert [one.image for one in (runtime, api, page)] == ["runtime", "api", "page"]
    assert [one.wave for one in (runtime, api, page)] == [0, 1, 2]
    assert runtime.eligible_at == START + 3 * DAY
    assert runtime.window_closes_at == runtime.build_at == START + 3 * DAY + STEP
    # Its digests are old enough when they come, so only the windows add up.
    assert api.eligible_at == runtime.finished_at
    assert page.build_at == START + 3 * DAY + 3 * STEP
    assert (page.because, api.because) == (("api",), ("runtime",))


def test_a_longer_delay_below_is_counted_from_the_same_first_sight() -> None:
    world = shop()
    world.enroll("slow", ["runtime"], delay=10 * DAY)

    slow = next(one for one in told(world).builds if one.image == "slow")

    assert slow.eligible_at == START + 10 * DAY


def test_a_group_goes_at_the_longest_of_its_delays() -> None:
    world = RebuildWorld()
    world.enroll("a", ["node"], delay=DAY, group="shop")
    world.enroll("b", ["node"], delay=5 * DAY, group="shop")

    assert {one.build_at for one in told(world).builds} == {START + 5 * DAY + STEP}


def test_builds_that_take_time_shift_what_is_below() -> None:
    runtime, api, _ = told(shop(), duration=HOUR).builds

    assert runtime.finished_at == runtime.build_at + HOUR
    assert api.eligible_at == runtime.finished_at


def test_a_move_in_the_future_is_counted_from_then() -> None:
    assert told(shop(), at=START + 30 * DAY).builds[0].eligible_at == START + 33 * DAY


def test_what_waits_already_for_another_base_is_not_taken_for_the_move() -> None:
    world = shop()
    world.move("nginx")
    world.wait(hours=12)

    page = told(world).builds[-1]

    assert page.build_at == world.now + 3 * DAY + 3 * STEP


def test_a_rebuild_that_waits_already_is_not_told_where_the_move_is_not_in_it() -> None:
    world = shop()
    world.move("node")
    world.wait(days=2)

    runtime = told(world).builds[0]

    assert runtime.build_at == world.now + 3 * DAY + STEP


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        pytest.param("approval", Reason.NEEDS_APPROVAL, id="one that a person starts"),
        pytest.param("held", Reason.HELD, id="one that is held without an end"),
        pytest.param("gone", "it is not in images.yaml", id="one that is not enrolled any more"),
    ],
)
def test_what_is_not_rebuilt_says_why_and_keeps_what_is_below(how: str, expected: object) -> None:
    world = RebuildWorld()
    world.enroll("runtime", ["node"], auto_rebuild=how != "approval")
    world.enroll("api", ["runtime"])
    if how == "held":
        world.holds.append(Hold(name="runtime", image="runtime", reason="no", at=START))
    if how == "gone":
        del world.enrollments["runtime"]

    prediction = told(world)

    assert prediction.waves == ()
    assert why(prediction, "runtime") == expected
    assert why(prediction, "api") in ("what it is built on is not rebuilt", Reason.WAITS_FOR_PARENT)


def test_a_hold_that_ends_delays_and_stops_nothing() -> None:
    world = shop()
    world.holds.append(Hold(name="runtime", image="runtime", reason="no", at=START, until=START + 9 * DAY))

    assert told(world).builds[0].build_at == START + 9 * DAY


def test_a_move_on_a_platform_that_is_not_built_rebuilds_nothing() -> None:
    world = RebuildWorld()
    world.enroll("web", ["node"], source={"platforms": ["linux/amd64"]})
    world.move("node", platforms={"linux/amd64": "sha256:a", "linux/arm64": "sha256:b"})
    world.wait(days=8)
    world.run()
    world.finish_all()

    assert why(told(world, platforms=["linux/arm64"]), "web") is Reason.OTHER_PLATFORM
    assert [one.image for one in told(world, platforms=["linux/amd64"]).builds] == ["web"]


def test_an_image_of_ours_can_be_asked_for_too() -> None:
    world = shop()
    world.publish("runtime")

    assert [one.image for one in told(world, "runtime").builds] == ["api", "page"]


@pytest.mark.parametrize(
    ("base", "more", "error"),
    [
        pytest.param("nope", {}, NotFound, id="a base that nobody knows"),
        pytest.param("node", {"at": START - DAY}, UserError, id="an instant that has passed"),
        pytest.param("node", {"platforms": ["linux/s390x"]}, UserError, id="a platform that it has not"),
    ],
)
def test_what_cannot_be_is_said(base: str, more: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        told(shop(), base, **more)


def test_a_base_that_cannot_move_is_said() -> None:
    world = shop()
    base = world.bases["node"]
    world.bases["node"] = base.model_copy(
        update={"configuration": base.configuration.model_copy(update={"pinned": True})}
    )

    with pytest.raises(UserError, match="pinned"):
        told(world)


def test_a_base_that_was_never_observed_is_said() -> None:
    world = shop()
    base = world.bases["node"]
    world.bases["node"] = base.model_copy(update={"runtime": base.runtime.model_copy(update={"current_digest": None})})

    with pytest.raises(UserError, match="no digest of node is known"):
        told(world)


def test_a_cycle_is_an_error_with_its_path() -> None:
    world = RebuildWorld()
    world.enroll("a", ["node"])
    world.enroll("b", ["a"])
    image = world.images["a"]
    world.images["a"] = image.model_copy(
        update={"configuration": image.configuration.model_copy(update={"base_images": ("b", "node")})}
    )

    with pytest.raises(DependencyCycle, match="a -> b -> a"):
        told(world)


def test_nothing_of_the_facts_is_changed() -> None:
    world = shop()
    before = (dict(world.images), dict(world.bases), dict(world.requests))

    told(world)

    assert before == (world.images, world.bases, world.requests)


# --- beside the engine ---------------------------------------------------------------------------------


class Shown(RebuildWorld):
    """A world whose text is short, since Hypothesis writes it down."""

    def __repr__(self) -> str:
        return f"Shown({list(self.images)}, {self.now})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


@st.composite
def worlds(draw: st.DrawFn) -> RebuildWorld:
    """Graphs of up to eight images on two bases, with delays, groups, holds, and moves that wait already."""
    world = Shown()
    world.set_policy(window=draw(st.sampled_from([timedelta(), STEP, HOUR])), max_concurrent=draw(st.integers(1, 3)))
    names: list[str] = []
    for number in range(draw(st.integers(1, 8))):
        below = draw(st.lists(st.sampled_from(["node", "nginx", *names]), min_size=1, max_size=3, unique=True))
        world.enroll(
            f"i{number}",
            below,
            delay=draw(st.integers(0, 24)) * HOUR,
            delay_mode=draw(st.sampled_from(DelayMode)),
            auto_rebuild=draw(st.integers(0, 5)) > 0,
            group=draw(st.sampled_from([None, None, None, "one", "two"])),
            criticality=draw(st.sampled_from(["low", "normal", "critical"])),
        )
        names.append(f"i{number}")
    for name in ("node", "nginx"):
        if name not in world.bases:
            world.add_base(name)
    if draw(st.booleans()):
        until = draw(st.none() | st.integers(1, 40).map(lambda hours: START + hours * HOUR))
        world.holds.append(Hold(name="i0", image="i0", reason="no", at=START, until=until))
    for base in draw(st.lists(st.sampled_from(["node", "nginx"]), max_size=3)):
        world.wait(hours=draw(st.integers(1, 12)))
        world.move(base)
        settle(world)
    world.wait(hours=draw(st.integers(0, 3)))
    settle(world)
    return world


def settle(world: RebuildWorld) -> None:
    """Let runs follow each other until there is nothing more to do at this instant."""
    while any(str(one.reason) == "due" for one in world.run()):
        world.finish_all()


def really(world: RebuildWorld, digest: str) -> dict[str, object]:
    """Let the engine run every half hour for five days; return when each image was first requested with the move."""
    first: dict[str, object] = {}
    holding = {("node", digest)}
    seen: set[str] = set()
    for _ in range(240):
        while True:
            due = world.run()
            world.finish_all()
            for image, state in world.images.items():
                for build in state.history.rebuild_history:
                    if build.request_id in seen or build.digest is None:
                        continue
                    seen.add(str(build.request_id))
                    takes = any((str(cause["base"]), str(cause["to"])) in holding for cause in build.causes)
                    if takes or image in first:
                        holding.add((image, build.digest))
                        first.setdefault(image, build.at)
            if not any(str(one.reason) == "due" for one in due):
                break
        world.now += STEP
    return first


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(world=worlds())
def test_the_prediction_is_what_the_engine_does(world: RebuildWorld) -> None:
    prediction = told(world)
    digest = world.move("node")

    assert {one.image: one.build_at for one in prediction.builds} == really(world, digest)


def test_a_move_of_which_nothing_is_said_touches_every_platform() -> None:
    world = RebuildWorld()
    world.enroll("web", ["node"], source={"platforms": ["linux/amd64"]})
    world.move("node", platforms={"linux/amd64": "sha256:a", "linux/arm64": "sha256:b"})
    world.wait(days=8)
    settle(world)

    assert [one.image for one in told(world).builds] == ["web"]
