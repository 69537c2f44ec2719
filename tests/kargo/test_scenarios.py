"""Whole courses on the manifests that `image-factory synth` writes, in a simulated cluster.

Warehouses look, stages promote, Jobs and CronJobs run this project's command line against a bare git
repository, and builds are started at a GitHub or GitLab that remembers them.
"""

from __future__ import annotations

import pytest
from tests.kargo.simulator.steps import Steps
from tests.kargo.world import ALPINE, DISPATCHED, HOUR, MINUTE, NODE, World

pytest.importorskip("image_factory_github", reason="the plugin github is not installed")
pytest.importorskip("image_factory_gitlab", reason="the plugin gitlab is not installed")
pytest.importorskip("image_factory_synth", reason="synth is not installed")


def causes(world: World, image: str) -> list[str]:
    return [each["base"] for each in world.image(image)["rebuildHistory"][-1]["causes"]]


def test_a_fresh_enrollment_is_analyzed_and_its_base_watched(world: World, steps: Steps) -> None:
    world.publish_base(ALPINE, "begin")
    world.enroll(world.managed("web", "FROM alpine:3.22\n"))

    cluster = world.cluster(steps)

    assert [job.command for job in cluster.jobs] == ["analyze"]
    assert world.image("web")["baseImages"] == ["alpine-3-22"]
    assert "alpine-3-22" not in cluster.warehouses
    cluster.apply(world.manifests())
    assert [job.command for job in cluster.jobs] == ["analyze", "observe"]
    assert world.state("base-images/alpine-3-22.yaml")["currentDigest"]
    assert all(job.codes == (0,) for job in cluster.jobs)


def test_every_stage_is_promoted_by_a_policy_or_by_people(world: World, steps: Steps) -> None:
    by_hand = world.managed("byhand", "FROM alpine:3.22\n", autoRebuild=False)
    cluster = world.begin(steps, world.managed("web", "FROM alpine:3.22\n"), by_hand)

    stages = {each["metadata"]["name"]: each for each in cluster.resources.all("Stage")}
    manual = [name for name, each in stages.items() if not cluster.resources.is_promoted_by_itself(each)]
    assert manual == ["rebuild-trigger-byhand"]
    assert {"analyze-dockerfile-web", "observe-alpine-3-22", "rebuild-trigger-web"} <= set(stages)


def test_a_base_that_moves_leads_to_one_build_after_its_delay_and_the_build_to_a_version(
    world: World, steps: Steps
) -> None:
    cluster = world.begin(steps, world.managed("web", "FROM alpine:3.22\n", rebuildDelay="1h"))
    new = world.move(cluster, ALPINE, "next")

    cluster.skip(50 * MINUTE)
    cluster.advance(35 * MINUTE)
    assert world.request("web") is None, "the delay and the window are waited for"
    cluster.advance(5 * MINUTE + DISPATCHED)
    (build,) = world.builds
    assert build.bases == {ALPINE: new}
    cluster.advance(15 * MINUTE)
    assert world.request("web")["status"] == "dispatched"

    digest = world.finish(build, "1.0.1")
    cluster.advance(20 * MINUTE)
    image = world.image("web")
    assert (image["currentVersion"], image["currentDigest"]) == ("1.0.1", digest)
    assert [(each["result"], each["requestId"]) for each in image["rebuildHistory"]][-1:] == [
        ("succeeded", build.request_id)
    ]
    assert causes(world, "web") == ["alpine-3-22"]
    analyzed = [job.arguments for job in cluster.jobs if job.command == "analyze"]
    assert f"--digest={digest}" in analyzed[-1], "what was built is analyzed"
    freight = cluster.freight_of("web")
    cluster.apply(world.manifests())
    watched = cluster.resources.get("Warehouse", "web")["spec"]["subscriptions"][0]["image"]
    assert watched["imageSelectionStrategy"] == "SemVer", "once there are versions they are followed"
    cluster.advance(30 * MINUTE)
    assert [each.images[0].tag for each in cluster.freight_of("web")] == [*["latest"] * len(freight), "1.0.1"]
    assert world.image("web")["currentVersion"] == "1.0.1"
    assert len(world.builds) == 1
    failed = [
        each for stage in cluster.stages.stages.values() for each in stage.promotions if each.phase != "Succeeded"
    ]
    assert failed == []


