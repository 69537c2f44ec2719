"""Coordinate: what is due becomes a request, once, and nothing that cannot be read is guessed at."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from image_factory.decide.eligibility import Reason
from image_factory.model.request import RequestStatus
from image_factory.usecases.analyze import analyze
from image_factory.usecases.coordinate import Coordination, coordinate
from image_factory.usecases.observe import observe

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any


def run(world: World, *, by: str | None = None) -> Coordination:
    """Coordinate, and write what comes of it."""
    bench = world.bench()
    coordination = coordinate(bench, by=by)
    bench.store.apply(coordination.changes)
    return coordination


@pytest.fixture
def aged(world: World) -> World:
    """A web image on node 22 and debian 12; node moved, and has aged for its week."""
    for name, tag in (("node", "22"), ("debian", "12")):
        world.registry.push_image(f"library/{name}", tag, seed="first")
    world.service("web", "FROM debian:12 AS tools\nFROM node:22\nCOPY --from=tools /bin/sh /bin/sh\n")
    world.enroll("web")
    for act in (analyze, observe):
        bench = world.bench()
        bench.store.apply(act(bench).changes)
    world.later(days=1)
    world.registry.push_image("library/node", "22", seed="second")
    bench = world.bench()
    bench.store.apply(observe(bench).changes)
    world.later(days=7, minutes=30)
    return world


def test_what_is_due_becomes_a_request_with_its_causes_and_all_digests(aged: World) -> None:
    (request,) = run(aged).requests

    assert request.status is RequestStatus.REQUESTED
    assert [cause.base for cause in request.causes] == ["node-22"]
    assert [(pin.reference, pin.role) for pin in request.digests] == [
        ("docker.io/library/debian:12", "stage"),
        ("docker.io/library/node:22", "final"),
    ]
    assert request.inputs
    written = yaml.safe_load(aged.state("rebuild-requests/web.yaml"))
    assert written["requestId"] == request.request_id
    assert written["causes"][0]["seenAt"] == "2026-03-02T12:00:00Z"


def test_a_second_run_requests_nothing(aged: World) -> None:
    run(aged)

    again = run(aged)

    assert (again.requests, again.changes) == ((), ())
    assert again.plan.decisions["web"].reason is Reason.REQUESTED


def test_a_run_writes_its_requests_as_its_own(aged: World) -> None:
    (request,) = run(aged, by="run-1").requests

    assert request.status is RequestStatus.DISPATCHING
    assert request.dispatch is not None
    assert request.dispatch.by == "run-1"


def test_without_auto_rebuild_a_request_waits_for_a_person(aged: World) -> None:
    aged.enroll(aged.managed("web", autoRebuild=False))

    (request,) = run(aged, by="run-1").requests

    assert (request.status, request.dispatch) == (RequestStatus.NEEDS_APPROVAL, None)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        pytest.param("rebuild-requests/web.yaml", "its request cannot be read", id="its request"),
        pytest.param("holds/web.yaml", "its hold cannot be read", id="its hold"),
        pytest.param("base-images/debian-12.yaml", "of debian-12 there is no state file", id="what it is built on"),
    ],
)
def test_an_image_waits_while_a_file_cannot_be_read(aged: World, path: str, said: str) -> None:
    file = aged.root / "state" / path
    file.parent.mkdir(exist_ok=True)
    file.write_text("name: [unclosed\n")

    coordination = run(aged)

    assert coordination.requests == ()
    assert coordination.plan.decisions["web"].reason is Reason.UNKNOWN
    assert said in coordination.plan.decisions["web"].because
    assert coordination.problems
    assert file.read_text() == "name: [unclosed\n"


def test_an_image_is_requested_the_moment_its_window_closes(aged: World) -> None:
    aged.now -= timedelta(seconds=1)

    assert run(aged).requests == ()
    aged.now += timedelta(seconds=1)
    assert len(run(aged).requests) == 1


def test_a_digest_is_held_while_its_hold_cannot_be_read(aged: World) -> None:
    digest = yaml.safe_load(aged.state("base-images/node-22.yaml"))["currentDigest"]
    file = aged.root / "state/holds" / f"{digest[:19].replace(':', '-')}.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text("digest: [unclosed\n")

    coordination = run(aged)

    assert coordination.requests == ()
    assert coordination.plan.decisions["web"].reason is Reason.HELD
    assert "its hold cannot be read" in coordination.plan.decisions["web"].because
