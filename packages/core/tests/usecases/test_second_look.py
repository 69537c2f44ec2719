"""A second look at the bases of what is due: what moved since, one question a base, and none for the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from image_factory.model.request import RebuildRequest
from image_factory.testing.clock import START
from image_factory.usecases.analyze import analyze
from image_factory.usecases.observe import observe, record_observed
from image_factory.usecases.outcome import Done
from image_factory.usecases.second_look import look_again

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any

WITHDRAWN = f"sha256:{'b' * 64}"


@pytest.fixture
def watched(world: World) -> World:
    world.service("web", "FROM node:22\n")
    world.service("api", "FROM redis:7\n")
    world.enroll("web", "api")
    bench = world.bench()
    bench.store.apply(analyze(bench).changes)
    for repository, tag in (("library/node", "22"), ("library/redis", "7")):
        world.registry.push_image(repository, tag)
    bench.store.apply(observe(bench).changes)
    world.registry.forget()
    return world


def request(*bases: str) -> RebuildRequest:
    causes = [{"base": base, "from": None, "to": WITHDRAWN, "seenAt": START} for base in bases]
    told = {"name": "web", "requestId": "web-r1", "status": "requested", "requestedAt": START, "causes": causes}
    return RebuildRequest.model_validate({**told, "reason": "due"})


def test_a_base_that_moved_back_is_seen(watched: World) -> None:
    bench = watched.bench()
    known = bench.store.bases().records["node-22"].runtime.current_digest
    bench.store.apply(record_observed(bench, "node-22", WITHDRAWN).changes)

    seen = look_again(bench, [request("node-22"), request("node-22")])

    assert seen is not None
    assert [type(outcome) for outcome in seen.outcomes] == [Done]
    bench.store.apply(seen.changes)
    assert bench.store.bases().records["node-22"].runtime.current_digest == known
    assert [asked.path for asked in watched.registry.requests if asked.method == "HEAD"] == [
        "/v2/library/node/manifests/22"
    ]


def test_what_is_as_it_was_changes_nothing(watched: World) -> None:
    assert look_again(watched.bench(), [request("node-22")]) is None
    assert look_again(watched.bench(), [request("parent")]) is None, "an image of ours is no base that is watched"
    assert look_again(watched.bench(), []) is None


def test_a_registry_that_does_not_answer_stops_nothing(watched: World) -> None:
    watched.registry.fail_next(503, times=50)

    assert look_again(watched.bench(), [request("node-22")]) is None
