"""A rebuild: with the digests that are eligible, refused before, and written down before it is sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest

from image_factory.errors import NotFound, RemoteRefused, Unavailable, VerificationError
from image_factory.hookspecs import hookimpl
from image_factory.ports import BuildRequest, BuildRun, BuildTrigger, RunStatus, SecretHeader, TriggerCall
from image_factory.testing.image_content import build_image
from image_factory.usecases.analyze import analyze
from image_factory.usecases.handover import Handover
from image_factory.usecases.observe import observe
from image_factory.usecases.trigger import call_to_json, new_request_id, prepare_rebuild, start_rebuild

SOME = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass
class Trigger:
    """A provider that takes what it is told."""

    declared: frozenset[str] | None = None
    refusal: Exception | None = None
    name: str = "git"
    started: list[BuildRequest] = field(default_factory=list)
    seen_at_start: Callable[[], None] = lambda: None

    def call(self, request: BuildRequest) -> TriggerCall:
        return TriggerCall(
            "POST", "https://ci.example.com", {"Accept": "*/*"}, {"inputs": dict(request.inputs)},
            SecretHeader("Authorization", "Bearer "), None, (204,),
        )  # fmt: skip

    def start(self, request: BuildRequest) -> str | None:
        self.seen_at_start()
        if self.refusal is not None:
            raise self.refusal
        self.started.append(request)
        return None

    def declared_inputs(self, request: BuildRequest) -> frozenset[str] | None:
        return self.declared

    def find_run(self, request: BuildRequest) -> BuildRun | None:
        return BuildRun("7", RunStatus.QUEUED, "https://ci.example.com/7", "main", "f" * 40, request.request_id, SOME)

    def run(self, request: BuildRequest, run_id: str) -> BuildRun:
        raise NotImplementedError

    def runs(self, request: BuildRequest, *, page: int = 1, page_size: int = 20) -> Sequence[BuildRun]:
        return ()

    def rerun(self, request: BuildRequest, run_id: str) -> None:
        raise NotImplementedError


def install(world: Any, trigger: Trigger) -> Trigger:
    @hookimpl
    def register_build_triggers(register: Callable[[BuildTrigger], None]) -> None:
        register(trigger)

    plugin = ModuleType("ci")
    plugin.register_build_triggers = register_build_triggers  # type: ignore[attr-defined]
    world.plugins = {"ci": plugin}
    return trigger


@pytest.fixture
def trigger(world: Any) -> Trigger:
    """A managed image on a base that moved a day ago, with a delay of seven days."""
    trigger = install(world, Trigger())
    world.service("web", "FROM node:22 AS build\nFROM alpine:3.22\nCOPY --from=build / /\n")
    world.enroll("web")
    world.registry.push("library/node", ["22"], build_image(seed="node"))
    for seed in ("one", "two"):
        world.registry.push("library/alpine", ["3.22"], build_image(seed=seed))
        bench = world.bench()
        bench.store.apply(analyze(bench).changes)
        bench = world.bench()
        bench.store.apply(observe(bench).changes)
        world.later(days=1, hours=1)
    return trigger


def history(world: Any) -> Any:
    return world.bench().store.images().records["web"].history.rebuild_history


def test_before_its_time_a_rebuild_is_refused_and_nothing_is_sent_or_written(world: Any, trigger: Trigger) -> None:
    bench = world.bench()

    with pytest.raises(VerificationError, match="web is not eligible until 2026-03-09T13:00:00Z"):
        start_rebuild(bench, prepare_rebuild(bench, "web"))

    assert (trigger.started, history(world)) == ([], ())


def test_a_due_rebuild_builds_with_the_aged_digest_and_says_why(world: Any, trigger: Trigger) -> None:
    world.later(days=7)
    bench = world.bench()

    started = start_rebuild(bench, prepare_rebuild(bench, "web", request_id="r1"))
    bench.store.apply(started.changes)

    (request,) = trigger.started
    assert request.request_id == "r1"
    told = {each["reference"]: each for each in json.loads(request.inputs["base_images"])}
    alpine = world.bench().store.bases().records["alpine-3-22"].runtime
    assert told["docker.io/library/alpine:3.22"]["digest"] == alpine.current_digest
    assert told["docker.io/library/alpine:3.22"]["role"] == "final"
    assert told["docker.io/library/node:22"]["role"] == "stage", "what did not move is pinned to what it holds"
    assert request.inputs["base_image"] == "docker.io/library/alpine:3.22"
    (build,) = history(world)
    assert (build.result, build.reason, build.request_id, build.run_id) == ("started", "due", "r1", "7")
    assert build.causes == ({"base": "alpine-3-22", "from": alpine.previous_digest, "to": alpine.current_digest},)


def test_the_intent_is_written_before_the_provider_is_asked(world: Any, trigger: Trigger) -> None:
    seen: list[str] = []
    trigger.seen_at_start = lambda: seen.extend(build.result for build in history(world))
    bench = world.bench()

    start_rebuild(bench, prepare_rebuild(bench, "web"), force=True)

    assert seen == ["requested"]


@pytest.mark.parametrize(
    ("refusal", "result"),
    [
        pytest.param(RemoteRefused("cannot start: 422 no"), "failed", id="refused: it did not start"),
        pytest.param(Unavailable("no answer"), "requested", id="no answer: it may have started"),
    ],
)
def test_a_failure_is_recorded_for_what_it_is_and_names_the_request(
    world: Any, trigger: Trigger, refusal: Exception, result: str
) -> None:
    trigger.refusal = refusal
    bench = world.bench()

    with pytest.raises(type(refusal), match=r"\(request r1\)"):
        start_rebuild(bench, prepare_rebuild(bench, "web", request_id="r1"), force=True)

    assert [build.result for build in history(world)] == [result]


def test_an_undeclared_input_is_left_out_and_named(world: Any, trigger: Trigger) -> None:
    trigger.declared = frozenset({"request_id", "base_images"})

    prepared = prepare_rebuild(world.bench(), "web")

    assert set(prepared.request.inputs) == {"request_id", "base_images"}
    assert ["'version_bump'" in str(each) or "'triggered_by'" in str(each) for each in prepared.warnings] == [True] * 2


def test_the_workflow_is_the_image_s_name_where_none_is_given(world: Any, trigger: Trigger) -> None:
    assert prepare_rebuild(world.bench(), "web").request.workflow == "web.yml"


def test_an_image_that_is_not_analyzed_can_be_rehearsed_and_not_started(world: Any) -> None:
    install(world, Trigger())
    world.service("web", "FROM alpine:3.22\n")
    world.enroll("web")
    bench = world.bench()
    prepared = prepare_rebuild(bench, "web", is_rehearsal=True)

    assert prepared.request.inputs["base_images"] == "[]"
    with pytest.raises(NotFound, match="not analyzed yet"):
        start_rebuild(bench, prepared)


def test_a_request_id_is_new_each_time_and_names_the_image(world: Any) -> None:
    now = world.now

    assert new_request_id("web", now).startswith("web-20260301T120000Z-")
    assert len({new_request_id("web", now) for _ in range(100)}) == 100


def test_a_call_is_shown_with_its_secret_redacted_wherever_it_goes() -> None:
    in_body = TriggerCall("POST", "https://x", {}, {"ref": "main"}, None, "token", (201,))
    in_header = TriggerCall("POST", "https://x", {}, {}, SecretHeader("Authorization", "Bearer "), None, (204,))

    assert call_to_json(in_body)["json"] == {"ref": "main", "token": "••••••"}
    assert call_to_json(in_header)["headers"] == {"Authorization": "Bearer ••••••"}


def test_a_managed_parent_gives_its_own_digest_and_an_unbuilt_stage_nothing(world: Any) -> None:
    trigger = install(world, Trigger())
    world.service("parent", "FROM scratch\n")
    world.service("other", "FROM scratch\n")
    world.service("web", "FROM ghcr.io/acme/other:1 AS unused\nFROM ghcr.io/acme/parent:1\n")
    world.enroll("parent", "other", "web")
    digest = f"sha256:{'d' * 64}"
    for handover in (None, Handover("parent", "1", digest), Handover("other", "1", digest)):
        bench = world.bench()
        bench.store.apply(analyze(bench, handover).changes)
    bench = world.bench()

    start_rebuild(bench, prepare_rebuild(bench, "web"), force=True)

    assert json.loads(trigger.started[0].inputs["base_images"]) == [
        {"reference": "ghcr.io/acme/parent:1", "digest": digest, "role": "final"}
    ]


def test_a_base_that_is_not_old_enough_stays_as_the_image_holds_it(world: Any, trigger: Trigger) -> None:
    held = world.bench().store.bases().records["node-22"].runtime.current_digest
    world.later(days=6)
    world.registry.push("library/node", ["22"], build_image(seed="newer node"))
    bench = world.bench()
    bench.store.apply(observe(bench).changes)
    assert bench.store.bases().records["node-22"].runtime.current_digest != held
    world.later(days=1)

    prepared = prepare_rebuild(world.bench(), "web")

    told = {each["reference"]: each["digest"] for each in json.loads(prepared.request.inputs["base_images"])}
    assert (prepared.reason, told["docker.io/library/node:22"]) == ("due", held)
    assert [cause["base"] for cause in prepared.causes] == ["alpine-3-22"]
