"""With `engine: kargo` a build is known by its request's id alone, and one that is not started has failed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from image_factory.decide.eligibility import Reason
from image_factory.decide.settlement import REQUEST_ID_LABEL
from image_factory.errors import AuthenticationRequired, Conflict, Unavailable
from image_factory.model.request import EmergencyOrder, RebuildRequest, RequestStatus
from image_factory.ports import BuildRequest, RunStatus, SourceRepository
from image_factory.testing.builds import Builds
from image_factory.testing.image_content import build_image
from image_factory.usecases.adopt import KARGO
from image_factory.usecases.analyze import analyze
from image_factory.usecases.coordinate import coordinate
from image_factory.usecases.dispatch import claim, dispatch
from image_factory.usecases.explain import explain
from image_factory.usecases.handover import Handover
from image_factory.usecases.hold import hold, release
from image_factory.usecases.observe import observe
from image_factory.usecases.outcome import Done, Failed, Skipped
from image_factory.usecases.rebuild import claim_order, order_rebuild
from image_factory.usecases.run import Manner, run
from image_factory.usecases.settle import Settled, settle
from image_factory.usecases.status import read_status
from image_factory.usecases.workbench import Workbench


@pytest.fixture
def builds(world: Any) -> Builds:
    return begin(world)


def begin(world: Any, **fields: Any) -> Builds:
    """Let an image of version 0.0.1 have a base that moved, and a request for it, made by `coordinate`."""
    builds = Builds()
    world.plugins = {"builds": builds.plugin()}
    world.service("web", "FROM alpine:3.22\n")
    world.enroll(world.managed("web", rebuildDelay="0s", **fields))
    push_base(world, "one")
    digest = world.registry.push("acme/web", ["0.0.1", "latest"], build_image(seed="before"))
    bench = kargo(world)
    bench.store.apply(analyze(bench, Handover("web", "0.0.1", str(digest))).changes)
    world.later(hours=1)
    push_base(world, "two")
    decide(world)
    return builds


def push_base(world: Any, seed: str) -> None:
    world.registry.push("library/alpine", ["3.22"], build_image(seed=seed))
    for step in (analyze, observe):
        bench = kargo(world)
        bench.store.apply(step(bench).changes)
    world.later(hours=1)


def kargo(world: Any, **settings: Any) -> Workbench:
    bench: Workbench = world.bench()
    return replace(bench, settings=bench.settings.model_copy(update={"engine": "kargo", **settings}))


def decide(world: Any) -> RebuildRequest:
    bench = kargo(world)
    bench.store.apply(coordinate(bench).changes)
    return known(world)


def settled(world: Any) -> Settled:
    bench = kargo(world)
    found = settle(bench)
    bench.store.apply(found.changes)
    return found


def known(world: Any) -> RebuildRequest:
    bench: Workbench = world.bench()
    return bench.store.requests().records["web"]


def image(world: Any) -> Any:
    return world.bench().store.images().records["web"]


def promote(builds: Builds, request: RebuildRequest, at: datetime | None = None) -> None:
    """Make the call that Kargo's stage makes for a request."""
    builds.start(BuildRequest(SourceRepository("git", "", "acme/web"), "main", "web.yml", request.request_id))
    builds.known = {run: replace(told, created_at=at or request.requested_at) for run, told in builds.known.items()}


def told(world: Any) -> str:
    return "\n".join(explain(read_status(kargo(world)), "web", world.now))


# --- what Kargo started ------------------------------------------------------------------------------------


def test_a_build_that_kargo_started_is_recorded_as_started_while_it_runs(world: Any, builds: Builds) -> None:
    promote(builds, known(world))
    world.later(minutes=3)

    first, second = settled(world), settled(world)

    request = known(world)
    assert request.dispatch is not None
    assert (request.status, request.dispatch.by, request.dispatch.run_id) == (RequestStatus.DISPATCHED, KARGO, "1")
    assert request.requested_at <= request.dispatch.at <= world.now
    assert first.outcomes == (Done("web", (f"Kargo has started it ({request.request_id})",)),)
    assert (second.changes, [type(one) for one in second.outcomes]) == ((), [Skipped])
    assert [build.result for build in image(world).history.rebuild_history] == ["started"]


