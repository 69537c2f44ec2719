"""Observation against a real registry: one HEAD a reference, what moved, what vanished, and when it matters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from image_factory.errors import Conflict, InvalidReference, InvalidState, NotFound
from image_factory.hookspecs import hookimpl
from image_factory.oci.reference import Digest, Repository, Tag
from image_factory.shell.registry import OciRegistry
from image_factory.testing.clock import FixedClock
from image_factory.usecases.analyze import analyze
from image_factory.usecases.observe import Observation, observe, record_observed
from image_factory.usecases.outcome import Done, Failed, Skipped

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any


@pytest.fixture
def analyzed(world: World) -> World:
    world.service("web", "FROM node:22\n")
    world.service("api", "FROM node:22\n")
    world.enroll("web", world.managed("api", rebuildDelay="0"))
    bench = world.bench()
    bench.store.apply(analyze(bench).changes)
    world.registry.push_image("library/node", "22", platforms=["linux/amd64", "linux/arm64"], seed="first")
    return world


def run(world: World, *names: str) -> Observation:
    bench = world.bench()
    observation = observe(bench, names)
    bench.store.apply(observation.changes)
    return observation


def base(world: World, name: str = "node-22") -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(world.state(f"base-images/{name}.yaml"))
    return found


def heads(world: World) -> list[str]:
    return [request.path for request in world.registry.requests if request.method == "HEAD"]


def test_the_first_sight_records_digest_and_metadata(analyzed: World) -> None:
    run(analyzed)

    state = base(analyzed)
    assert state["currentDigest"].startswith("sha256:")
    assert set(state["metadata"]["platforms"]) == {"linux/amd64", "linux/arm64"}
    assert state["metadata"]["size"] > 0
    assert len(state["updateHistory"]) == 1


def test_one_head_is_asked_for_a_base_of_two_images_and_no_manifest_where_nothing_moved(analyzed: World) -> None:
    run(analyzed)
    analyzed.registry.forget()

    observation = run(analyzed)

    assert observation.outcomes == (Skipped("node-22", "its digest is the same"),)
    assert observation.changes == ()
    assert heads(analyzed) == ["/v2/library/node/manifests/22"]
    assert [request for request in analyzed.registry.requests if request.method == "GET"] == []


def test_a_move_records_old_and_new_and_from_when_each_dependent_may_be_rebuilt(analyzed: World) -> None:
    run(analyzed)
    old = base(analyzed)["currentDigest"]
    analyzed.later(days=2)
    new = str(analyzed.registry.push_image("library/node", "22", seed="second"))

    (outcome,) = run(analyzed).outcomes

    state = base(analyzed)
    assert isinstance(outcome, Done)
    assert (state["currentDigest"], state["previousDigest"]) == (new, old)
    assert state["lastUpdated"] == "2026-03-03T12:00:00Z"
    assert state["updateHistory"][-1] | {"at": "2026-03-03T12:00:00Z"} == {
        "at": "2026-03-03T12:00:00Z",
        "oldDigest": old,
        "newDigest": new,
        "source": "registry",
        "platforms": state["metadata"]["platforms"],
    }
    assert state["rebuildEligibleAt"] == {
        "default": "2026-03-10T12:00:00Z",
        "api": "2026-03-03T12:00:00Z",
        "web": "2026-03-10T12:00:00Z",
    }


@pytest.mark.parametrize("due_only", [False, True])
def test_another_delay_is_written_though_the_base_stands_still(analyzed: World, due_only: bool) -> None:
    run(analyzed)
    analyzed.registry.push_image("library/node", "22", seed="second")
    run(analyzed)
    bench = analyzed.bench()
    web = bench.store.images().records["web"]
    policy = web.configuration.enrollment.model_copy(update={"rebuild_delay": timedelta(days=2)})
    configuration = web.configuration.model_copy(update={"enrollment": policy})
    bench.store.apply(bench.store.plan([web.model_copy(update={"configuration": configuration})]))

    observation = observe(analyzed.bench(), due_only=due_only)
    analyzed.bench().store.apply(observation.changes)

    assert observation.outcomes == (Skipped("node-22", "its digest is the same"),)
    # A run has analyzed before it observes; it need not look at all images again.
    assert base(analyzed)["rebuildEligibleAt"]["web"] == f"2026-03-0{8 if due_only else 3}T12:00:00Z"


def test_a_tag_that_vanished_is_a_problem_of_its_own_and_keeps_the_last_digest(analyzed: World) -> None:
    run(analyzed)
    digest = base(analyzed)["currentDigest"]
    analyzed.registry.delete("library/node", "22")

    (outcome,) = run(analyzed).outcomes

    assert isinstance(outcome, Failed)
    assert base(analyzed)["problem"].startswith("tag vanished")
    assert base(analyzed)["currentDigest"] == digest


def test_a_tag_that_is_back_is_no_problem_any_more(analyzed: World) -> None:
    run(analyzed)
    analyzed.registry.delete("library/node", "22")
    run(analyzed)
    analyzed.registry.push_image("library/node", "22", platforms=["linux/amd64", "linux/arm64"], seed="first")

    run(analyzed)

    assert "problem" not in base(analyzed)


def test_an_unreachable_registry_fails_its_images_and_changes_nothing(analyzed: World) -> None:
    run(analyzed)
    bench = analyzed.bench()
    settings = bench.settings.model_validate({"registries": {"docker.io": {"endpoint": "http://127.0.0.1:9"}}})
    from dataclasses import replace

    from image_factory.builtins import builtin_plugins
    from image_factory.plugins import load_plugins

    def load() -> Any:
        http = analyzed.client(settings, FixedClock(analyzed.now))
        return load_plugins(settings, http, bench.clock, builtins=builtin_plugins(), found=())

    observation = observe(replace(bench, load=load))

    assert isinstance(observation.outcomes[0], Failed)
    assert observation.changes == ()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"tag": "16"}, "16", id="a tag is watched for its digest"),
        pytest.param({"constraint": "^16"}, "16.4.0", id="a range picks the greatest version"),
        pytest.param(
            {"allowTags": r"^\d+-alpine$", "imageSelectionStrategy": "Lexical"},
            "17-alpine",
            id="a pattern, by characters",
        ),
        pytest.param({"allowTags": "^16-alpine$"}, "16-alpine", id="a pattern of one tag"),
        pytest.param({"allowTags": "^16", "imageSelectionStrategy": "NewestBuild"}, "16.4.0", id="the newest build"),
    ],
)
def test_an_external_image_is_watched_by_its_strategy(world: World, fields: dict[str, str], expected: str) -> None:
    from datetime import UTC, datetime

    for number, tag in enumerate(["17.0.0", "16", "16-alpine", "17-alpine", "16.3.0", "16.4.0"]):
        created = datetime(2026, 1, 1 + number, tzinfo=UTC)
        world.registry.push_image("library/postgres", tag, seed=tag, created=created)
    world.enroll({"name": "postgres", "repository": "postgres", **fields})
    bench = world.bench()
    bench.store.apply(analyze(bench).changes)

    run(world)

    state = yaml.safe_load(world.state("images/postgres.yaml"))
    assert state["currentVersion"] == expected
    assert len(state["updateHistory"]) == 1


def test_an_external_image_is_said_to_move_to_its_new_version(world: World) -> None:
    world.enroll({"name": "postgres", "repository": "postgres", "constraint": "^16"})
    bench = world.bench()
    bench.store.apply(analyze(bench).changes)
    said = []
    for tag in ("16.3.0", "16.4.0"):
        world.registry.push_image("library/postgres", tag, seed=tag)
        (outcome,) = run(world).outcomes
        assert isinstance(outcome, Done)
        said.append(outcome.changes[0].partition(",")[0])

    assert said == ["first seen at 16.3.0", "moved to 16.4.0"]


def test_an_external_image_tells_what_it_moved_to_and_that_its_tag_vanished_each_once(world: World) -> None:
    world.enroll({"name": "redis", "repository": "redis", "tag": "7"})
    bench = world.bench()
    bench.store.apply(analyze(bench).changes)
    told = []
    for seed in ("a", "b", "b", None, None, "b", "c"):
        if seed is None:
            world.registry.delete("library/redis", "7")
        else:
            world.registry.push_image("library/redis", "7", seed=seed)
        told.append([str(event.kind) for event in run(world).events])

    assert told == [[], ["external-moved"], [], ["tag-vanished"], [], [], ["external-moved"]]
    state = yaml.safe_load(world.state("images/redis.yaml"))
    assert "problem" not in state
    assert len(state["updateHistory"]) == 3


def test_no_tag_that_qualifies_is_one_image_s_failure_with_its_reason(world: World) -> None:
    world.registry.push_image("library/postgres", "latest")
    world.enroll({"name": "postgres", "repository": "postgres", "constraint": "^99"})
    bench = world.bench()
    bench.store.apply(analyze(bench).changes)

    (outcome,) = run(world).outcomes

    assert isinstance(outcome, Failed)
    assert "no tag is a version in ^99" in str(outcome.error)


def test_a_named_base_is_asked_alone(analyzed: World) -> None:
    analyzed.enroll("web", "api", {"name": "redis", "repository": "redis", "tag": "7"})
    bench = analyzed.bench()
    bench.store.apply(analyze(bench).changes)

    observation = run(analyzed, "node-22")

    assert [outcome.item for outcome in observation.outcomes] == ["node-22"]


def test_a_name_that_nobody_knows_is_an_error(analyzed: World) -> None:
    with pytest.raises(NotFound, match="'nope'"):
        run(analyzed, "nope")


def test_why_an_image_is_not_watched_is_told_without_a_digest_too(analyzed: World) -> None:
    analyzed.enroll("web", "api", {"name": "redis", "repository": "redis", "tag": "7"})

    with pytest.raises(NotFound, match="'redis' is enrolled, but not analyzed yet"):
        run(analyzed, "redis")
    with pytest.raises(Conflict, match="'web' is a managed image"):
        run(analyzed, "web")


def test_a_pinned_base_is_not_asked(world: World) -> None:
    world.service("web", f"FROM node@sha256:{'a' * 64}\n")
    world.enroll("web")
    bench = world.bench()
    bench.store.apply(analyze(bench).changes)
    (pinned,) = bench.store.bases().records

    observation = run(world, pinned)

    assert observation.outcomes == (Skipped(pinned, "it is pinned by its digest: nothing about it can move"),)
    assert world.registry.requests == []


def test_a_digest_seen_elsewhere_is_recorded_without_asking(analyzed: World) -> None:
    run(analyzed)
    analyzed.registry.forget()
    bench = analyzed.bench()
    handed = f"sha256:{'b' * 64}"

    bench.store.apply(record_observed(bench, "node-22", handed).changes)
    again = record_observed(bench, "node-22", handed)

    assert base(analyzed)["currentDigest"] == handed
    assert again.changes == ()
    assert analyzed.registry.requests == []


def test_what_is_no_digest_is_refused(analyzed: World) -> None:
    with pytest.raises(InvalidReference, match="not a digest"):
        record_observed(analyzed.bench(), "node-22", "latest")


def test_a_version_tag_that_is_seen_for_the_first_time_is_no_alarm(world: World) -> None:
    world.service("web", "FROM node:22.1.0\n")
    world.enroll("web")
    bench = world.bench()
    bench.store.apply(analyze(bench).changes)
    world.registry.push_image("library/node", "22.1.0", seed="first")
    run(world)
    file = world.root / "state/base-images/node-22-1-0.yaml"
    file.write_text(file.read_text().replace("source: registry", "source: build"))  # as of an image that was ours
    world.registry.push_image("library/node", "22.1.0", seed="second")

    (outcome,) = run(world).outcomes

    assert isinstance(outcome, Done)
    assert "moved from" in outcome.changes[0]
    assert len(outcome.changes) == 1


@pytest.mark.parametrize(("tag", "is_alarming"), [("22.1.0", True), ("22.1.0-slim", True), ("22", False)])
def test_a_version_tag_that_moves_is_an_alarm(
    world: World, caplog: pytest.LogCaptureFixture, tag: str, is_alarming: bool
) -> None:
    world.service("web", f"FROM node:{tag}\n")
    world.enroll("web", {"name": "tool", "kind": "external", "registry": "quay.io", "repository": "a/tool", "tag": tag})
    bench = world.bench()
    bench.store.apply(analyze(bench).changes)
    for repository in ("library/node", "a/tool"):
        world.registry.push_image(repository, tag, seed="first")
    first = run(world).outcomes
    for repository in ("library/node", "a/tool"):
        world.registry.push_image(repository, tag, seed="second")

    second = run(world).outcomes

    alarm = f"alarm: {tag} is a version, which is expected to stand still"
    told = [alarm in outcome.changes for outcome in (*first, *second) if isinstance(outcome, Done)]
    assert told == [False, False, is_alarming, is_alarming]
    assert ("a version tag has moved" in caplog.text) is is_alarming


def test_a_digest_that_the_registry_does_not_have_is_not_recorded(analyzed: World) -> None:
    from image_factory.testing.registry_server import Misbehavior

    run(analyzed)
    before = base(analyzed)
    analyzed.registry.push_image("library/node", "22", seed="second")

    with analyzed.registry.misbehaving(Misbehavior.WRONG_DIGEST):
        (outcome,) = run(analyzed).outcomes

    assert isinstance(outcome, Failed)
    assert "which it does not have" in str(outcome.error)
    assert base(analyzed) == before


def test_a_base_whose_file_is_broken_is_named_with_its_file(analyzed: World) -> None:
    (analyzed.root / "state/base-images/node-22.yaml").write_text(": [")

    with pytest.raises(InvalidState, match=r"node-22\.yaml"):
        record_observed(analyzed.bench(), "node-22", f"sha256:{'b' * 64}")


def test_what_was_asked_for_not_long_ago_is_left_out_of_a_run(analyzed: World) -> None:
    bench = analyzed.bench()
    first = observe(bench, due_only=True)
    bench.store.apply(first.changes)
    asked = len(heads(analyzed))
    first.keep()

    again = observe(analyzed.bench(), due_only=True)

    assert again.outcomes == ()
    assert again.next_at is not None
    assert len(heads(analyzed)) == asked


def test_a_reference_that_is_named_is_asked_for_whenever(analyzed: World) -> None:
    bench = analyzed.bench()
    first = observe(bench, due_only=True)
    bench.store.apply(first.changes)
    first.keep()
    asked = len(heads(analyzed))

    observe(analyzed.bench(), ["node-22"], due_only=True)

    assert len(heads(analyzed)) == asked + 1


def test_what_a_run_could_not_write_is_asked_for_again(analyzed: World) -> None:
    observe(analyzed.bench(), due_only=True)

    again = observe(analyzed.bench(), due_only=True)

    assert [outcome.item for outcome in again.outcomes] == ["node-22"]


def test_a_registry_plugin_with_a_defect_is_named_and_the_others_are_asked(analyzed: World) -> None:
    class Broken(OciRegistry):
        @property
        def name(self) -> str:
            return "broken"

        def claims(self, repository: Repository) -> bool:
            return repository.registry == "broken.example.com"

        def resolve(self, tag: Tag) -> Digest:
            raise RuntimeError("boom")

        def tags(self, repository: Repository) -> Iterator[Tag]:
            raise RuntimeError("boom")

    class Plugin:
        @hookimpl
        def register_registries(self, register: Callable[[Any], None], settings: Any, http: Any, clock: Any) -> None:
            register(Broken(http, settings, clock, lambda _: None))

    analyzed.plugins = {"stranger": Plugin()}
    place = {"registry": "broken.example.com", "repository": "redis"}
    analyzed.enroll("web", "api", {"name": "one", **place, "tag": "7"}, {"name": "two", **place, "constraint": "^7"})
    bench = analyzed.bench()
    bench.store.apply(analyze(bench).changes)

    outcomes = {outcome.item: outcome for outcome in run(analyzed).outcomes}

    for name in ("one", "two"):
        failed = outcomes.pop(name)
        assert isinstance(failed, Failed)
        assert str(failed.error) == "plugin 'stranger' failed for broken.example.com/redis: RuntimeError: boom"
    assert outcomes
    assert not any(isinstance(outcome, Failed) for outcome in outcomes.values())
