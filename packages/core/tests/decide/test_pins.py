"""Which digest each reference of a Dockerfile is built with."""

from __future__ import annotations

from datetime import timedelta

from image_factory.testing.rebuild_world import RebuildWorld


def build_world() -> RebuildWorld:
    world = RebuildWorld()
    world.enroll("runtime", ["golang"], delay=timedelta(days=90))
    world.publish("runtime")
    world.enroll("web", ["node", "debian", "runtime"], delay=timedelta(days=7))
    world.wait(days=1)
    return world


def pins(world: RebuildWorld) -> dict[str, str]:
    return {pin.reference: pin.digest for pin in world.decision("web").digests}


def test_what_has_aged_is_taken_and_the_rest_is_what_the_image_holds() -> None:
    world = build_world()
    held = world.bases["debian"].runtime.current_digest
    own = world.images["runtime"].runtime.current_digest
    aged = world.move("node")
    world.wait(days=6)
    world.move("node")
    world.move("debian")
    world.publish("runtime")
    world.wait(days=1, hours=1)

    assert pins(world) == {
        "docker.io/library/node:1": aged,
        "docker.io/library/debian:1": held,
        "ghcr.io/acme/runtime:latest": own,
    }


def test_each_reference_says_its_role() -> None:
    world = build_world()
    world.move("node")
    world.wait(days=8)

    assert [pin.role for pin in world.decision("web").digests] == ["final", "stage", "stage"]


def test_a_reference_with_a_digest_and_one_that_is_not_built_need_none() -> None:
    world = build_world()
    state = world.images["web"]
    first, second, third = state.configuration.references
    pinned = second.model_copy(update={"reference": f"{second.reference}@sha256:{'a' * 64}"})
    references = (first, pinned, third.model_copy(update={"reachable": False}))
    configuration = state.configuration.model_copy(update={"references": references})
    world.images["web"] = state.model_copy(update={"configuration": configuration})
    world.move("node")
    world.wait(days=8)

    assert set(pins(world)) == {"docker.io/library/node:1"}


def test_nothing_is_chosen_while_nothing_is_due() -> None:
    world = build_world()
    world.move("node")

    assert world.decision("web").digests == ()
