"""Explain: what an image waits for, until when and why, in sentences."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from image_factory.errors import InvalidState, NotFound
from image_factory.model.hold import Hold
from image_factory.model.image_state import Build, Consumer, ConsumerStatus
from image_factory.model.request import Dispatch, RebuildRequest, RequestStatus
from image_factory.state.merge import record_rebuild
from image_factory.testing.clock import START
from image_factory.usecases.analyze import analyze
from image_factory.usecases.explain import explain, explanation_to_json
from image_factory.usecases.handover import Handover
from image_factory.usecases.observe import observe
from image_factory.usecases.status import read_status

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any


def step(world: World, act: Any, *arguments: Any) -> None:
    bench = world.bench()
    bench.store.apply(act(bench, *arguments).changes)


def sentences(world: World, name: str) -> str:
    return "\n".join(explain(read_status(world.bench()), name, world.now))


@pytest.fixture
def web(world: World) -> World:
    world.registry.push_image("library/node", "22", seed="first")
    world.service("web", "FROM node:22\n")
    world.enroll("web", {"name": "redis", "repository": "redis", "tag": "7"})
    step(world, analyze)
    step(world, observe)
    return world


def test_an_image_that_waits_for_nothing_says_so(web: World) -> None:
    assert "It is up to date: nothing waits." in sentences(web, "web")


def test_an_image_that_cools_down_says_until_when_and_how_long(web: World) -> None:
    web.registry.push_image("library/node", "22", seed="second")
    web.later(hours=1)
    step(web, observe)
    web.later(days=3, minutes=30)

    text = sentences(web, "web")

    assert "eligible 2026-03-08T13:00:00Z, in 3d23h30m" in text
    assert "It would be rebuilt from 2026-03-08T13:00:00Z on, in 3d23h30m: it is cooling down." in text


def test_a_due_image_says_since_when(web: World) -> None:
    web.registry.push_image("library/node", "22", seed="second")
    step(web, observe)
    web.later(days=8)

    assert "eligible since 2026-03-08T12:00:00Z" in sentences(web, "web")
    assert "A rebuild is due." in sentences(web, "web")


def test_a_failed_discovery_says_why(web: World) -> None:
    web.service("web", "FROM node:${NOPE}\n")
    step(web, analyze)

    assert "could not be read whole: web/Dockerfile:1: unresolved-arg" in sentences(web, "web")


def test_a_handed_over_version_is_told(web: World) -> None:
    step(web, analyze, Handover("web", tag="1.4.0", digest=f"sha256:{'c' * 64}"))

    assert "Its current version is 1.4.0 at sha256:cccccccccccc, built 2026-03-01T12:00:00Z." in sentences(web, "web")


def test_an_external_image_is_watched_not_built(web: World) -> None:
    assert "It is watched, not built." in sentences(web, "redis")


def test_a_base_image_tells_its_moves_and_what_is_built_on_it(web: World) -> None:
    web.registry.push_image("library/node", "22", seed="second")
    step(web, observe)

    text = sentences(web, "node-22")

    assert "node-22 is a base image, docker.io/library/node:22." in text
    assert "Built on it: web." in text
    assert "web: cooling-down, from 2026-03-08T12:00:00Z on." in text


def test_an_unknown_name_is_an_error(web: World) -> None:
    with pytest.raises(NotFound):
        sentences(web, "nope")


def test_a_base_whose_state_cannot_be_read_is_named_and_nothing_is_claimed(web: World) -> None:
    (web.root / "state/base-images/node-22.yaml").write_text("name: [\n")

    said = sentences(web, "web")

    assert "  node-22: cannot be told: " in said
    assert "node-22.yaml:2: unreadable state file" in said
    assert said.endswith(
        "Just now nothing can be said of a rebuild: what it is built with cannot be chosen: "
        "of node-22 there is no state file that can be read."
    )


def test_an_image_whose_state_cannot_be_read_is_not_called_unanalyzed(web: World) -> None:
    (web.root / "state/images/web.yaml").write_text("name: [\n")

    with pytest.raises(InvalidState, match="unreadable state file"):
        sentences(web, "web")


def test_an_image_whose_source_was_never_reached_is_not_called_up_to_date(world: World) -> None:
    world.enroll(world.managed("web", source={"repo": "http://127.0.0.1:9/services.git"}))
    step(world, analyze)

    text = sentences(world, "web")

    assert "nothing can be said of a rebuild" in text
    assert "up to date" not in text


# --- what it waits for ---------------------------------------------------------------------------------


@pytest.fixture
def family(world: World) -> World:
    """page on web, web on node, which moved; both delays are over, and the windows too."""
    world.registry.push_image("library/node", "22", seed="first")
    world.service("web", "FROM node:22\n")
    world.service("page", "FROM ghcr.io/acme/web:1\n")
    deploy = {"repo": "acme/deploy", "path": "page.yaml", "type": "yaml-update"}
    world.enroll(world.managed("web", group="shop"), world.managed("page", updates=[deploy]))
    step(world, analyze)
    step(world, observe)
    world.registry.push_image("library/node", "22", seed="second")
    step(world, observe)
    world.later(days=7, minutes=30)
    return world


def put(world: World, **records: Any) -> None:
    bench = world.bench()
    bench.store.apply(bench.store.plan(**records))


def told(world: World, name: str) -> dict[str, Any]:
    return explanation_to_json(read_status(world.bench()), name, world.now)


def test_a_child_says_whom_it_waits_for_and_what_that_waits_for(family: World) -> None:
    text = sentences(family, "page")

    assert "It waits for what it is built on: it is built on web, to be rebuilt first." in text
    assert "  blocked by web, which is due: node-22 moved to" in text
    assert told(family, "page")["blockedBy"][0]["name"] == "web"
    assert told(family, "page")["rule"]["reason"] == "waits-for-parent"


def test_what_an_image_waits_for_is_told_in_words(world: World) -> None:
    world.service("web", "FROM ghcr.io/acme/page:1\n")
    world.service("page", "FROM ghcr.io/acme/web:1\n")
    world.enroll("web", "page")
    step(world, analyze)

    assert "  blocked by page, which cannot be rebuilt (by web): images depend on each other" in sentences(world, "web")


def test_a_rebuild_says_what_it_takes_and_by_which_rule(family: World) -> None:
    data = told(family, "web")

    taken = data["candidate"]["causes"][0]
    assert f"A rebuild takes node-22 {taken['to'][:19]}." in data["sentences"]
    assert any("the longest delay of group shop is that of web" in line for line in data["sentences"])
    assert data["candidate"]["digests"][0]["digest"] == taken["to"]
    assert data["evidence"][0]["eligibleAt"] == "2026-03-08T12:00:00Z"


def test_an_open_window_says_until_when(family: World) -> None:
    family.later(minutes=-10)

    text = sentences(family, "web")

    assert "A rebuild is due, and its window is open until 2026-03-08T12:30:00Z, in 10m: " in text
    assert told(family, "web")["nextAt"] == "2026-03-08T12:30:00Z"


def test_a_hold_is_told_with_who_and_why_and_its_end(family: World) -> None:
    until = family.now + timedelta(days=1)
    put(family, holds=[Hold(name="web", image="web", reason="a release", by="alice", at=family.now, until=until)])

    text = sentences(family, "web")

    assert "It is held until 2026-03-09T12:30:00Z, in 1d: it is held by alice until 2026-03-09T12:30:00Z" in text
    assert text.count("a release") == 1


def test_a_hold_that_is_not_what_it_waits_for_is_told_too(family: World) -> None:
    put(family, holds=[Hold(name="page", image="page", reason="not now", at=family.now)])

    assert "held until a person ends it: not now." in sentences(family, "page")


def test_a_digest_that_is_held_is_not_said_to_be_taken(family: World) -> None:
    digest = str(family.bench().store.bases().records["node-22"].runtime.current_digest)
    put(family, holds=[Hold(name="one", digest=digest, reason="it breaks", at=family.now)])

    text = sentences(family, "web")

    assert "is held until a person ends it: it breaks" in text
    assert "A rebuild takes" not in text


def request(world: World, **fields: Any) -> RebuildRequest:
    return RebuildRequest(
        **{"name": "web", "request_id": "web-1", "requested_at": world.now, "reason": "due", **fields}
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(
            {"status": "dispatched", "dispatch": Dispatch(at=START, run_id="7", url="https://ci/7")},
            ["Its rebuild is under way: request web-1 is dispatched.", "is dispatched; run 7 (https://ci/7)."],
            id="one that runs",
        ),
        pytest.param(
            {"status": "needs-approval"},
            ["It waits for a person, who approves it with: image-factory rebuild web.", "waits for approval."],
            id="one that waits for a person",
        ),
        pytest.param(
            {"status": "requested", "dispatch": Dispatch(at=START, attempt=2, error="HTTP 502")},
            ["Its rebuild is requested: ", "attempt 2 failed: HTTP 502."],
            id="one that could not be started",
        ),
        pytest.param(
            {"status": "failed", "finished_at": START, "problem": "run 7 failed"},
            ["failed at 2026-03-01T12:00:00Z; run 7 failed."],
            id="one that failed",
        ),
    ],
)
def test_the_latest_request_is_told(family: World, fields: dict[str, Any], expected: list[str]) -> None:
    put(family, requests=[request(family, **{**fields, "status": RequestStatus(fields["status"])})])

    text = sentences(family, "web")

    for each in expected:
        assert each in text


def test_the_last_rebuilds_are_told_the_newest_first(family: World) -> None:
    bench = family.bench()
    state = bench.store.images().records["web"]
    for number in range(5):
        build = Build(
            at=START + timedelta(days=number), reason="due", trigger="policy", result="failed",
            request_id=f"web-{number}", problem=f"run {number} failed",
        )  # fmt: skip
        state = record_rebuild(state, build)
    bench.store.apply(bench.store.plan([state]))

    lines = sentences(family, "web").splitlines()

    at = lines.index("Its last rebuilds:")
    assert [line.split(",")[-1] for line in lines[at + 1 : at + 5]][:3] == [f" run {n} failed." for n in (4, 3, 2)]


def test_a_consumer_says_how_far_it_has_come(family: World) -> None:
    assert "Consumer acme/deploy page.yaml (main): no version was carried to it yet." in sentences(family, "page")
    bench = family.bench()
    state = bench.store.images().records["page"]
    known = Consumer(
        repo="acme/deploy", path="page.yaml", type="yaml-update", branch="main", status=ConsumerStatus.PROPOSED,
        version="1.2.0", at=START, url="https://hub/pr/1",
    )  # fmt: skip
    runtime = state.runtime.model_copy(update={"consumers": (known,)})
    bench.store.apply(bench.store.plan([state.model_copy(update={"runtime": runtime})]))

    assert "page.yaml (main): proposed 1.2.0 at 2026-03-01T12:00:00Z, https://hub/pr/1." in sentences(family, "page")
    assert told(family, "page")["state"]["consumers"][0]["status"] == "proposed"


def test_an_image_that_is_not_enrolled_any_more_says_so(family: World) -> None:
    family.enroll("page")

    assert "nothing can be said of a rebuild: it is not in images.yaml any more" in sentences(family, "web")