def test_two_bases_that_move_within_a_window_lead_to_one_build_with_both_causes(world: World, steps: Steps) -> None:
    dockerfile = "FROM node:22 AS build\nFROM alpine:3.22\nCOPY --from=build / /\n"
    cluster = world.begin(steps, world.managed("web", dockerfile, rebuildDelay="0s"))
    node = world.move(cluster, NODE, "next")
    cluster.advance(20 * MINUTE)
    alpine = world.move(cluster, ALPINE, "next")

    cluster.advance(10 * MINUTE + DISPATCHED)

    (build,) = world.builds
    assert build.bases == {NODE: node, ALPINE: alpine}
    assert sorted(each["base"] for each in world.request("web")["causes"]) == ["alpine-3-22", "node-22"]
    cluster.advance(30 * MINUTE)
    assert len(world.builds) == 1


def test_an_emergency_is_built_at_once(world: World, steps: Steps) -> None:
    cluster = world.begin(steps, world.managed("web", "FROM alpine:3.22\n", rebuildDelay="7d"))
    new = world.move(cluster, ALPINE, "next")
    cluster.advance(12 * MINUTE)
    assert world.builds == []

    order = ("emergency", "--cve=CVE-2026-12345", "--base=alpine:3.22", "--reason=exploited", "--push")
    world.run(*order, environment={"GITHUB_ACTOR": "alice"})
    cluster.advance(6 * MINUTE)

    (build,) = world.builds
    assert build.bases == {ALPINE: new}
    assert world.request("web")["reason"] == "emergency"
    cluster.advance(HOUR)
    assert len(world.builds) == 1


def test_a_dispatch_that_fails_is_not_tried_again_and_another_attempt_is_made_later(world: World, steps: Steps) -> None:
    world.configure(retryDelay="10m")
    cluster = world.begin(steps, world.managed("web", "FROM alpine:3.22\n", rebuildDelay="0s"))
    world.move(cluster, ALPINE, "next")
    world.github.trouble(422, {"message": "Workflow does not have 'workflow_dispatch' trigger"}, matches="/dispatches")

    cluster.advance(50 * MINUTE)
    promotions = cluster.stages.stage("rebuild-trigger-web").promotions
    assert [each.phase for each in promotions] == ["Failed"]
    assert "workflow_dispatch" in str(promotions[0].result)
    first = world.request("web")["requestId"]
    cluster.advance(HOUR)

    (build,) = world.builds
    assert build.request_id != first
    oldest = world.image("web")["rebuildHistory"][0]
    assert (oldest["requestId"], oldest["result"]) == (first, "failed")
    assert world.request("web")["status"] == "dispatched"


def test_a_controller_that_restarts_while_it_dispatches_starts_what_counts_as_one_build(
    world: World, steps: Steps
) -> None:
    cluster = world.begin(steps, world.managed("web", "FROM alpine:3.22\n", rebuildDelay="0s"))
    world.move(cluster, ALPINE, "next")
    cluster.stages.restarts["rebuild-trigger-web"] = 1

    cluster.advance(30 * MINUTE + DISPATCHED)
    first, second = world.builds
    assert first.request_id == second.request_id, "the workflow tells by it that it has run already"
    for build in (first, second):
        world.finish(build, "1.0.1")
    cluster.advance(HOUR)

    assert len(world.builds) == 2
    history = world.image("web")["rebuildHistory"]
    assert [(each["requestId"], each["result"]) for each in history] == [(first.request_id, "succeeded")]


