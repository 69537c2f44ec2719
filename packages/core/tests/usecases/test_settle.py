"""What became of each build is learned from its run and its image's registry, and recorded once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from image_factory.decide.settlement import BASE_DIGEST_LABEL, REQUEST_ID_LABEL
from image_factory.errors import AuthenticationRequired, RemoteNotFound, Unavailable
from image_factory.model.event import EventKind
from image_factory.model.request import Dispatch, PinnedDigest, RebuildCause, RebuildRequest, RequestStatus
from image_factory.ports import RunStatus
from image_factory.testing.builds import Builds
from image_factory.testing.image_content import build_image
from image_factory.usecases.analyze import analyze
from image_factory.usecases.dispatch import claim, dispatch
from image_factory.usecases.handover import Handover
from image_factory.usecases.observe import observe
from image_factory.usecases.outcome import Done, Failed, Skipped
from image_factory.usecases.settle import Settled, settle

BASE = "docker.io/library/alpine:3.22"


@pytest.fixture
def builds(world: Any) -> Builds:
    """A managed image at version 0.0.1, whose base moved, with a build that was started for it."""
    builds = Builds()
    world.plugins = {"builds": builds.plugin()}
    world.service("web", "FROM alpine:3.22\n")
    world.enroll("web")
    for seed in ("one", "two"):
        world.registry.push("library/alpine", ["3.22"], build_image(seed=seed))
        bench = world.bench()
        bench.store.apply(analyze(bench).changes)
        bench = world.bench()
        bench.store.apply(observe(bench).changes)
        world.later(hours=1)
    digest = world.registry.push("acme/web", ["0.0.1", "latest"], build_image(seed="before"))
    bench = world.bench()
    bench.store.apply(analyze(bench, Handover("web", "0.0.1", str(digest))).changes)
    world.later(hours=1)
    start(world)
    return builds


def moves(world: Any) -> list[str]:
    updates = world.bench().store.bases().records["alpine-3-22"].history.update_history
    return [update.new_digest for update in updates]


def start(world: Any, request_id: str = "web-r1", **fields: Any) -> None:
    asked = moves(world)[-1]
    request = RebuildRequest(
        name="web",
        request_id=request_id,
        requested_at=world.now,
        reason="due",
        causes=(RebuildCause(base="alpine-3-22", from_digest=moves(world)[0], to=asked, seen_at=world.now),),
        digests=(PinnedDigest(reference=BASE, digest=asked, role="final"),),
        **fields,
    )
    bench = world.bench()
    bench.store.apply(bench.store.plan(requests=[request]))
    for step in (claim, dispatch):
        bench.store.apply(step(bench, "run-1").changes)
    world.later(minutes=1)


def publish(world: Any, *tags: str, seed: str = "new", labels: dict[str, str] | None = None) -> str:
    return str(world.registry.push("acme/web", tags, build_image(seed=seed, labels=labels)))


def run(world: Any) -> Settled:
    bench = world.bench()
    settled = settle(bench)
    bench.store.apply(settled.changes)
    return settled


def known(world: Any) -> Any:
    return world.bench().store.requests().records["web"]


def image(world: Any) -> Any:
    return world.bench().store.images().records["web"]


def ours(world: Any) -> Any:
    (build,) = image(world).history.rebuild_history
    return build


# --- runs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [RunStatus.QUEUED, RunStatus.RUNNING])
def test_a_build_that_goes_on_changes_no_byte(world: Any, builds: Builds, status: RunStatus) -> None:
    builds.finish("web-r1", status)

    settled = run(world)

    assert (settled.changes, settled.events, settled.requests) == ((), (), ())
    assert [type(outcome) for outcome in settled.outcomes] == [Skipped]


def test_without_a_build_under_way_nothing_but_the_requests_is_read(world: Any) -> None:
    world.root.mkdir()

    settled = settle(world.bench())

    assert (settled.outcomes, settled.changes) == ((), ())


@pytest.mark.parametrize(
    ("status", "result"),
    [
        pytest.param(RunStatus.FAILED, RequestStatus.FAILED, id="failed"),
        pytest.param(RunStatus.CANCELLED, RequestStatus.CANCELLED, id="cancelled"),
    ],
)
def test_a_build_that_came_to_nothing_is_recorded_with_run_times_and_problem(
    world: Any, builds: Builds, status: RunStatus, result: RequestStatus
) -> None:
    ended = world.now - timedelta(seconds=10)
    builds.finish("web-r1", status, "timed_out", at=ended)

    settled = run(world)

    build = ours(world)
    assert known(world).status is result
    assert (build.result, build.run_id, build.url) == (str(result), "1", "https://ci.example.com/runs/1")
    assert (build.finished_at, "timed_out" in build.problem) == (ended, True)
    assert [event.kind for event in settled.events] == [EventKind.REBUILD_FAILED]
    assert image(world).runtime.current_version == "0.0.1"


def test_a_build_is_settled_once(world: Any, builds: Builds) -> None:
    builds.finish("web-r1", RunStatus.FAILED)

    run(world)
    again = run(world)

    assert (again.outcomes, again.changes, again.events) == ((), (), ())


def test_a_run_that_was_not_known_is_found_by_the_request_s_id_and_written_once(world: Any, builds: Builds) -> None:
    forget_run(world)

    first, second = run(world), run(world)

    assert known(world).dispatch.run_id == "1"
    assert ([str(change.path) for change in first.changes], second.changes) == (["state/rebuild-requests/web.yaml"], ())
    assert ours(world).run_id == "1"


def forget_run(world: Any) -> None:
    bench = world.bench()
    request = known(world)
    made = request.dispatch.model_copy(update={"run_id": None, "url": None})
    bench.store.apply(bench.store.plan(requests=[request.model_copy(update={"dispatch": made})]))


def test_a_build_of_which_no_run_is_ever_found_is_timed_out(world: Any, builds: Builds) -> None:
    forget_run(world)
    builds.of_request.clear()

    waits = run(world)
    world.later(hours=6)
    settled = run(world)

    assert waits.changes == ()
    assert (known(world).status, known(world).problem) == (RequestStatus.TIMED_OUT, "no run carries its id")
    assert [event.kind for event in settled.events] == [EventKind.REBUILD_FAILED]


def test_a_run_that_vanished_is_looked_for_by_its_request(world: Any, builds: Builds) -> None:
    builds.known["7"] = builds.known.pop("1").__class__(
        "7", RunStatus.RUNNING, "https://ci.example.com/runs/7", "main", "f" * 40, "web-r1", world.now
    )
    builds.of_request["web-r1"] = "7"

    run(world)

    assert (known(world).status, known(world).dispatch.run_id) == (RequestStatus.DISPATCHED, "7")


def test_a_run_that_vanished_for_good_counts_as_failed_when_its_time_is_up(world: Any, builds: Builds) -> None:
    builds.known.clear()

    waits = run(world)
    world.later(hours=6)
    run(world)

    assert waits.changes == ()
    assert known(world).status is RequestStatus.TIMED_OUT
    assert ours(world).problem == "its run 1 has vanished"


def test_a_workflow_that_never_ends_is_timed_out(world: Any, builds: Builds) -> None:
    builds.finish("web-r1", RunStatus.RUNNING)
    world.later(hours=5, minutes=58)
    before = run(world)
    world.later(minutes=1)

    settled = run(world)

    assert before.changes == ()
    assert (known(world).status, ours(world).result) == (RequestStatus.TIMED_OUT, "timed-out")
    assert ours(world).problem == "run 1 has not ended within 6 h"
    assert [event.kind for event in settled.events] == [EventKind.REBUILD_FAILED]


def test_a_clock_that_was_set_back_ends_nothing(world: Any, builds: Builds) -> None:
    world.later(days=-30)
    builds.finish("web-r1", RunStatus.RUNNING)

    assert run(world).changes == ()


def test_a_provider_that_does_not_answer_is_asked_again_next_time(world: Any, builds: Builds) -> None:
    builds.fail("run", Unavailable("no answer"))

    settled = run(world)

    (outcome,) = settled.outcomes
    assert isinstance(outcome, Failed)
    assert settled.changes == ()
    builds.finish("web-r1", RunStatus.FAILED)
    assert run(world).requests[0].status is RequestStatus.FAILED


def test_a_provider_that_never_answers_again_frees_the_place(world: Any, builds: Builds) -> None:
    builds.fail("run", Unavailable("no answer"), times=9)
    world.later(hours=6)

    run(world)

    assert known(world).status is RequestStatus.TIMED_OUT
    assert ours(world).problem == "its build cannot be asked after: no answer"


def test_one_that_cannot_be_asked_stops_no_other(world: Any, builds: Builds) -> None:
    world.service("api", "FROM alpine:3.22\n")
    world.enroll("api", "web")
    bench = world.bench()
    bench.store.apply(analyze(bench).changes)
    request = known(world).model_copy(
        update={"name": "api", "request_id": "api-r1", "dispatch": Dispatch(at=world.now, run_id="99")}
    )
    bench.store.apply(bench.store.plan(requests=[request]))
    builds.fail("find_run", ValueError("a defect"))
    builds.finish("web-r1", RunStatus.FAILED)

    settled = run(world)

    assert [(type(outcome), outcome.item) for outcome in settled.outcomes] == [(Failed, "api"), (Done, "web")]


def test_a_build_of_an_image_that_is_not_enrolled_any_more_is_cancelled(world: Any, builds: Builds) -> None:
    world.enroll()

    run(world)

    assert (known(world).status, builds.asked[-1][0]) == (RequestStatus.CANCELLED, "run")
    assert ours(world).result == "cancelled"


# --- what was published -----------------------------------------------------------------------------------


def succeed(world: Any, builds: Builds, at: datetime | None = None) -> None:
    builds.finish("web-r1", RunStatus.SUCCEEDED, at=at or world.now)


def test_a_build_that_succeeded_is_recorded_with_version_digest_and_causes(world: Any, builds: Builds) -> None:
    succeed(world, builds)
    digest = publish(world, "0.0.2", "latest", labels={REQUEST_ID_LABEL: "web-r1"})

    settled = run(world)

    build, state = ours(world), image(world)
    assert (build.result, build.version, build.digest) == ("succeeded", "0.0.2", digest)
    assert (state.runtime.current_version, state.runtime.current_digest) == ("0.0.2", digest)
    assert state.runtime.last_built == world.now
    assert state.history.update_history[-1].new_digest == digest
    assert build.causes[0]["seenAt"]
    assert (known(world).status, known(world).digest) == (RequestStatus.SUCCEEDED, digest)
    (event,) = settled.events
    assert (event.kind, event.facts["Version"], event.facts["Digest"]) == (
        EventKind.REBUILD_SUCCEEDED, "0.0.2", digest,
    )  # fmt: skip


def test_the_label_finds_the_build_s_own_version_among_newer_ones(world: Any, builds: Builds) -> None:
    succeed(world, builds)
    mine = publish(world, "0.0.2", seed="mine", labels={REQUEST_ID_LABEL: "web-r1"})
    publish(world, "0.0.3", "latest", seed="another's", labels={REQUEST_ID_LABEL: "web-r0"})
    publish(world, "0.0.4", seed="a person's")

    run(world)

    assert (ours(world).version, ours(world).digest) == ("0.0.2", mine)


def test_another_request_s_version_is_never_taken_for_this_one_s(world: Any, builds: Builds) -> None:
    succeed(world, builds)
    publish(world, "0.0.3", "latest", labels={REQUEST_ID_LABEL: "web-r0"})

    settled = run(world)

    assert settled.changes == ()


def test_without_labels_the_highest_new_version_is_taken(world: Any, builds: Builds) -> None:
    succeed(world, builds)
    publish(world, "0.0.2", seed="2")
    newest = publish(world, "0.0.10", "latest", seed="10")

    run(world)

    assert (ours(world).version, ours(world).digest) == ("0.0.10", newest)


def test_a_version_that_is_published_anew_is_the_build_s(world: Any, builds: Builds) -> None:
    succeed(world, builds)
    digest = publish(world, "0.0.1", "latest")

    run(world)

    assert (ours(world).version, ours(world).digest) == ("0.0.1", digest)


def test_among_a_hundred_old_versions_few_questions_are_asked(world: Any, builds: Builds) -> None:
    world.registry.push("acme/web", [f"0.0.0-{number}" for number in range(100)], build_image(seed="before"))
    succeed(world, builds)
    digest = publish(world, "0.0.2", "latest", labels={REQUEST_ID_LABEL: "web-r1"})
    world.registry.forget()

    run(world)

    assert ours(world).digest == digest
    assert world.registry.count(containing="acme/web/manifests") <= 8


def test_without_versions_the_digest_of_the_followed_tag_is_taken_and_no_version(world: Any, builds: Builds) -> None:
    succeed(world, builds)
    digest = publish(world, "latest")

    run(world)

    assert (ours(world).version, ours(world).digest) == (None, digest)
    assert (image(world).runtime.current_version, image(world).runtime.current_digest) == ("0.0.1", digest)


def test_the_only_tag_of_an_image_is_followed(world: Any, builds: Builds) -> None:
    world.registry.delete("acme/web", "0.0.1")
    world.registry.delete("acme/web", "latest")
    digest = publish(world, "stable")
    succeed(world, builds)

    run(world)

    assert (ours(world).version, ours(world).digest) == ("stable", digest)


def test_what_is_not_published_yet_is_looked_for_for_half_an_hour(world: Any, builds: Builds) -> None:
    succeed(world, builds)

    early = run(world)
    world.later(minutes=29)
    still = run(world)
    digest = publish(world, "0.0.2", "latest")
    run(world)

    assert (early.changes, still.changes) == ((), ())
    assert "nothing new is published yet" in early.outcomes[0].reason  # type: ignore[union-attr]
    assert ours(world).digest == digest


def test_a_build_that_publishes_nothing_is_settled_without_a_digest_and_says_so(world: Any, builds: Builds) -> None:
    succeed(world, builds)
    world.later(minutes=30)

    settled = run(world)

    build = ours(world)
    assert (build.result, build.digest) == ("succeeded", None)
    assert build.problem == "its run succeeded, and nothing new is published"
    assert [event.kind for event in settled.events] == [EventKind.REBUILD_SUCCEEDED]
    assert settled.events[0].facts["Note"] == build.problem
    assert image(world).runtime.current_version == "0.0.1"


def test_a_provider_s_clock_that_is_behind_shortens_the_search_by_nothing(world: Any, builds: Builds) -> None:
    succeed(world, builds, at=world.now - timedelta(days=30))

    assert run(world).changes == ()


def test_a_registry_that_is_down_is_asked_again_until_the_search_ends(world: Any, builds: Builds) -> None:
    succeed(world, builds)
    world.registry.fail_next(403, times=99)

    down = run(world)
    world.later(minutes=30)
    run(world)

    assert isinstance(down.outcomes[0], Failed)
    assert down.changes == ()
    assert (ours(world).result, "cannot be seen" in ours(world).problem) == ("succeeded", True)


def test_what_analysis_recorded_already_is_agreed_with(world: Any, builds: Builds) -> None:
    digest = publish(world, "0.0.2", "latest")
    bench = world.bench()
    bench.store.apply(analyze(bench, Handover("web", "0.0.2", digest)).changes)
    built = image(world).runtime
    publish(world, "0.0.3", seed="a later one of a person's")
    succeed(world, builds)
    world.later(minutes=5)

    run(world)

    assert (ours(world).version, ours(world).digest) == ("0.0.2", digest)
    assert image(world).runtime == built, "nothing is written twice"


def test_what_analysis_recorded_of_another_build_is_not_taken_for_this_one_s(world: Any, builds: Builds) -> None:
    other = publish(world, "0.0.2", "latest", seed="other", labels={REQUEST_ID_LABEL: "web-r0"})
    bench = world.bench()
    bench.store.apply(analyze(bench, Handover("web", "0.0.2", other)).changes)
    mine = publish(world, "0.0.3", "latest", labels={REQUEST_ID_LABEL: "web-r1"})
    succeed(world, builds)

    run(world)

    assert (ours(world).version, ours(world).digest) == ("0.0.3", mine)


def test_a_token_that_cannot_see_runs_still_learns_what_was_published(world: Any, builds: Builds) -> None:
    builds.fail("run", AuthenticationRequired("403"), times=2)

    unseen = run(world)
    digest = publish(world, "0.0.2", "latest", labels={REQUEST_ID_LABEL: "web-r1"})
    run(world)

    assert isinstance(unseen.outcomes[0], Failed)
    assert ours(world).digest == digest


def test_what_was_published_before_is_not_taken_for_a_build_that_cannot_be_seen(world: Any, builds: Builds) -> None:
    bench = world.bench()
    state = bench.store.images().records["web"]
    never = {"current_version": None, "current_digest": None}
    history = state.history.model_copy(update={"update_history": ()})
    unknown = state.model_copy(update={"runtime": state.runtime.model_copy(update=never), "history": history})
    bench.store.apply(bench.store.plan([unknown]))
    publish(world, "0.0.1", "latest", seed="long ago")
    builds.fail("run", AuthenticationRequired("401"), times=1)

    settled = run(world)

    assert isinstance(settled.outcomes[0], Failed)
    assert known(world).status is RequestStatus.DISPATCHED


# --- which base it was built on -----------------------------------------------------------------------------


def labels(base: str) -> dict[str, str]:
    return {REQUEST_ID_LABEL: "web-r1", BASE_DIGEST_LABEL: base}


def test_a_build_on_the_base_that_it_was_told_succeeds(world: Any, builds: Builds) -> None:
    succeed(world, builds)
    publish(world, "0.0.2", labels=labels(moves(world)[-1]))

    run(world)

    assert (ours(world).result, ours(world).problem) == ("succeeded", None)


def test_a_build_on_an_older_base_than_it_was_told_has_failed(world: Any, builds: Builds) -> None:
    succeed(world, builds)
    digest = publish(world, "0.0.2", labels=labels(moves(world)[0]))

    settled = run(world)

    build = ours(world)
    assert (build.result, build.digest) == ("failed", digest)
    assert "not on sha256:" in build.problem
    assert isinstance(settled.outcomes[0], Failed)
    assert "base_images" in settled.outcomes[0].error.hint
    assert image(world).runtime.current_digest == digest, "it is published all the same"


def test_a_build_on_a_newer_base_than_it_was_told_has_taken_that_in(world: Any, builds: Builds) -> None:
    world.registry.push("library/alpine", ["3.22"], build_image(seed="three"))
    bench = world.bench()
    bench.store.apply(observe(bench).changes)
    succeed(world, builds)
    publish(world, "0.0.2", labels=labels(moves(world)[-1]))

    run(world)

    assert ours(world).result == "succeeded"
    assert ours(world).causes[0]["to"] == moves(world)[-1]


def test_a_base_digest_that_was_never_seen_says_nothing(world: Any, builds: Builds) -> None:
    succeed(world, builds)
    publish(world, "0.0.2", labels=labels(f"sha256:{'e' * 64}"))

    run(world)

    assert (ours(world).result, ours(world).causes[0]["to"]) == ("succeeded", moves(world)[-1])


def test_a_run_of_an_image_without_a_record_is_settled_in_its_request(world: Any, builds: Builds) -> None:
    (world.root / "state/images/web.yaml").unlink()
    succeed(world, builds)
    publish(world, "0.0.2", labels={REQUEST_ID_LABEL: "web-r1"})

    run(world)

    assert (known(world).status, known(world).version) == (RequestStatus.SUCCEEDED, "0.0.2")


def test_a_repository_without_anything_has_nothing_new(world: Any, builds: Builds) -> None:
    builds.fail("run", RemoteNotFound("gone"), times=1)
    succeed(world, builds)
    for tag in ("0.0.1", "latest"):
        world.registry.delete("acme/web", tag)

    assert run(world).changes == ()