def test_a_build_that_kargo_started_and_that_ended_is_recorded_with_what_it_published(
    world: Any, builds: Builds
) -> None:
    request = known(world)
    promote(builds, request)
    world.later(minutes=9)
    builds.finish(request.request_id, RunStatus.SUCCEEDED, at=world.now)
    labels = {REQUEST_ID_LABEL: request.request_id}
    digest = str(world.registry.push("acme/web", ["0.0.2"], build_image(seed="after", labels=labels)))

    settled(world)

    runtime, (build,) = image(world).runtime, image(world).history.rebuild_history
    assert (runtime.current_version, runtime.current_digest, runtime.last_built) == ("0.0.2", digest, world.now)
    assert (build.result, build.request_id, build.run_id, build.digest) == (
        *("succeeded", request.request_id, "1", digest),
    )
    assert builds.started == [one for one in builds.started if one.request_id == request.request_id]


def test_a_build_that_failed_in_the_cluster_is_a_failure_like_every_other(world: Any, builds: Builds) -> None:
    promote(builds, known(world))
    builds.finish(known(world).request_id, RunStatus.FAILED, "exit 1", at=world.now)

    settled(world)

    assert known(world).status is RequestStatus.FAILED
    assert read_status(kargo(world)).images["web"].rebuild is Reason.BACKING_OFF


def test_what_was_published_tells_where_the_token_may_see_no_run(world: Any, builds: Builds) -> None:
    builds.fail("find_run", AuthenticationRequired("no right to see runs", hint="give it one"), times=2)
    world.registry.push("acme/web", ["0.0.2"], build_image(seed="somebody's own"))

    blind = settled(world)
    labels = {REQUEST_ID_LABEL: known(world).request_id}
    world.registry.push("acme/web", ["0.0.3"], build_image(seed="ours", labels=labels))
    settled(world)

    assert [type(one) for one in blind.outcomes] == [Failed]
    assert (known(world).status, known(world).version) == (RequestStatus.SUCCEEDED, "0.0.3")


# --- what nobody started -----------------------------------------------------------------------------------


def test_a_request_that_the_cluster_has_not_started_yet_changes_nothing(world: Any, builds: Builds) -> None:
    world.later(minutes=29)

    found = settled(world)

    (outcome,) = found.outcomes
    assert isinstance(outcome, Skipped)
    assert "looked for until 2026-" in str(outcome)
    assert found.changes == ()
    assert "is to be started by Kargo" in told(world)


def test_a_request_that_nobody_starts_fails_backs_off_and_a_new_one_follows(world: Any, builds: Builds) -> None:
    first = known(world)
    world.later(minutes=30)

    settled(world)

    assert known(world).problem == "the cluster did not start it within 30 min"
    assert (known(world).status, known(world).dispatch) == (RequestStatus.FAILED, None)
    assert [build.result for build in image(world).history.rebuild_history] == ["failed"]
    assert decide(world).request_id == first.request_id
    assert "It is backing off until" in told(world)

    world.later(hours=1)
    second = decide(world)

    assert (second.status, second.causes) == (RequestStatus.REQUESTED, first.causes)
    assert second.request_id != first.request_id
    assert builds.started == []


def test_an_outage_of_the_cluster_quarantines_nothing(world: Any, builds: Builds) -> None:
    ids = set()
    for _ in range(6):
        ids.add(decide(world).request_id)
        world.later(minutes=30)
        settled(world)
        assert "the cluster did not start the last rebuild" in told(world)
        world.later(hours=1)

    assert len(ids) == 6
    assert decide(world).status is RequestStatus.REQUESTED


def test_a_promotion_that_comes_late_is_taken_for_the_request_that_was_given_up(world: Any, builds: Builds) -> None:
    request = known(world)
    world.later(minutes=30)
    settled(world)
    assert settled(world).changes == ()
    promote(builds, request, world.now)

    settled(world)

    late = known(world)
    assert (late.status, late.request_id, late.problem, late.finished_at) == (
        *(RequestStatus.DISPATCHED, request.request_id, None, None),
    )
    (build,) = image(world).history.rebuild_history
    assert (build.result, build.run_id) == ("started", "1")


def test_what_was_given_up_is_not_looked_for_for_ever(world: Any, builds: Builds) -> None:
    world.later(minutes=30)
    settled(world)
    builds.asked.clear()
    world.later(hours=6)

    settled(world)

    assert builds.asked == []


def test_what_was_given_up_of_an_image_that_is_gone_stays_as_it_is(world: Any, builds: Builds) -> None:
    world.later(minutes=30)
    settled(world)
    world.enroll()

    assert settled(world).changes == ()