def test_a_kargo_that_was_away_starts_the_request_that_stands_and_none_before_it(world: World, steps: Steps) -> None:
    world.configure(retryDelay="10m", coordinationWindow="0s")
    cluster = world.begin(steps, world.managed("web", "FROM alpine:3.22\n", rebuildDelay="0s"))
    world.move(cluster, ALPINE, "next")
    cluster.is_down = True

    cluster.advance(12 * MINUTE)
    first = world.request("web")["requestId"]
    cluster.advance(45 * MINUTE)
    assert world.builds == []
    cluster.is_down = False
    cluster.advance(40 * MINUTE)

    (build,) = world.builds
    assert build.request_id != first
    assert world.request("web")["requestId"] == build.request_id


def test_a_build_of_a_parent_lets_its_child_be_built_on_it(world: World, steps: Steps) -> None:
    parent = world.managed("parent", "FROM alpine:3.22\n", rebuildDelay="0s")
    child = world.managed("child", "FROM ghcr.io/acme/parent:latest\n", rebuildDelay="0s")
    cluster = world.begin(steps, parent, child)
    world.move(cluster, ALPINE, "next")

    cluster.advance(30 * MINUTE + DISPATCHED)
    assert [build.image for build in world.builds] == ["parent"]
    digest = world.finish(world.builds[0], "1.0.1")
    cluster.advance(HOUR)

    assert [build.image for build in world.builds] == ["parent", "child"]
    assert world.builds[1].bases == {"ghcr.io/acme/parent:latest": digest}
    world.finish(world.builds[1], "1.0.1")
    cluster.advance(HOUR)
    assert len(world.builds) == 2


def test_what_is_not_enrolled_any_more_is_watched_and_built_no_more(world: World, steps: Steps) -> None:
    web, api = (world.managed(name, "FROM alpine:3.22\n", rebuildDelay="1h") for name in ("web", "api"))
    cluster = world.begin(steps, web, api)
    world.move(cluster, ALPINE, "next")
    cluster.advance(20 * MINUTE)

    world.enroll(api)
    cluster.apply(world.manifests())
    cluster.advance(HOUR + 10 * MINUTE + DISPATCHED)

    assert [build.image for build in world.builds] == ["api"]
    left = [name for _, name in cluster.resources.documents if name.endswith("web")]
    assert left == []
    assert "web" not in cluster.warehouses


def test_an_image_without_automatic_rebuilds_is_built_when_a_person_promotes_its_request(
    world: World, steps: Steps
) -> None:
    cluster = world.begin(steps, world.managed("web", "FROM alpine:3.22\n", rebuildDelay="0s", autoRebuild=False))
    new = world.move(cluster, ALPINE, "next")

    cluster.advance(2 * HOUR)
    assert world.builds == []
    assert world.request("web")["status"] == "needs-approval"
    (freight,) = cluster.freight_of("rebuild-requests-web")
    cluster.stages.promote("rebuild-trigger-web", freight, by="alice")
    cluster.advance(30 * MINUTE)

    (build,) = world.builds
    assert build.bases == {ALPINE: new}
    assert world.request("web")["status"] == "dispatched"


def test_an_image_of_a_gitlab_project_is_built_by_its_pipeline(world: World, steps: Steps) -> None:
    entry = world.managed("lab", "FROM alpine:3.22\n", provider="gitlab", rebuildDelay="0s")
    cluster = world.begin(steps, entry)
    new = world.move(cluster, ALPINE, "next")

    cluster.advance(30 * MINUTE + DISPATCHED)
    (pipeline,) = world.gitlab.state("acme/lab").pipelines
    assert new in str(pipeline.variables)
    assert [build.image for build in world.builds] == ["lab"]
    assert world.github.state("acme/lab").runs == []
    cluster.advance(15 * MINUTE)
    assert world.request("lab")["status"] == "dispatched"
