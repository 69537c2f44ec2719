"""Whether a base's move touches a platform that is built."""

from __future__ import annotations

from datetime import timedelta

import pytest

from image_factory.decide.eligibility import Reason
from image_factory.decide.platforms import platform_key
from image_factory.testing.rebuild_world import RebuildWorld

AMD, ARM, ARM7 = "linux/amd64", "linux/arm64", "linux/arm/v7"


@pytest.mark.parametrize(
    ("old", "new", "built", "is_same"),
    [
        pytest.param({AMD: "a", ARM: "b"}, {AMD: "a", ARM: "c"}, [AMD], True, id="another platform moved"),
        pytest.param({AMD: "a", ARM: "b"}, {AMD: "x", ARM: "b"}, [AMD], False, id="the platform moved"),
        pytest.param({AMD: "a", ARM: "b"}, {AMD: "a", ARM: "c"}, [], False, id="all are built, and one moved"),
        pytest.param({AMD: "a"}, {AMD: "a"}, [], True, id="all are built, and none moved"),
        pytest.param({AMD: "a"}, {AMD: "a", ARM: "b"}, [AMD], True, id="a platform came that is not built"),
        pytest.param({AMD: "a"}, {AMD: "a", ARM: "b"}, [AMD, ARM], False, id="a platform came that is built"),
        pytest.param({AMD: "a", ARM: "b"}, {AMD: "a"}, [ARM], False, id="the platform vanished"),
        pytest.param({"linux/arm64/v8": "a"}, {ARM: "a"}, [ARM], True, id="two spellings of one platform"),
        pytest.param({ARM7: "a"}, {"linux/arm": "a"}, [ARM7], True, id="a variant that goes without saying"),
    ],
)
def test_two_digests_are_alike_where_no_platform_that_is_built_differs(
    old: dict[str, str], new: dict[str, str], built: list[str], is_same: bool
) -> None:
    assert (platform_key(old, built) == platform_key(new, built)) is is_same


def test_where_platforms_are_not_known_nothing_can_be_told() -> None:
    assert platform_key({}, [AMD]) is None


def build_world(*platforms: str) -> RebuildWorld:
    world = RebuildWorld()
    world.enroll("web", ["node"], delay=timedelta(0), source={"platforms": list(platforms)} if platforms else {})
    world.move("node", platforms={AMD: "sha256:a", ARM: "sha256:b"})
    world.wait(hours=1)
    world.run()
    world.finish_all()
    world.wait(hours=1)
    return world


def test_a_move_on_another_platform_is_recorded_and_starts_nothing() -> None:
    world = build_world(AMD)
    world.move("node", platforms={AMD: "sha256:a", ARM: "sha256:c"})
    world.wait(days=1)

    decision = world.decision("web")

    assert decision.reason is Reason.OTHER_PLATFORM
    assert decision.because == "node moved on no platform that is built (linux/amd64)"
    assert len(world.bases["node"].history.update_history) == 3


@pytest.mark.parametrize(
    "platforms",
    [pytest.param((), id="none is named: all are built"), pytest.param((AMD, ARM), id="both are named")],
)
def test_a_move_on_a_platform_that_is_built_starts_a_rebuild(platforms: tuple[str, ...]) -> None:
    world = build_world(*platforms)
    world.move("node", platforms={AMD: "sha256:a", ARM: "sha256:c"})
    world.wait(days=1)

    assert world.decision("web").reason is Reason.DUE


def test_a_move_whose_platforms_are_not_known_starts_a_rebuild() -> None:
    world = build_world(AMD)
    world.move("node")
    world.wait(days=1)

    assert world.decision("web").reason is Reason.DUE


def test_a_move_that_another_takes_back_on_our_platform_starts_nothing() -> None:
    world = build_world(AMD)
    world.move("node", platforms={AMD: "sha256:x", ARM: "sha256:b"})
    world.move("node", platforms={AMD: "sha256:a", ARM: "sha256:z"})
    world.wait(days=1)

    assert world.decision("web").reason is Reason.OTHER_PLATFORM