def test_how_long_the_cluster_may_take_is_a_setting(world: Any, builds: Builds) -> None:
    bench = kargo(world)
    longer = bench.settings.kargo.model_copy(update={"start_timeout": timedelta(hours=2)})
    world.later(minutes=100)

    assert settle(kargo(world, kargo=longer)).changes == ()


def test_a_provider_that_does_not_answer_says_nothing_about_the_cluster(world: Any, builds: Builds) -> None:
    builds.fail("find_run", Unavailable("the provider is down"))
    world.later(minutes=45)

    (outcome,) = settled(world).outcomes

    assert isinstance(outcome, Failed)
    assert known(world).status is RequestStatus.REQUESTED


# --- persons -----------------------------------------------------------------------------------------------


def test_a_promotion_by_a_person_is_the_approval(world: Any) -> None:
    builds = begin(world, autoRebuild=False)
    world.later(days=3)
    assert known(world).status is RequestStatus.NEEDS_APPROVAL
    assert settled(world).changes == ()
    assert "promotes its rebuild-trigger stage in Kargo, or approves it with: image-factory rebuild web" in told(world)

    promote(builds, known(world), world.now)
    settled(world)

    request = known(world)
    assert (request.status, request.approved_by) == (RequestStatus.DISPATCHED, KARGO)
    assert request.approved_at is not None


def test_a_request_that_waits_for_a_person_never_fails_for_want_of_an_answer(world: Any) -> None:
    builds = begin(world, autoRebuild=False)
    builds.fail("find_run", Unavailable("the provider is down"))
    world.later(days=3)

    (outcome,) = settled(world).outcomes

    assert isinstance(outcome, Failed)
    assert known(world).status is RequestStatus.NEEDS_APPROVAL


def test_an_emergency_of_an_image_that_promotes_by_no_policy_waits_for_its_promotion(world: Any) -> None:
    begin(world, autoRebuild=False)
    bench = kargo(world)
    ordered = known(world).model_copy(
        update={
            "status": RequestStatus.REQUESTED,
            "emergency": EmergencyOrder(cve="CVE-2026-1", reason="bad", actor="alice"),
        }
    )
    bench.store.apply(bench.store.plan(requests=[ordered]))
    world.later(days=1)

    (outcome,) = settled(world).outcomes

    assert "waits for a person to promote it in Kargo" in str(outcome)
    assert "when a person promotes it there: autoRebuild is false" in told(world)


def test_a_person_may_approve_by_the_command_line_too_and_what_kargo_started_is_found_first(world: Any) -> None:
    builds = begin(world, autoRebuild=False)
    request = known(world)
    promote(builds, request)

    bench = kargo(world)
    claimed, changes = claim_order(bench, order_rebuild(bench, "web", actor="alice"), "run-1")
    bench.store.apply(changes)
    made = dispatch(bench, "run-1", ["web"])

    assert claimed.status is RequestStatus.DISPATCHING
    assert [one.request_id for one in builds.started] == [request.request_id]
    assert made.requests[0].status is RequestStatus.DISPATCHED


def test_a_request_that_kargo_may_be_starting_is_not_started_by_hand(world: Any, builds: Builds) -> None:
    with pytest.raises(Conflict, match="Kargo's to start"):
        order_rebuild(kargo(world), "web", actor="alice")


def test_a_claim_by_hand_is_left_alone_until_its_time_is_up(world: Any) -> None:
    begin(world, autoRebuild=False)
    bench = kargo(world)
    _, changes = claim_order(bench, order_rebuild(bench, "web", actor="alice"), "run-1")
    bench.store.apply(changes)

    (outcome,) = settled(world).outcomes
    assert "run-1 is starting it" in str(outcome)

    world.later(minutes=45)
    world.enroll(world.managed("web", rebuildDelay="0s"))
    settled(world)
    assert known(world).problem == "the cluster did not start it within 30 min"


# --- who starts --------------------------------------------------------------------------------------------


def test_neither_dispatch_nor_run_start_a_build(world: Any, builds: Builds) -> None:
    request = known(world)
    claimed = claim(kargo(world), "run-1")
    assert (claimed.requests, claimed.changes) == ((), ())

    ran = run(kargo(world), Manner(commit=False, notify=False))

    assert builds.started == []
    assert known(world) == request
    assert [step.name for step in ran.steps] == ["analyze", "observe", "settle", "coordinate", "claim"]


