"""Status: configuration and runtime together, what waits, and what is not analyzed yet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from image_factory.decide.eligibility import Reason
from image_factory.errors import NotFound
from image_factory.model.hold import Hold
from image_factory.usecases.analyze import analyze
from image_factory.usecases.coordinate import coordinate
from image_factory.usecases.observe import observe
from image_factory.usecases.status import Status, base_to_json, find_image, read_status, to_json

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any


def step(world: World, act: Any) -> None:
    bench = world.bench()
    bench.store.apply(act(bench).changes)


@pytest.fixture
def moved(world: World) -> World:
    """A web image on node 22, seen at the start, and moved a day later."""
    world.registry.push_image("library/node", "22", seed="first")
    world.service("web", "FROM golang:1.23 AS unused\nFROM node:22\n")
    world.registry.push_image("library/golang", "1.23", seed="first")
    world.enroll("web")
    step(world, analyze)
    step(world, observe)
    world.later(days=1)
    world.registry.push_image("library/node", "22", seed="second")
    world.registry.push_image("library/golang", "1.23", seed="second")
    step(world, observe)
    return world


def status(world: World) -> Status:
    return read_status(world.bench())


def test_an_image_whose_base_moved_cools_down_until_its_delay_is_over(moved: World) -> None:
    web = status(moved).images["web"]

    assert web.rebuild is Reason.COOLING_DOWN
    assert f"{web.eligible_at:%Y-%m-%d}" == "2026-03-09"


def test_it_is_due_when_the_delay_is_over(moved: World) -> None:
    moved.later(days=7, minutes=30)

    assert status(moved).images["web"].rebuild is Reason.DUE


def test_it_coordinates_while_its_window_is_open(moved: World) -> None:
    moved.later(days=7)

    web = status(moved).images["web"]

    assert web.rebuild is Reason.COORDINATING
    assert f"{web.until:%Y-%m-%dT%H:%M}" == "2026-03-09T12:30"
    assert f"{web.eligible_at:%Y-%m-%dT%H:%M}" == "2026-03-09T12:00"


def test_a_base_that_the_built_target_does_not_reach_is_no_cause(moved: World) -> None:
    assert [cause.base for cause in status(moved).images["web"].causes] == ["node-22"]


def test_without_auto_rebuild_it_needs_approval(moved: World) -> None:
    moved.enroll(moved.managed("web", autoRebuild=False))
    step(moved, analyze)
    moved.later(days=7, minutes=30)

    assert status(moved).images["web"].rebuild is Reason.NEEDS_APPROVAL


def test_an_enrolled_image_without_state_is_named(moved: World) -> None:
    moved.enroll("web", "api")

    found = status(moved)

    assert found.unanalyzed == ("api",)
    with pytest.raises(NotFound, match="not analyzed yet") as caught:
        find_image(found, "api")
    assert caught.value.hint == "image-factory analyze --image api"


def test_an_unknown_image_names_those_that_are_known(moved: World) -> None:
    with pytest.raises(NotFound, match="'nope'") as caught:
        find_image(status(moved), "nope")

    assert "web" in caught.value.hint


def test_json_holds_configuration_and_runtime_and_what_waits(moved: World) -> None:
    data = json.loads(json.dumps(to_json(status(moved).images["web"])))

    assert data["configuration"]["baseImages"] == ["golang-1-23", "node-22"]
    assert data["runtime"]["discoveryStatus"] == "success"
    assert data["rebuild"]["status"] == "cooling-down"
    assert data["rebuild"]["causes"][0]["eligibleAt"] == "2026-03-09T12:00:00Z"


def test_a_base_s_json_names_its_dependents(moved: World) -> None:
    found = status(moved)

    data = base_to_json(found.bases["node-22"], found.dependents["node-22"])

    assert (data["kind"], data["dependents"]) == ("base", ["web"])


def test_json_says_what_is_decided_and_what_it_waits_for(moved: World) -> None:
    bench = moved.bench()
    bench.store.apply(bench.store.plan(holds=[Hold(name="web", image="web", reason="no", by="al", at=moved.now)]))

    rebuild = to_json(status(moved).images["web"])["rebuild"]

    assert (rebuild["status"], rebuild["until"], rebuild["blockedBy"]) == ("held", None, ["web"])
    assert rebuild["because"] == "it is held by al until a person ends it: no"
    assert rebuild["request"] is None
    assert rebuild["causes"][0]["reason"] == "cooling-down"


def test_what_is_shown_is_what_a_run_decides(moved: World) -> None:
    found = status(moved)

    assert found.facts is not None
    assert found.plan.decisions["web"] == coordinate(moved.bench()).plan.decisions["web"]
    assert found.images["web"].decision is found.plan.decisions["web"]
