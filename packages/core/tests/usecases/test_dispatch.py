"""Every request is started exactly once: claimed, called, recorded, and looked for where a run was stopped."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import pytest

from image_factory.errors import (
    AuthenticationRequired,
    ImageFactoryError,
    ProtocolError,
    RateLimited,
    RemoteNotFound,
    RemoteRefused,
    Unavailable,
)
from image_factory.model.event import EventKind
from image_factory.model.hold import Hold
from image_factory.model.request import Dispatch, PinnedDigest, RebuildCause, RebuildRequest, RequestStatus
from image_factory.model.settings import Freeze
from image_factory.shell.store import Overtaken
from image_factory.testing.builds import Builds
from image_factory.usecases.analyze import analyze
from image_factory.usecases.dispatch import LEASE, Dispatched, claim, dispatch, record
from image_factory.usecases.outcome import Done, Failed, Skipped

DIGEST = f"sha256:{'a' * 64}"
OURS, OTHERS = "run-ours", "run-others"


@pytest.fixture
def builds(world: Any) -> Builds:
    """Two managed images, analyzed, at a provider in memory."""
    builds = Builds()
    world.plugins = {"builds": builds.plugin()}
    for name in ("api", "web"):
        world.service(name, "FROM alpine:3.22\n")
    world.enroll("api", "web")
    bench = world.bench()
    bench.store.apply(analyze(bench).changes)
    return builds


def request(world: Any, name: str = "web", **fields: Any) -> RebuildRequest:
    given: dict[str, Any] = {
        "name": name,
        "request_id": f"{name}-r1",
        "requested_at": world.now,
        "reason": "due",
        "causes": (RebuildCause(base="alpine-3-22", to=DIGEST),),
        "digests": (PinnedDigest(reference="docker.io/library/alpine:3.22", digest=DIGEST, role="final"),),
    }
    return RebuildRequest(**{**given, **fields})


def ask(world: Any, *requests: RebuildRequest) -> None:
    bench = world.bench()
    bench.store.apply(bench.store.plan(requests=requests))


def claimed_by(world: Any, by: str, *, name: str = "web", attempt: int = 1, **fields: Any) -> RebuildRequest:
    made = Dispatch(at=world.now, by=by, attempt=attempt)
    return request(world, name, status=RequestStatus.DISPATCHING, dispatch=made, **fields)


def run(world: Any, by: str = OURS) -> Dispatched:
    """Claim, call and record, as a run does."""
    bench = world.bench()
    bench.store.apply(claim(bench, by).changes)
    started = dispatch(bench, by)
    bench.store.apply(started.changes)
    return started


def known(world: Any, name: str = "web") -> Any:
    return world.bench().store.requests().records[name]


def history(world: Any, name: str = "web") -> Any:
    return world.bench().store.images().records[name].history.rebuild_history


# --- claiming -------------------------------------------------------------------------------------------


def test_a_request_is_claimed_in_its_file_before_anything_is_called(world: Any, builds: Builds) -> None:
    ask(world, request(world))
    seen: list[Any] = []
    builds.at_start = lambda _: seen.append(known(world))

    run(world)

    (intent,) = seen
    assert (intent.status, intent.dispatch.by, intent.dispatch.attempt) == (RequestStatus.DISPATCHING, OURS, 1)


def test_claiming_asks_no_provider(world: Any, builds: Builds) -> None:
    ask(world, request(world))

    claim(world.bench(), OURS)

    assert builds.asked == []


def test_without_an_open_request_nothing_but_their_folder_is_read(world: Any, builds: Builds) -> None:
    ask(world, request(world, status=RequestStatus.SUCCEEDED))
    (world.root / "images.yaml").unlink()
    bench = world.bench()
    bench.store.images = None

    claimed, started = claim(bench, OURS), dispatch(bench, OURS)

    assert (claimed.changes, claimed.outcomes, started.changes, started.outcomes) == ((), (), (), ())


def test_what_this_run_has_claimed_already_is_its_own_and_changes_nothing(world: Any, builds: Builds) -> None:
    ask(world, claimed_by(world, OURS))

    claimed = claim(world.bench(), OURS)

    assert ([each.name for each in claimed.requests], claimed.changes) == (["web"], ())


def test_what_needs_approval_is_never_claimed(world: Any, builds: Builds) -> None:
    ask(world, request(world, status=RequestStatus.NEEDS_APPROVAL))

    assert run(world).requests == ()
    assert builds.asked == []


@pytest.mark.parametrize("where", ["request", "dispatch"])
def test_a_request_is_not_started_before_its_instant(world: Any, builds: Builds, where: str) -> None:
    at = world.now + timedelta(minutes=5)
    fields: dict[str, Any] = {"not_before": at}
    if where == "dispatch":
        fields = {"dispatch": Dispatch(at=world.now, not_before=at)}
    ask(world, request(world, **fields))

    (waiting,) = claim(world.bench(), OURS).outcomes
    world.later(minutes=5)
    run(world)

    assert isinstance(waiting, Skipped)
    assert "not to be started before 2026-03-01T12:05:00Z" in waiting.reason
    assert len(builds.started) == 1


def test_another_run_s_claim_is_left_to_it_while_its_time_lasts(world: Any, builds: Builds) -> None:
    ask(world, claimed_by(world, OTHERS))
    world.later(minutes=9, seconds=59)

    claimed = claim(world.bench(), OURS)

    assert (claimed.requests, claimed.changes) == ((), ())
    (outcome,) = claimed.outcomes
    assert isinstance(outcome, Skipped)
    assert OTHERS in outcome.reason


def test_a_claim_that_was_left_behind_is_taken_over_under_the_same_request_id(world: Any, builds: Builds) -> None:
    ask(world, claimed_by(world, OTHERS))
    world.later(minutes=10)

    run(world)

    (started,) = builds.started
    made = known(world).dispatch
    assert (started.request_id, made.attempt, made.by) == ("web-r1", 2, OURS)
    assert builds.asked[0] == ("find_run", "web-r1"), "it is looked for before it is started again"


def test_a_claim_of_the_future_does_not_last_for_ever(world: Any, builds: Builds) -> None:
    world.later(days=1)
    ask(world, claimed_by(world, OTHERS))
    world.later(days=-1)

    assert [each.name for each in claim(world.bench(), OURS).requests] == ["web"]


def test_requests_are_started_in_the_order_of_their_priority(world: Any, builds: Builds) -> None:
    ask(world, request(world, "api", priority=2), request(world, "web", priority=1))

    assert [each.name for each in claim(world.bench(), OURS).requests] == ["web", "api"]


@pytest.mark.parametrize("thing", ["image", "digest", "freeze"])
def test_what_a_person_has_stopped_since_is_not_started(world: Any, builds: Builds, thing: str) -> None:
    bench = world.bench()
    if thing == "freeze":
        freeze = Freeze.model_validate({"reason": "closing", "from": "2026-02-01", "until": "2026-04-01"})
        bench.settings.__dict__["freezes"] = (freeze,)
    else:
        what = {"image": "web"} if thing == "image" else {"digest": DIGEST}
        bench.store.apply(bench.store.plan(holds=[Hold(name="one", reason="it breaks", at=world.now, **what)]))
    ask(world, request(world, "web"), request(world, "api", triggered_by="emergency"))

    claimed = claim(bench, OURS)

    assert [each.name for each in claimed.requests] == ["api"], "an emergency goes on"
    (outcome,) = claimed.outcomes
    assert isinstance(outcome, Skipped)
    assert ("closing" if thing == "freeze" else "it breaks") in outcome.reason


@pytest.mark.parametrize("name", ["web", DIGEST[: len("sha256:") + 12].replace(":", "-")], ids=["image", "digest"])
def test_nothing_is_started_past_a_hold_that_cannot_be_read(world: Any, builds: Builds, name: str) -> None:
    ask(world, request(world, "web"))
    holds = world.root / "state/holds"
    holds.mkdir()
    (holds / f"{name}.yaml").write_text("{{{\n")

    claimed = claim(world.bench(), OURS)

    assert claimed.requests == ()
    (outcome,) = claimed.outcomes
    assert isinstance(outcome, Skipped)
    assert "its hold cannot be read" in outcome.reason


def test_a_child_waits_for_its_parent_and_is_built_with_what_that_has_by_then(world: Any, builds: Builds) -> None:
    world.service("web", "FROM ghcr.io/acme/api:1\n")
    bench = world.bench()
    bench.store.apply(analyze(bench).changes)
    pinned = PinnedDigest(reference="ghcr.io/acme/api:1", digest=DIGEST, role="final")
    ask(world, request(world, "api"), request(world, digests=(pinned,), waits_for=("api",)))

    first = run(world)
    (waits,) = claim(world.bench(), OURS).outcomes
    ask(world, known(world, "api").model_copy(update={"status": RequestStatus.SUCCEEDED}))
    bench = world.bench()
    state = bench.store.images().records["api"]
    fresh = f"sha256:{'b' * 64}"
    runtime = state.runtime.model_copy(update={"current_digest": fresh})
    bench.store.apply(bench.store.plan([state.model_copy(update={"runtime": runtime})]))
    run(world)

    assert [each.name for each in first.requests] == ["api"]
    assert isinstance(waits, Skipped)
    assert waits.reason == "it waits for the rebuild of api"
    assert fresh in builds.started[1].inputs["base_images"]


# --- starting -------------------------------------------------------------------------------------------


def test_a_started_build_is_recorded_with_its_run_and_causes(world: Any, builds: Builds) -> None:
    ask(world, request(world))

    (outcome,) = run(world).outcomes

    assert isinstance(outcome, Done)
    made = known(world)
    assert (made.status, made.dispatch.run_id) == (RequestStatus.DISPATCHED, "1")
    assert made.dispatch.url == "https://ci.example.com/runs/1"
    (build,) = history(world)
    assert (build.result, build.request_id, build.run_id, build.trigger) == ("started", "web-r1", "1", "policy")
    assert build.causes == ({"base": "alpine-3-22", "to": DIGEST},)


def test_a_provider_that_tells_no_id_is_asked_once_for_the_run(world: Any, builds: Builds) -> None:
    builds.tells_ids = False
    ask(world, request(world))

    run(world)

    assert known(world).dispatch.run_id == "1"
    assert [method for method, _ in builds.asked] == ["declared_inputs", "start", "find_run"]


def test_n_requests_are_n_starts_and_at_most_one_look_each(world: Any, builds: Builds) -> None:
    names = [f"image-{number:02}" for number in range(20)]
    world.enroll(*names)
    ask(world, *(request(world, name) for name in names))

    run(world)

    methods = [method for method, _ in builds.asked]
    assert methods.count("start") == 20
    assert methods.count("find_run") + methods.count("run") <= 20
    assert sorted(each.request_id for each in builds.started) == [f"{name}-r1" for name in names]


def test_twenty_are_started_side_by_side_and_told_in_their_order(world: Any, builds: Builds) -> None:
    names = [f"image-{number:02}" for number in range(20)]
    world.enroll(*names)
    ask(world, *(request(world, name, priority=20 - place) for place, name in enumerate(names)))
    together, most, lock = 0, 0, threading.Lock()

    def slow(_: Any) -> None:
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
        time.sleep(0.02)
        with lock:
            together -= 1

    builds.at_start = slow

    started = run(world)

    assert [outcome.item for outcome in started.outcomes] == names[::-1]
    assert 1 < most <= 8


def test_one_that_fails_stops_no_other(world: Any, builds: Builds) -> None:
    builds.fail("start:api.yml", RemoteRefused("422 no"))
    ask(world, request(world, "api"), request(world, "web"))

    started = run(world)

    assert [type(outcome) for outcome in started.outcomes] == [Failed, Done]
    assert (known(world, "api").status, known(world).status) == (RequestStatus.FAILED, RequestStatus.DISPATCHED)


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(RemoteRefused("422 unexpected inputs"), id="422"),
        pytest.param(RemoteNotFound("404 no workflow"), id="404"),
        pytest.param(AuthenticationRequired("401 bad credentials"), id="401"),
    ],
)
def test_a_refusal_fails_the_request_with_what_was_said(world: Any, builds: Builds, error: Exception) -> None:
    builds.fail("start", error)
    ask(world, request(world))

    started = run(world)

    made = known(world)
    (build,) = history(world)
    assert (made.status, build.result, builds.started) == (RequestStatus.FAILED, "failed", [])
    assert made.problem == build.problem == f"{str(error).partition(' (')[0]} (request web-r1)"
    assert made.finished_at == world.now
    assert [event.kind for event in started.events] == [EventKind.REBUILD_FAILED]


def test_a_provider_that_wants_time_is_left_alone_for_that_time(world: Any, builds: Builds) -> None:
    builds.fail("start", RateLimited("429", retry_after=timedelta(minutes=42)))
    ask(world, request(world))

    run(world)
    made = known(world)
    world.later(minutes=41)
    run(world, "run-2")
    asked = len(builds.asked)
    world.later(minutes=1)
    run(world, "run-3")

    assert (made.status, made.dispatch.not_before) == (RequestStatus.REQUESTED, world.now)
    assert [method for method, _ in builds.asked[:asked]].count("start") == 1
    assert known(world).status is RequestStatus.DISPATCHED
    assert len(builds.started) == 1


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(Unavailable("no answer"), id="no answer"),
        pytest.param(ProtocolError("a web page"), id="an answer that is none"),
        pytest.param(ValueError("a defect"), id="a defect of the plugin"),
    ],
)
def test_after_no_sure_answer_the_build_is_looked_for_and_not_repeated(
    world: Any, builds: Builds, error: Exception
) -> None:
    builds.fail("start", error)
    builds.starts_and_fails = True
    ask(world, request(world))

    run(world)
    unsure = known(world)
    at_once = run(world, "run-2")
    world.later(minutes=10)
    (outcome,) = run(world, "run-3").outcomes

    assert (unsure.status, bool(unsure.dispatch.error)) == (RequestStatus.DISPATCHING, True)
    assert at_once.requests == (), "its provider may not show it yet"
    assert len(builds.started) == 1
    assert isinstance(outcome, Done)
    assert "was started by an earlier attempt" in outcome.changes[0]
    assert [build.result for build in history(world)] == ["started"]


def test_a_call_that_started_nothing_is_made_again_under_the_same_id(world: Any, builds: Builds) -> None:
    builds.fail("start", Unavailable("no answer"))
    ask(world, request(world))

    run(world)
    world.later(minutes=10)
    run(world, "run-2")

    assert [each.request_id for each in builds.started] == ["web-r1"]
    assert known(world).dispatch.attempt == 2
    assert [method for method, _ in builds.asked].count("find_run") == 1, "one look an attempt is enough"
    assert [method for method, _ in builds.asked].count("run") == 0


def test_where_it_cannot_be_looked_for_it_is_not_started_again(world: Any, builds: Builds) -> None:
    ask(world, claimed_by(world, OTHERS))
    world.later(minutes=10)
    builds.fail("find_run", Unavailable("no answer"))

    run(world)

    assert (known(world).status, builds.started) == (RequestStatus.DISPATCHING, [])


def test_a_look_that_is_put_off_leaves_the_request_claimed(world: Any, builds: Builds) -> None:
    ask(world, claimed_by(world, OTHERS))
    world.later(minutes=10)
    builds.fail("find_run", RateLimited("429", retry_after=timedelta(hours=1)))

    run(world)
    made = known(world)
    world.later(minutes=59)

    assert (made.status, made.dispatch.not_before) == (RequestStatus.DISPATCHING, made.dispatch.at + timedelta(hours=1))
    assert claim(world.bench(), "run-2").requests == ()


def test_a_token_that_cannot_see_runs_does_not_start_a_second_one(world: Any, builds: Builds) -> None:
    ask(world, claimed_by(world, OTHERS))
    world.later(minutes=10)
    builds.fail("find_run", AuthenticationRequired("403"))

    run(world)

    assert (known(world).status, builds.started) == (RequestStatus.FAILED, [])


def test_before_anything_is_sent_an_outage_gives_the_request_back(world: Any, builds: Builds) -> None:
    builds.fail("declared_inputs", Unavailable("no answer"))
    ask(world, request(world))

    run(world)

    made = known(world)
    assert (made.status, made.dispatch.not_before) == (RequestStatus.REQUESTED, world.now + timedelta(minutes=5))
    assert history(world) == (), "nothing was started for it"


def test_a_build_that_started_and_cannot_be_seen_is_started(world: Any, builds: Builds) -> None:
    builds.fail("run", AuthenticationRequired("403 may not read"))
    ask(world, request(world))

    started = run(world)

    assert (known(world).status, known(world).dispatch.run_id) == (RequestStatus.DISPATCHED, "1")
    assert [str(error) for error in started.unseen] == ["403 may not read"]


def test_a_workflow_s_missing_inputs_are_warned_of(world: Any, builds: Builds) -> None:
    builds.declared = frozenset({"request_id"})
    ask(world, request(world))

    started = run(world)

    assert any("declares no input 'base_images'" in str(warning) for warning in started.warnings)


def test_what_was_started_is_recorded_over_what_others_wrote_meanwhile(world: Any, builds: Builds) -> None:
    ask(world, request(world))
    bench = world.bench()
    bench.store.apply(claim(bench, OURS).changes)
    started = dispatch(bench, OURS)
    other = world.bench()
    state = other.store.images().records["web"]
    runtime = state.runtime.model_copy(update={"current_version": "9.9.9"})
    other.store.apply(other.store.plan([state.model_copy(update={"runtime": runtime})]))

    with pytest.raises(Overtaken):
        bench.store.apply(started.changes)
    bench.store.apply(record(bench, started).changes)

    assert len(builds.started) == 1
    assert known(world).status is RequestStatus.DISPATCHED
    assert [build.run_id for build in history(world)] == ["1"]
    assert world.bench().store.images().records["web"].runtime.current_version == "9.9.9"


def test_a_request_that_others_replaced_meanwhile_stays_theirs_and_history_has_both(world: Any, builds: Builds) -> None:
    ask(world, request(world))
    bench = world.bench()
    bench.store.apply(claim(bench, OURS).changes)
    started = dispatch(bench, OURS)
    ask(world, request(world, request_id="web-r2"))

    bench.store.apply(record(bench, started).changes)

    assert known(world).request_id == "web-r2"
    assert [build.request_id for build in history(world)] == ["web-r1"]


# --- what cannot be started -----------------------------------------------------------------------------


def test_a_request_of_an_image_that_is_not_enrolled_any_more_is_cancelled(world: Any, builds: Builds) -> None:
    ask(world, request(world, "api"), request(world, "web"))
    world.enroll("api")
    bench = world.bench()

    claimed = claim(bench, OURS)
    bench.store.apply(claimed.changes)

    assert [each.name for each in claimed.requests] == ["api"]
    assert (known(world).status, known(world).problem) == (
        RequestStatus.CANCELLED,
        "its image is not enrolled any more",
    )
    assert [build.result for build in history(world)] == ["cancelled"]


@pytest.mark.parametrize("mistake", ["rebuildDelay: soon", "nonsense: [1"])
def test_an_entry_that_cannot_be_read_is_no_reason_to_cancel(world: Any, builds: Builds, mistake: str) -> None:
    ask(world, request(world))
    images = world.root / "images.yaml"
    images.write_text(images.read_text().replace("name: web", f"name: web\n  {mistake}"))

    bench = world.bench()
    claimed = claim(bench, OURS)

    assert (claimed.requests, claimed.changes) == ((), ())
    assert [type(outcome) for outcome in claimed.outcomes] == [Failed]


def test_an_unreadable_request_is_told_of_and_the_others_go_on(world: Any, builds: Builds) -> None:
    ask(world, request(world, "api"), request(world, "web"))
    file = world.root / "state/rebuild-requests/web.yaml"
    file.write_text("status: [")

    bench = world.bench()
    claimed = claim(bench, OURS)

    assert [each.name for each in claimed.requests] == ["api"]
    (outcome,) = claimed.outcomes
    assert isinstance(outcome, Failed)
    assert outcome.item == "web"
    run(world)
    assert file.read_text() == "status: ["
    assert [each.request_id for each in builds.started] == ["api-r1"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        pytest.param("name: web", "name: api", "the record's is 'api'", id="another image's name"),
        pytest.param("requestId: web-r1", "requestId: ../../x", "not a request's id", id="an id that is none"),
        pytest.param("requestId: web-r1", "requestId: ''", "not a request's id", id="no id"),
        pytest.param(DIGEST, "sha256:abc", "sha256:abc", id="a digest that is cut"),
        pytest.param("docker.io/library/alpine:3.22", "a b", "a b", id="a reference that is none"),
        pytest.param(
            "status: requested", "status: dispatching", "it is dispatching, and has no dispatch", id="a step ahead"
        ),
        pytest.param("status: requested", "status: soon", "soon", id="a status that is none"),
        pytest.param("reason: due", "reason: due\nversionBump: huge", "versionBump", id="a bump that is none"),
    ],
)
def test_a_request_that_was_edited_by_hand_is_told_of_and_not_started(
    world: Any, builds: Builds, old: str, new: str, said: str
) -> None:
    ask(world, request(world))
    file = world.root / "state/rebuild-requests/web.yaml"
    text = file.read_text().replace(old, new)
    file.write_text(text)

    (outcome,) = claim(world.bench(), OURS).outcomes
    run(world)

    assert isinstance(outcome, Failed)
    assert said in str(outcome.error)
    assert (builds.started, file.read_text()) == ([], text)


def test_a_provider_that_is_not_installed_fails_its_request_alone(world: Any, builds: Builds) -> None:
    builds.name = "elsewhere"
    ask(world, request(world))

    started = run(world)

    (outcome,) = started.outcomes
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, ImageFactoryError)
    assert known(world).status is RequestStatus.FAILED


def test_a_lease_is_longer_than_any_provider_s_answer() -> None:
    assert timedelta(minutes=5) <= LEASE <= timedelta(minutes=30)
