"""What makes Freight in the simulated cluster, and what must not: commits, state, external images, old tags."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.kargo.simulator.steps import Steps
from tests.kargo.world import ALPINE, HOUR, MINUTE, STATE, WORKFLOW, World

pytest.importorskip("image_factory_github", reason="the plugin github is not installed")
pytest.importorskip("image_factory_gitlab", reason="the plugin gitlab is not installed")
pytest.importorskip("image_factory_synth", reason="synth is not installed")


def test_a_commit_of_state_alone_makes_no_freight_of_a_source_in_the_same_repository(
    world: World, steps: Steps
) -> None:
    entry = world.managed("web", "FROM scratch\n", rebuildDelay="0s")
    entry["source"] |= {"repo": STATE, "dockerfile": "apps/web/Dockerfile"}
    files = {"apps/web/Dockerfile": "FROM alpine:3.22\n", ".github/workflows/web.yml": WORKFLOW}
    world.github.repositories.commit(f"{STATE}.git", files, "Add web", branch="main")
    cluster = world.begin(steps, entry)
    before = len(cluster.jobs)
    (first,) = cluster.freight_of("web")

    world.move(cluster, ALPINE, "next")
    cluster.advance(HOUR)
    assert len(world.builds) == 1
    commits = [job.command for job in cluster.jobs[before:] if job.command != "coordinate"]
    assert commits == ["observe"], "state was committed by jobs, and not analyzed again"
    assert cluster.freight_of("web") == [first]

    world.github.repositories.commit(f"{STATE}.git", {"apps/web/main.py": "1\n"}, "Change web", branch="main")
    cluster.advance(10 * MINUTE)
    assert len(cluster.freight_of("web")) == 2
    assert cluster.jobs[-1].command in ("analyze", "coordinate")
    assert [job.command for job in cluster.jobs].count("analyze") == 2


def test_several_commits_within_an_interval_make_one_freight_of_the_last(world: World, steps: Steps) -> None:
    cluster = world.begin(steps, world.managed("web", "FROM alpine:3.22\n"))
    last = ""
    for number in range(5):
        files = {"README.md": f"{number}\n"}
        last = world.github.repositories.commit("acme/web.git", files, f"Change {number}", branch="main")

    cluster.advance(11 * MINUTE)

    _, second = cluster.freight_of("web")
    assert last in [commit.id for commit in second.commits]
    assert [job.command for job in cluster.jobs].count("analyze") == 2


def test_an_external_image_that_moves_is_recorded_and_starts_nothing(world: World, steps: Steps) -> None:
    world.publish("library/redis", "redis 0", "7-alpine")
    redis = {"name": "redis", "registry": "docker.io", "repository": "library/redis", "tag": "7-alpine"}
    cluster = world.begin(steps, redis)
    new = world.publish("library/redis", "redis 1", "7-alpine")

    cluster.skip(timedelta(hours=25))
    cluster.advance(20 * MINUTE)

    state = world.image("redis")
    assert state["currentDigest"] == new
    assert [each["newDigest"] for each in state["updateHistory"]][-1] == new
    assert world.request("redis") is None
    assert world.builds == []


def test_bases_are_looked_at_once_a_day_and_never_all_at_once(world: World, steps: Steps) -> None:
    cluster = world.begin(steps, world.managed("web", "FROM node:22 AS a\nFROM alpine:3.22\nCOPY --from=a / /\n"))
    before = {name: each.looks for name, each in cluster.warehouses.items()}

    cluster.skip(timedelta(days=3))

    looks = {name: cluster.warehouses[name].looks - before[name] for name in ("alpine-3-22", "node-22")}
    assert all(count in (2, 3) for count in looks.values()), looks
    dues = {cluster.warehouses[name].due for name in looks}
    assert len(dues) == 2


def test_a_failed_analysis_leaves_its_freight_unverified_until_it_is_asked_for_again(
    world: World, steps: Steps
) -> None:
    world.publish("library/alpine", "alpine 0", "3.22")
    world.enroll(world.managed("web", "FROM alpine:3.22\n"))
    world.github.trouble(500, {"message": "down"}, matches="/repos/acme/web/", times=1000)
    cluster = world.cluster(steps)

    (freight,) = cluster.freight_of("web")
    assert cluster.jobs[0].codes == (5, 5, 5), "tried again as often as the Job says"
    assert freight.verified_in == {}
    cluster.advance(HOUR)
    assert [job.command for job in cluster.jobs].count("analyze") == 1
    world.github.repair()
    cluster.stages.reverify("analyze-dockerfile-web")
    cluster.advance(10 * MINUTE)

    assert "analyze-dockerfile-web" in freight.verified_in
    assert world.image("web")["baseImages"] == ["alpine-3-22"]


def test_a_receiver_lets_a_request_be_seen_at_once(world: World, steps: Steps) -> None:
    kargo = {**world.config["kargo"], "webhooks": {"github": "github-webhook"}}
    world.configure(kargo=kargo, coordinationWindow="0s")
    cluster = world.begin(steps, world.managed("web", "FROM alpine:3.22\n", rebuildDelay="0s"))
    world.move(cluster, ALPINE, "next")

    cluster.advance(9 * MINUTE)

    assert len(world.builds) == 1, "the CronJob's push is told of, and not looked for"
    looks = {name: each.looks for name, each in cluster.warehouses.items()}
    assert looks["rebuild-requests-web"] > looks["alpine-3-22"]


def test_a_digest_that_was_withdrawn_while_it_aged_is_not_built(world: World, steps: Steps) -> None:
    cluster = world.begin(steps, world.managed("web", "FROM alpine:3.22\n", rebuildDelay="20m"))
    world.move(cluster, ALPINE, "bad")
    cluster.advance(5 * MINUTE)
    good = world.move(cluster, ALPINE, "begin")
    assert len(cluster.freight_of("alpine-3-22")) == 2, "Kargo has known this for long, and tells nobody"

    cluster.advance(HOUR + 20 * MINUTE)

    assert world.builds == []
    assert world.state("base-images/alpine-3-22.yaml")["currentDigest"] == good
