"""Whole courses on the manifests that `image-factory synth` writes, in a simulated cluster.

Warehouses look, stages promote, Jobs and CronJobs run this project's command line against a bare git
repository, and builds are started at a GitHub or GitLab that remembers them.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.kargo.simulator.cluster import Cluster
from tests.kargo.simulator.steps import Steps
from tests.kargo.world import HOUR, MINUTE, World

pytest.importorskip("image_factory_github", reason="the plugin github is not installed")
pytest.importorskip("image_factory_gitlab", reason="the plugin gitlab is not installed")
pytest.importorskip("image_factory_synth", reason="synth is not installed")

ALPINE, NODE = "docker.io/library/alpine:3.22", "docker.io/library/node:22"
DISPATCHED = timedelta(minutes=17)
"""Within this a request is decided by the CronJob, seen by its Warehouse and dispatched, if it is due now."""


def begin(world: World, steps: Steps, *entries: dict[str, object]) -> Cluster:
    """Enroll images, let the cluster analyze them, and apply the manifests again, which know their bases now."""
    world.enroll(*entries)
    cluster = world.cluster(steps)
    cluster.apply(world.manifests())
    cluster.advance(MINUTE)
    return cluster


def move(world: World, cluster: Cluster, base: str, seed: str) -> str:
    """Let a base point at something new, and its Warehouse look; return the new digest."""
    repository, _, tag = base.removeprefix("docker.io/").partition(":")
    digest = world.publish(repository, f"{repository} {seed}", tag)
    cluster.refresh(f"{repository.rpartition('/')[2]}-{tag.replace('.', '-')}")
    return digest


def causes(world: World, image: str) -> list[str]:
    return [each["base"] for each in world.image(image)["rebuildHistory"][-1]["causes"]]


@pytest.fixture(autouse=True)
def bases(request: pytest.FixtureRequest, world: World) -> None:
    for base in (ALPINE, NODE):
        repository, _, tag = base.removeprefix("docker.io/").partition(":")
        world.publish(repository, f"{repository} begin", tag)


def test_a_fresh_enrollment_is_analyzed_and_its_base_watched(world: World, steps: Steps) -> None:
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
    cluster = begin(world, steps, world.managed("web", "FROM alpine:3.22\n"), by_hand)

    stages = {each["metadata"]["name"]: each for each in cluster.resources.all("Stage")}
    manual = [name for name, each in stages.items() if not cluster.resources.is_promoted_by_itself(each)]
    assert manual == ["rebuild-trigger-byhand"]
    assert {"analyze-dockerfile-web", "observe-alpine-3-22", "rebuild-trigger-web"} <= set(stages)


def test_a_base_that_moves_leads_to_one_build_after_its_delay_and_the_build_to_a_version(
    world: World, steps: Steps
) -> None:
    cluster = begin(world, steps, world.managed("web", "FROM alpine:3.22\n", rebuildDelay="1h"))
    new = move(world, cluster, ALPINE, "next")

    cluster.advance(HOUR + 25 * MINUTE)
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
    cluster.advance(HOUR)
    assert len(world.builds) == 1
    failed = [
        each for stage in cluster.stages.stages.values() for each in stage.promotions if each.phase != "Succeeded"
    ]
    assert failed == []


def test_two_bases_that_move_within_a_window_lead_to_one_build_with_both_causes(world: World, steps: Steps) -> None:
    dockerfile = "FROM node:22 AS build\nFROM alpine:3.22\nCOPY --from=build / /\n"
    cluster = begin(world, steps, world.managed("web", dockerfile, rebuildDelay="0s"))
    node = move(world, cluster, NODE, "next")
    cluster.advance(20 * MINUTE)
    alpine = move(world, cluster, ALPINE, "next")

    cluster.advance(10 * MINUTE + DISPATCHED)

    (build,) = world.builds
    assert build.bases == {NODE: node, ALPINE: alpine}
    assert sorted(each["base"] for each in world.request("web")["causes"]) == ["alpine-3-22", "node-22"]
    cluster.advance(HOUR)
    assert len(world.builds) == 1
