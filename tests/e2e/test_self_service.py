"""Self-service, whole: enroll by pull request → merge → analyze → rebuild a moved base → its run → the new version."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from image_factory.testing.github_server import GitHubServer
from image_factory.testing.image_content import build_image
from image_factory.testing.registry_server import RegistryServer
from image_factory_cli.group import run

pytest.importorskip("image_factory_github", reason="the plugin github is not installed")

TOKEN = "ghp_plantedSelfServiceT0ken"
OURS = "# the platform's images\n- name: redis # the cache\n  repository: library/redis\n  tag: 7-alpine\n"


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=Someone", "-c", "user.email=someone@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


@dataclass
class World:
    """A GitHub with the state repository and a service, a checkout of the former, and a registry."""

    github: GitHubServer
    registry: RegistryServer
    checkout: Path
    capture: pytest.CaptureFixture[str] = field(repr=False)

    def run(self, *words: str, code: int = 0) -> str:
        self.capture.readouterr()
        ended = run([*words, "--image-factory-dir", str(self.checkout / "image-factory")])
        out, err = self.capture.readouterr()
        assert ended == code, out + err
        assert TOKEN not in out + err
        return out + err

    def publish(self, reference: str, seed: str) -> str:
        path, _, tag = reference.partition(":")
        return str(self.registry.push(path, [tag], build_image(seed=seed)))

    def state(self) -> Any:
        return yaml.safe_load((self.checkout / "image-factory/state/images/web.yaml").read_text())

    def methods(self, path: str) -> list[str]:
        return [each.method for each in self.github.exchanges if path in each.path]


ENROLL = [
    *("enroll", "web", "--registry", "ghcr.io", "--repository", "acme/web", "--delay", "0"),
    *("--source-repo", "acme/web", "--owner", "team-web"),
]


@pytest.fixture
def world(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("PLANTED", TOKEN)
    for variable in ("IMAGE_FACTORY_DIR", "IMAGE_FACTORY_STATE_DIR", "IMAGES_YAML", "GITHUB_TOKEN", "GH_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    with GitHubServer(tmp_path / "github", token=TOKEN) as github, RegistryServer() as registry:
        config = {
            "registries": {host: {"endpoint": registry.url} for host in ("docker.io", "ghcr.io")},
            "plugins": {"github": {"hosts": {github.url: {"tokenEnv": "PLANTED"}}}, "ghcr": {"api": registry.url}},
        }
        files = {"image-factory/images.yaml": OURS, "image-factory/config.yaml": yaml.safe_dump(config)}
        github.repositories.create("acme/platform.git", files)
        github.repositories.create("acme/web.git", {"Dockerfile": "FROM node:22 AS build\nFROM alpine:3.22\n"})
        checkout = tmp_path / "checkout"
        git(tmp_path, "clone", "--quiet", str(github.repositories.path("acme/platform.git")), str(checkout))
        git(checkout, "remote", "set-url", "origin", f"{github.url}/acme/platform.git")
        yield World(github, registry, checkout, capsys)


def test_from_a_pull_request_to_a_new_version(world: World, tmp_path: Path) -> None:
    host = ("--source-host", world.github.url)

    # A pull request, and nothing written here.
    said = world.run(*ENROLL, *host, "--pr")
    (pull,) = world.github.state("acme/platform").pulls
    assert f"opened {world.github.url}/acme/platform/pull/{pull.number}" in said
    assert pull.head == "image-factory/enroll-web"
    assert "Enrolls **web**, the image `ghcr.io/acme/web`" in pull.body
    assert "- name: web" in pull.body
    assert git(world.checkout, "status", "--short") == ""

    # Merged: only lines are added.
    bare = world.github.repositories.path("acme/platform.git")
    changed = git(bare, "diff", "--numstat", "main", pull.head)
    assert changed.split()[1:] == ["0", "image-factory/images.yaml"]
    world.github.repositories.branch("acme/platform.git", {"main": git(bare, "rev-parse", pull.head).strip()})
    git(world.checkout, "pull", "--quiet", str(bare), "main")
    assert "already" in world.run(*ENROLL, *host, "--pr", code=2)

    # Its workflow, committed to its repository.
    target = tmp_path / "web.yml"
    world.run("workflow", "web", "--output", str(target))
    world.github.repositories.commit("acme/web.git", {".github/workflows/web.yml": target.read_text()}, "Build")

    # Analyzed and observed; then a base moves.
    first = world.publish("library/alpine:3.22", "one")
    world.publish("library/node:22", "node")
    world.publish("library/redis:7-alpine", "redis")
    world.run("analyze")
    world.run("observe")
    assert "not eligible" in world.run("rebuild", "web", code=4)
    second = world.publish("library/alpine:3.22", "two")
    world.run("observe", "--base", "alpine-3-22", "--digest", second)

    # What would be sent, and what is.
    rehearsed = world.run("rebuild", "web", "--dry-run")
    assert f"POST {world.github.url}/api/v3/repos/acme/web/actions/workflows/web.yml/dispatches" in rehearsed
    assert "Authorization: Bearer ••••••" in rehearsed
    assert world.github.state("acme/web").runs == []
    world.run("rebuild", "web")
    (started,) = world.github.state("acme/web").runs
    pairs = {each["reference"]: each for each in json.loads(started.inputs["base_images"])}
    assert pairs["docker.io/library/alpine:3.22"] == {
        "reference": "docker.io/library/alpine:3.22",
        "digest": second,
        "role": "final",
    }
    assert started.inputs["request_id"] in started.title
    (build,) = world.state()["rebuildHistory"]
    assert (build["requestId"], build["runId"]) == (started.inputs["request_id"], str(started.id))
    cause = build["causes"][0]
    assert (cause["base"], cause["from"], cause["to"]) == ("alpine-3-22", first, second)
    assert git(world.checkout, "log", "-1", "--format=%s").strip() == "Rebuild web"

    # Its run is found, and may be started again once it has failed.
    world.github.finish("acme/web", started.id, "failure")
    assert f"{started.id}" in world.run("runs", "web")
    world.run("runs", "rerun", "web", str(started.id))
    assert world.methods(f"/actions/runs/{started.id}/rerun") == ["POST"]
    world.github.finish("acme/web", started.id)
    assert json.loads(world.run("runs", "web", "--json"))["runs"][0]["status"] == "succeeded"

    # The new version is handed over.
    digest = world.publish("acme/web:0.0.1", "web")
    world.run("analyze", "--image", "web", "--tag", "0.0.1", "--digest", digest)
    assert (world.state()["currentVersion"], world.state()["currentDigest"]) == ("0.0.1", digest)


def test_a_branch_is_removed_where_the_pull_request_is_refused(world: World) -> None:
    world.github.trouble(422, {"message": "Validation Failed"}, matches=r"^POST /repos/acme/platform/pulls")

    said = world.run(*ENROLL, "--pr", code=2)

    assert "422 Validation Failed" in said
    assert world.methods("/git/refs/heads/image-factory/enroll-web") == ["DELETE"]
    assert "enroll-web" not in git(world.github.repositories.path("acme/platform.git"), "branch")


@pytest.mark.parametrize(
    ("status", "headers", "said", "code"),
    [
        pytest.param(401, {}, "wrong or expired", 5, id="a bad token"),
        pytest.param(403, {}, "the token may not do this", 5, id="a token without the permission"),
        pytest.param(403, {"Retry-After": "60"}, "takes requests again in 60 s", 5, id="a secondary rate limit"),
        pytest.param(404, {}, "does not exist, or the token may not see it", 2, id="not there"),
        pytest.param(422, {}, "will refuse it again", 2, id="refused"),
        pytest.param(429, {"Retry-After": "30"}, "takes requests again in 30 s", 5, id="too many requests"),
        pytest.param(500, {}, "has trouble", 5, id="an outage"),
    ],
)
def test_what_the_provider_answers_is_said_with_what_to_do(
    world: World, status: int, headers: dict[str, str], said: str, code: int
) -> None:
    world.github.trouble(status, {"message": "No"}, headers=headers, matches=r"^POST .*/git/blobs", times=9)

    assert said in world.run(*ENROLL, "--pr", code=code)


def test_a_name_that_only_the_remote_branch_has_is_refused(world: World) -> None:
    entry = OURS + "- name: web\n  repository: library/web\n  tag: one\n"
    world.github.repositories.commit("acme/platform.git", {"image-factory/images.yaml": entry}, "Enroll web")

    assert "web is enrolled already" in world.run(*ENROLL, "--pr", code=2)
    assert world.github.state("acme/platform").pulls == []


def test_a_dry_run_of_a_pull_request_opens_none(world: World) -> None:
    said = world.run(*ENROLL, "--pr", "--dry-run")

    assert "+- name: web" in said
    assert [each.method for each in world.github.exchanges if each.method != "GET"] == []


def test_an_undeclared_input_is_left_out_with_a_warning_before_github_refuses_it(world: World) -> None:
    world.run(*ENROLL, "--source-host", world.github.url)
    workflow = "name: b\non: {workflow_dispatch: {inputs: {request_id: {}, version_bump: {}}}}\njobs: {}\n"
    world.github.repositories.commit("acme/web.git", {".github/workflows/web.yml": workflow}, "Build")
    world.run("analyze")

    said = world.run("rebuild", "web", "--force")

    assert "declares no input 'base_images'" in said
    assert set(world.github.state("acme/web").runs[0].inputs) == {"request_id", "version_bump"}


def test_a_refused_dispatch_is_said_with_status_words_and_request_and_recorded(world: World) -> None:
    world.run(*ENROLL, "--source-host", world.github.url)
    workflow = "name: b\non: {workflow_dispatch: {inputs: {request_id: {}}}}\njobs: {}\n"
    world.github.repositories.commit("acme/web.git", {".github/workflows/web.yml": workflow}, "Build")
    world.run("analyze")
    world.github.trouble(422, {"message": "Workflow is disabled"}, matches="dispatches")

    said = world.run("rebuild", "web", "--force", code=2)

    assert said.count("Workflow is disabled") == 1
    (build,) = world.state()["rebuildHistory"]
    assert build["result"] == "failed"
    assert f"422 Workflow is disabled (request {build['requestId']})" in said


def test_a_name_that_only_the_folder_has_is_refused_before_anybody_is_asked(world: World) -> None:
    world.run(*ENROLL)

    assert "web is enrolled already" in world.run(*ENROLL, "--pr", code=2)
    assert world.github.exchanges == []
