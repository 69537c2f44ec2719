"""A person orders a rebuild, or approves one that waits: a request like every other, refused before its time."""

from __future__ import annotations

from typing import Any

import pytest

from image_factory.errors import Conflict, InvalidState, NotFound, UnknownPlugin, VerificationError
from image_factory.model.hold import Hold
from image_factory.model.request import Dispatch, PinnedDigest, RebuildRequest, RequestStatus
from image_factory.testing.builds import Builds
from image_factory.testing.image_content import build_image
from image_factory.usecases.analyze import analyze
from image_factory.usecases.dispatch import dispatch
from image_factory.usecases.handover import Handover
from image_factory.usecases.observe import observe
from image_factory.usecases.rebuild import claim_order, order_rebuild, rehearse_order

DIGEST = f"sha256:{'d' * 64}"


@pytest.fixture
def builds(world: Any) -> Builds:
    """A managed image on a base that moved a day ago, with a delay of seven days."""
    builds = Builds()
    world.plugins = {"builds": builds.plugin()}
    world.service("web", "FROM node:22 AS build\nFROM alpine:3.22\nCOPY --from=build / /\n")
    world.enroll("web")
    world.registry.push("library/node", ["22"], build_image(seed="node"))
    for seed in ("one", "two"):
        world.registry.push("library/alpine", ["3.22"], build_image(seed=seed))
        learn(world)
        world.later(days=1, hours=1)
    return builds


def learn(world: Any) -> None:
    for step in (analyze, observe):
        bench = world.bench()
        bench.store.apply(step(bench).changes)


def start(world: Any, **options: Any) -> RebuildRequest:
    force = options.pop("force", False)
    bench = world.bench()
    request, changes = claim_order(bench, order_rebuild(bench, "web", **options), "run-1", force=force)
    bench.store.apply(changes)
    (made,) = dispatch(bench, "run-1", ["web"]).requests
    assert made.request_id == request.request_id
    return made


def waiting(world: Any, status: str, **fields: Any) -> None:
    request = RebuildRequest(
        name="web", request_id="web-r1", status=RequestStatus(status), requested_at=world.now, reason="needs-approval",
        digests=(PinnedDigest(reference="docker.io/library/alpine:3.22", digest=DIGEST, role="final"),), **fields,
    )  # fmt: skip
    bench = world.bench()
    bench.store.apply(bench.store.plan(requests=[request]))


def test_before_its_time_a_rebuild_is_refused_and_nothing_is_sent_or_written(world: Any, builds: Builds) -> None:
    with pytest.raises(VerificationError, match="web is not eligible until 2026-03-09T13:00:00Z"):
        start(world)

    assert builds.asked == []
    assert dict(world.bench().store.requests().records) == {}


def test_an_image_without_news_is_refused_by_its_state(world: Any, builds: Builds) -> None:
    bench = world.bench()
    state = bench.store.images().records["web"]
    cause = {"base": "alpine-3-22", "to": bench.store.bases().records["alpine-3-22"].runtime.current_digest}
    build = {"at": world.now, "reason": "due", "trigger": "policy", "result": "succeeded", "causes": [cause]}
    history = state.history.model_validate({**dict(state.history), "rebuild_history": [build]})
    bench.store.apply(bench.store.plan([state.model_copy(update={"history": history})]))

    with pytest.raises(VerificationError, match="web is not eligible: it is up-to-date"):
        start(world)


def test_a_due_rebuild_builds_with_the_aged_digest_and_says_why(world: Any, builds: Builds) -> None:
    world.later(days=7)

    request = start(world, actor="alice")

    bases = world.bench().store.bases().records
    told = {pinned.reference: (pinned.digest, pinned.role) for pinned in request.digests}
    alpine = bases["alpine-3-22"].runtime
    assert told["docker.io/library/alpine:3.22"] == (alpine.current_digest, "final")
    assert told["docker.io/library/node:22"] == (bases["node-22"].runtime.current_digest, "stage")
    assert (request.status, request.reason, request.triggered_by) == (RequestStatus.DISPATCHED, "ordered", "cli")
    (cause,) = request.causes
    assert (cause.base, cause.from_digest, cause.to) == ("alpine-3-22", alpine.previous_digest, alpine.current_digest)
    assert cause.seen_at is not None
    assert builds.started[0].inputs["triggered_by"] == "image-factory rebuild"


def test_whoever_insists_gets_what_would_be_taken_in_first(world: Any, builds: Builds) -> None:
    request = start(world, force=True)

    current = world.bench().store.bases().records["alpine-3-22"].runtime.current_digest
    assert [cause.to for cause in request.causes] == [current]
    assert current in {pinned.digest for pinned in request.digests}


def test_a_base_that_is_not_old_enough_stays_as_the_image_holds_it(world: Any, builds: Builds) -> None:
    held = world.bench().store.bases().records["node-22"].runtime.current_digest
    world.later(days=6)
    world.registry.push("library/node", ["22"], build_image(seed="newer node"))
    learn(world)
    world.later(days=1)

    request = start(world)

    assert world.bench().store.bases().records["node-22"].runtime.current_digest != held
    assert held in {pinned.digest for pinned in request.digests}
    assert [cause.base for cause in request.causes] == ["alpine-3-22"]


