"""How a new version reaches the files that name an image, from the cluster: by push, and by pull request."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.kargo.simulator.cluster import Cluster
from tests.kargo.simulator.steps import Steps
from tests.kargo.world import HOUR, MINUTE, World

pytest.importorskip("image_factory_github", reason="the plugin github is not installed")
pytest.importorskip("image_factory_gitlab", reason="the plugin gitlab is not installed")
pytest.importorskip("image_factory_synth", reason="synth is not installed")
pytest.importorskip("image_factory_yaml", reason="the plugin yaml is not installed")

# Kargo's yaml-update keeps comments, but for one behind the value that it changes.
VALUES = "# the shop\nimage:\n  repository: ghcr.io/acme/web\n  tag: 1.0.0\n"


def shown(folder: Path, branch: str) -> str:
    words = ["git", "-C", str(folder), "show", f"{branch}:values.yaml"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def begun(world: World, steps: Steps, mode: str) -> Cluster:
    """Return a cluster in which the published version of web is known, and carried to acme/deploy."""
    world.github.repositories.create("acme/deploy.git", {"values.yaml": VALUES})
    update = {"repo": "acme/deploy", "path": "values.yaml", "type": "yaml-update", "key": "image.tag", "mode": mode}
    entry = world.managed("web", "FROM alpine:3.22\n", updates=[update])
    world.enroll(entry)
    world.run("analyze", "--image=web", "--tag=1.0.0", "--push")
    return world.begin(steps, entry)


def test_a_published_version_is_pushed_to_a_consumer_once_it_is_analyzed(world: World, steps: Steps) -> None:
    cluster = begun(world, steps, "push")
    deploy = world.github.repositories.path("acme/deploy.git")
    assert shown(deploy, "main") == VALUES

    world.publish("acme/web", "web 1.1.0", "1.1.0", "latest")
    cluster.advance(12 * MINUTE)

    assert shown(deploy, "main") == VALUES.replace("1.0.0", "1.1.0")
    cluster.advance(HOUR)
    commits = subprocess.run(
        ["git", "-C", str(deploy), "log", "--format=%s", "main"], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert len(commits) == 2
    assert "web" in commits[0]
    assert "1.1.0" in commits[0]


def test_a_version_whose_analysis_failed_reaches_no_consumer(world: World, steps: Steps) -> None:
    cluster = begun(world, steps, "push")
    deploy = world.github.repositories.path("acme/deploy.git")
    world.github.trouble(500, {"message": "down"}, matches="/repos/acme/web/", times=1000)

    world.publish("acme/web", "web 1.1.0", "1.1.0", "latest")
    cluster.advance(30 * MINUTE)

    assert shown(deploy, "main") == VALUES


def test_a_published_version_is_proposed_to_a_consumer_in_one_request(world: World, steps: Steps) -> None:
    cluster = begun(world, steps, "pr")
    deploy = world.github.repositories.path("acme/deploy.git")

    for version in ("1.1.0", "1.2.0"):
        world.publish("acme/web", f"web {version}", version, "latest")
        cluster.advance(12 * MINUTE)

    (pull,) = world.github.state("acme/deploy").pulls
    assert shown(deploy, pull.head) == VALUES.replace("1.0.0", "1.2.0")
    assert shown(deploy, "main") == VALUES
    world.github.settle_pull("acme/deploy", pull.number, merge=True)
    cluster.advance(30 * MINUTE)
    assert shown(deploy, "main") == VALUES.replace("1.0.0", "1.2.0")
    assert len(world.github.state("acme/deploy").pulls) == 1