def test_what_waits_for_a_parent_that_is_gone_is_given_up_unasked(world: Any, builds: Builds) -> None:
    bench = kargo(world)
    order = EmergencyOrder(cve="CVE-2026-1", reason="bad", actor="alice", audit="a1")
    child = known(world).model_copy(update={"waits_for": ("base",), "emergency": order})
    parent = known(world).model_copy(update={"name": "base", "request_id": "base-1", "emergency": order})
    bench.store.apply(bench.store.plan(requests=[child, parent]))
    builds.asked.clear()
    world.later(minutes=31)
    settled(world)  # the parent is not enrolled: it is cancelled, and its child with it

    assert ("find_run", child.request_id) not in builds.asked
    assert known(world).status is RequestStatus.CANCELLED


def test_what_waited_for_a_parent_has_its_time_from_the_parents_end(world: Any) -> None:
    world.service("base", "FROM alpine:3.22\n")
    world.service("web", "FROM ghcr.io/acme/base:latest\n")
    world.enroll("base", "web")
    bench = kargo(world)
    bench.store.apply(analyze(bench).changes)
    order = EmergencyOrder(cve="CVE-2026-1", reason="bad", actor="alice", audit="a1")
    common = {"requested_at": world.now, "reason": "emergency", "emergency": order}
    parent = RebuildRequest(name="base", request_id="base-1", **common)
    child = RebuildRequest(name="web", request_id="web-1", waits_for=("base",), **common)
    bench.store.apply(bench.store.plan(requests=[parent, child]))
    builds = Builds()
    world.plugins = {"builds": builds.plugin()}
    builds.start(BuildRequest(SourceRepository("git", "", "acme/base"), "main", "base.yml", "base-1"))
    world.later(hours=3)
    builds.finish("base-1", RunStatus.SUCCEEDED, at=world.now)
    labels = {REQUEST_ID_LABEL: "base-1"}
    world.registry.push("acme/base", ["1.0.0", "latest"], build_image(seed="base", labels=labels))

    settled(world)

    assert ("find_run", "web-1") not in builds.asked
    assert (known(world).waits_for, known(world).not_before) == ((), world.now)
    world.later(minutes=29)
    settled(world)
    assert known(world).status is RequestStatus.REQUESTED
    world.later(minutes=1)
    settled(world)
    assert known(world).status is RequestStatus.FAILED


# --- holds -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_digest", [False, True], ids=["the image", "a digest that it is built with"])
def test_a_hold_takes_back_what_kargo_has_not_started(world: Any, builds: Builds, is_digest: bool) -> None:
    request = known(world)
    subject = request.digests[0].digest if is_digest else "web"
    bench = kargo(world)

    held = hold(bench, subject, reason="it breaks the shop")
    bench.store.apply(held.changes)

    assert (known(world).status, known(world).problem) == (
        *(RequestStatus.CANCELLED, "held before the cluster started it: it breaks the shop"),
    )
    assert held.outcomes[-1] == Done("web", (f"request {request.request_id} is taken back from the cluster",))
    assert settled(world).changes == ()
    assert read_status(kargo(world)).images["web"].rebuild is Reason.HELD

    world.later(hours=2)
    bench = kargo(world)
    bench.store.apply(release(bench, subject).changes)
    assert decide(world).status is RequestStatus.REQUESTED, "what is held no more is requested anew, without a wait"
    assert known(world).request_id != request.request_id


def test_a_build_that_kargo_had_started_when_it_was_held_is_recorded(world: Any, builds: Builds) -> None:
    promote(builds, known(world))
    bench = kargo(world)
    bench.store.apply(hold(bench, "web", reason="it breaks the shop").changes)

    settled(world)

    assert (known(world).status, known(world).problem) == (RequestStatus.DISPATCHED, None)


def test_a_hold_takes_nothing_back_that_this_program_starts_or_a_person_ordered(world: Any, builds: Builds) -> None:
    embedded = world.bench()
    embedded.store.apply(hold(embedded, "web", reason="it breaks the shop").changes)
    assert known(world).status is RequestStatus.REQUESTED

    bench = kargo(world)
    bench.store.apply(bench.store.plan(requests=[known(world).model_copy(update={"triggered_by": "emergency"})]))
    bench.store.apply(hold(bench, "web", reason="it breaks the shop, and more").changes)
    assert known(world).status is RequestStatus.REQUESTED