def test_a_managed_parent_gives_its_own_digest_and_an_unbuilt_stage_nothing(world: Any) -> None:
    builds = Builds()
    world.plugins = {"builds": builds.plugin()}
    world.service("parent", "FROM scratch\n")
    world.service("other", "FROM scratch\n")
    world.service("web", "FROM ghcr.io/acme/other:1 AS unused\nFROM ghcr.io/acme/parent:1\n")
    world.enroll("parent", "other", "web")
    for handover in (None, Handover("parent", "1", DIGEST), Handover("other", "1", DIGEST)):
        bench = world.bench()
        bench.store.apply(analyze(bench, handover).changes)

    request = start(world, force=True)

    assert [(each.reference, each.digest) for each in request.digests] == [("ghcr.io/acme/parent:1", DIGEST)]


@pytest.mark.parametrize("what", [{"image": "web"}, {"digest": DIGEST}])
def test_an_image_on_hold_is_refused_unless_somebody_insists(world: Any, builds: Builds, what: dict[str, str]) -> None:
    world.later(days=7)
    bench = world.bench()
    if "digest" in what:
        what = {"digest": str(bench.store.bases().records["alpine-3-22"].runtime.current_digest)}
    bench.store.apply(bench.store.plan(holds=[Hold(name="one", reason="it breaks", at=world.now, **what)]))

    with pytest.raises(VerificationError, match="held"):
        start(world)

    assert start(world, force=True).status is RequestStatus.DISPATCHED


@pytest.mark.parametrize("thing", ["image", "digest"])
def test_a_hold_that_cannot_be_read_holds(world: Any, builds: Builds, thing: str) -> None:
    world.later(days=7)
    digest = str(world.bench().store.bases().records["alpine-3-22"].runtime.current_digest)
    holds = world.root / "state/holds"
    holds.mkdir()
    name = "web" if thing == "image" else digest[: len("sha256:") + 12].replace(":", "-")
    (holds / f"{name}.yaml").write_text("{{{\n")

    with pytest.raises(VerificationError, match="held"):
        start(world)

    assert builds.asked == []


def test_a_request_that_waits_for_approval_is_approved_and_started_as_it_stands(world: Any, builds: Builds) -> None:
    waiting(world, "needs-approval")

    request = start(world, actor="alice", version_bump="minor")

    assert (request.request_id, request.status) == ("web-r1", RequestStatus.DISPATCHED)
    assert (request.approved_by, request.approved_at) == ("alice", world.now)
    assert (request.triggered_by, request.version_bump) == ("policy", "minor")
    assert [pinned.digest for pinned in request.digests] == [DIGEST]


def test_a_request_that_is_not_started_yet_is_started_now(world: Any, builds: Builds) -> None:
    waiting(world, "requested", not_before=world.now.replace(year=2027))

    request = start(world)

    assert (request.request_id, len(builds.started)) == ("web-r1", 1)
    assert (request.approved_by, request.version_bump, request.not_before) == (None, "patch", None)


@pytest.mark.parametrize("status", ["dispatching", "dispatched"])
def test_a_rebuild_that_is_under_way_is_refused_with_its_request(world: Any, builds: Builds, status: str) -> None:
    waiting(world, status, dispatch=Dispatch(at=world.now, by="run-0"))

    with pytest.raises(Conflict, match="request web-r1"):
        start(world, force=True)

    assert builds.started == []


def test_a_settled_request_makes_room_for_a_new_one(world: Any, builds: Builds) -> None:
    waiting(world, "failed")

    assert start(world, force=True).request_id != "web-r1"


def test_a_request_that_cannot_be_read_is_told_of_and_not_written_over(world: Any, builds: Builds) -> None:
    waiting(world, "requested")
    file = world.root / "state/rebuild-requests/web.yaml"
    file.write_text("status: [")

    with pytest.raises(InvalidState):
        start(world, force=True)

    assert file.read_text() == "status: ["


def test_a_rehearsal_shows_the_request_and_writes_nothing(world: Any, builds: Builds) -> None:
    bench = world.bench()
    order = order_rebuild(bench, "web")

    prepared = rehearse_order(bench, order)

    assert prepared.request.inputs["request_id"] == order.request.request_id
    assert order.refusal is not None
    assert dict(world.bench().store.requests().records) == {}


def test_an_image_that_is_not_analyzed_can_be_rehearsed_and_not_started(world: Any) -> None:
    world.plugins = {"builds": Builds().plugin()}
    world.service("web", "FROM alpine:3.22\n")
    world.enroll("web")
    bench = world.bench()
    order = order_rebuild(bench, "web")

    assert rehearse_order(bench, order).request.inputs["base_images"] == "[]"
    with pytest.raises(NotFound, match="not analyzed yet"):
        claim_order(bench, order, "run-1", force=True)


def test_nothing_is_written_for_a_provider_that_starts_no_builds(world: Any, builds: Builds) -> None:
    builds.name = "elsewhere"

    with pytest.raises(UnknownPlugin):
        start(world, force=True)

    assert dict(world.bench().store.requests().records) == {}
