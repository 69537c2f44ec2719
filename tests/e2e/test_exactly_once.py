"""A rebuild is started and recorded exactly once, wherever a run is killed and whatever fails on its way.

coordinate → dispatch → settle, and `run`, which does all of it, on a GitHub, a registry and a bare git
repository. At each write, each call of git, each connection and each request the program is killed, or
that touch fails, or its answer is lost; then it runs again, as a cron job would. The judge: one build
for the request, one entry of history, one request file, all of it pushed, nothing left lying about.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from image_factory.testing.faults import Fault, Point, Session, Sessions
from image_factory.testing.github_server import GitHubServer, RepositoryState
from image_factory.testing.image_content import build_image
from image_factory.testing.quick_folder import quick_folder
from image_factory.testing.registry_server import RegistryServer
from image_factory_cli.group import run

pytest.importorskip("image_factory_github", reason="the plugin github is not installed")
pytest.importorskip("image_factory_ghcr", reason="the plugin ghcr is not installed")

TOKEN = "ghp_plantedFaultsT0ken"
WORKFLOW = (
    "name: b\nrun-name: ${{ inputs.request_id }}\non: {workflow_dispatch: {inputs: {request_id: {}, base_images: {},"
    " version_bump: {}, triggered_by: {}, base_image: {}, image: {}}}}\njobs: {}\n"
)
START = [["coordinate", "--push", "--no-notify"], ["dispatch", "--push", "--no-notify", "--jobs", "1"]]
END = [["settle", "--push", "--no-notify", "--jobs", "1"]]
RUN = [["run", "--push", "--no-notify", "--jobs", "1"]]
STARTS = pytest.mark.parametrize("commands", [START, RUN], ids=["steps", "run"])
ENDS = pytest.mark.parametrize("commands", [END, RUN], ids=["steps", "run"])
EVERY = int(os.environ.get("IMAGE_FACTORY_FAULTS_EVERY", "43"))
"""Every how manieth point is tried: all of them with 1, which takes long."""
REQUESTS = min(EVERY, 4)
"""Every how manieth request."""
SEED = int(os.environ.get("IMAGE_FACTORY_FAULTS_SEED", f"{time.time() // 86_400:.0f}"))
"""Which of them: others each day, so that all have been tried in time."""
SHARD, SHARDS = map(int, os.environ.get("IMAGE_FACTORY_FAULTS_SHARD", "1/1").split("/"))
"""Which part of the points to try of how many: `2/4` is the second quarter."""


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=Someone", "-c", "user.email=someone@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


@dataclass
class World:
    """A GitHub, a registry, and a checkout with one image that is due; put back to its beginning at will."""

    folder: Path
    github: GitHubServer
    registry: RegistryServer
    sessions: Sessions
    whole: dict[str, Session] = field(default_factory=dict)
    """What was not broken off, by what it was."""
    said: list[str] = field(default_factory=list)
    """What was said by those who ran again after the last that was broken off."""
    kept: dict[str, Any] = field(default_factory=dict)
    """The build that has ended."""

    @property
    def checkout(self) -> Path:
        return self.folder / "work" / "checkout"

    @property
    def remote(self) -> Path:
        return self.github.repositories.path("acme/platform.git")

    def keep(self, name: str) -> None:
        """Keep all as it is now, to be put back."""
        shutil.copytree(self.folder / "work", self.folder / name / "work", symlinks=True)
        shutil.copytree(self.remote, self.folder / name / "remote.git", symlinks=True)

    def put_back(self, name: str) -> None:
        for kept, place in (("work", self.folder / "work"), ("remote.git", self.remote)):
            shutil.rmtree(place)
            shutil.copytree(self.folder / name / kept, place, symlinks=True)

    def forget_runs(self) -> None:
        self.github.states["acme/web"] = RepositoryState()
        for tag in ("0.0.2", "latest"):
            self.registry.delete("acme/web", tag)

    def run(
        self, commands: list[list[str]], *, at: int | None = None, how: Fault = Fault.KILL, later: float = 60
    ) -> Session:
        folder = ["--image-factory-dir", str(self.checkout / "image-factory")]
        return self.sessions.run(
            [[*words, *folder] for words in commands],
            folder=self.folder / "session",
            at=at,
            how=how,
            environ={"PLANTED": TOKEN, "TMPDIR": str(self.folder)},
            later=timedelta(minutes=later),
        )

    def finish(self) -> None:
        """Let the build end well and publish."""
        (build,) = self.github.state("acme/web").runs
        labels = {"image-factory.io/request-id": build.inputs["request_id"]}
        self.registry.push("acme/web", ["0.0.2", "latest"], build_image(seed="new", labels=labels))
        self.github.finish("acme/web", build.id)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    patch = pytest.MonkeyPatch()
    for variable in ("IMAGE_FACTORY_DIR", "IMAGE_FACTORY_STATE_DIR", "IMAGES_YAML", "GITHUB_TOKEN", "GH_TOKEN"):
        patch.delenv(variable, raising=False)
    patch.setenv("PLANTED", TOKEN)
    with (
        quick_folder("image-factory-faults-") as folder,
        GitHubServer(folder / "github", token=TOKEN) as github,
        RegistryServer() as registry,
    ):
        config = {
            "coordinationWindow": "0s",
            "registries": {host: {"endpoint": registry.url} for host in ("docker.io", "ghcr.io")},
            "plugins": {"github": {"hosts": {github.url: {"tokenEnv": "PLANTED"}}}, "ghcr": {"api": registry.url}},
        }
        source = {"provider": "github", "host": github.url, "repo": "acme/web"}
        entry = {"name": "web", "registry": "ghcr.io", "repository": "acme/web", "rebuildDelay": "0s", "source": source}
        files = {
            "image-factory/images.yaml": yaml.safe_dump([entry]),
            "image-factory/config.yaml": yaml.safe_dump(config),
        }
        github.repositories.create("acme/platform.git", files)
        service = {"Dockerfile": "FROM alpine:3.22\n", ".github/workflows/web.yml": WORKFLOW}
        github.repositories.create("acme/web.git", service)
        sessions = Sessions([folder / "work"], preload=["image_factory_cli.commands.dispatch"])
        world = World(folder, github, registry, sessions)
        (folder / "work").mkdir()
        git(folder / "work", "clone", "--quiet", str(world.remote), "checkout")
        for seed in ("one", "two"):
            registry.push("library/alpine", ["3.22"], build_image(seed=seed))
            for command in (["analyze", "--push"], ["observe", "--push", "--no-notify"]):
                assert run([*command, "--image-factory-dir", str(world.checkout / "image-factory")]) == 0
        world.keep("due")
        yield world
    patch.undo()


def explored(points: tuple[Point, ...], how: Fault) -> list[Point]:
    """Return the points to try: what changes something outside always, of the others every so manieth.

    Only a request's answer is lost.
    """
    requests = [point for point in points if point.kind == "request"]
    every = min(REQUESTS, len(requests)) or 1  # one of them at least
    chosen = {point.number for at, point in enumerate(requests) if (at - SEED) % every == 0 or "POST" in str(point)}
    if how is not Fault.LOSE:
        chosen |= {point.number for point in points if (point.number - SEED) % EVERY == 0}
        # The last one: between a commit and what git's index knows of it.
        chosen |= set([point.number for point in points if "--index-info" in point.what][-1:])
    return [point for point in points if point.number in chosen][SHARD - 1 :: SHARDS]


def begin(world: World) -> None:
    world.put_back("due")
    world.forget_runs()


def run_again(world: World, commands: list[list[str]], status: str) -> None:
    """Run as a cron job would: at once, and when claims that were left behind are nobody's."""
    world.said.clear()
    for later in (62, 75, 90):
        session = world.run(commands, later=later)
        world.said.append(session.said)
        assert session.code == 0, session.said
        request = world.checkout / "image-factory/state/rebuild-requests/web.yaml"
        if yaml.safe_load(request.read_text())["status"] == status:
            return


def judge(world: World, result: str) -> None:
    builds = world.github.state("acme/web").runs
    state = yaml.safe_load(git(world.remote, "show", "main:image-factory/state/images/web.yaml"))
    request = yaml.safe_load(git(world.remote, "show", "main:image-factory/state/rebuild-requests/web.yaml"))
    assert len(builds) == 1, "exactly one build was started"
    assert [build["result"] for build in state["rebuildHistory"]] == [result]
    (told,) = state["rebuildHistory"]
    assert told["requestId"] == request["requestId"] == builds[0].inputs["request_id"]
    assert told["runId"] == str(builds[0].id)
    assert result != "succeeded" or state["currentVersion"] == "0.0.2"
    assert git(world.checkout, "status", "--short") == "", "nothing is left uncommitted"
    assert git(world.checkout, "rev-parse", "HEAD") == git(world.remote, "rev-parse", "main"), "all is pushed"
    assert list(world.checkout.glob("image-factory/state/**/*.tmp")) == []


def unbroken_start(world: World, commands: list[list[str]]) -> Session:
    """Return what starting the rebuild comes to that nothing stops, judged once."""
    what = f"start {commands}"
    if what not in world.whole:
        begin(world)
        whole = world.run(commands)
        assert whole.code == 0, whole.said
        judge(world, "started")
        kinds = {point.kind for point in whole.points}
        assert {"write", "rename", "program", "connect", "request"} <= kinds
        world.whole[what] = whole
    return world.whole[what]


def unbroken_end(world: World, commands: list[list[str]]) -> Session:
    """Let the world be one whose build has ended; return what recording that comes to that nothing stops."""
    what = f"end {commands}"
    begin(world)
    if "build" not in world.kept:
        assert world.run(START).code == 0
        world.finish()
        world.keep("built")
        world.kept["build"] = world.github.state("acme/web")
        world.kept["labels"] = {"image-factory.io/request-id": world.kept["build"].runs[0].inputs["request_id"]}
    else:
        world.github.states["acme/web"] = world.kept["build"]
        world.registry.push("acme/web", ["0.0.2", "latest"], build_image(seed="new", labels=world.kept["labels"]))
    world.put_back("built")
    if what not in world.whole:
        whole = world.run(commands)
        assert whole.code == 0, whole.said
        judge(world, "succeeded")
        world.whole[what] = whole
    return world.whole[what]


@pytest.mark.parametrize("how", list(Fault))
@STARTS
def test_a_rebuild_is_started_once_wherever_it_is_stopped(world: World, how: Fault, commands: list[list[str]]) -> None:
    whole = unbroken_start(world, commands)

    tried = 0
    for point in explored(whole.points, how):
        begin(world)
        session = world.run(commands, at=point.number, how=how)
        if len(session.points) < point.number:
            continue  # a cache is written when its files are old enough, so that a session may have fewer points
        tried += 1
        assert session.is_killed == (how is Fault.KILL), f"{point}: {session.said}"
        try:
            run_again(world, commands, "dispatched")
            judge(world, "started")
        except AssertionError as error:
            raise AssertionError(f"{how} at {point} (seed {SEED}):\n{session.said}\n{world.said}\n{error}") from error
    assert tried >= (1 if SHARDS == 1 else 0)


@pytest.mark.parametrize("how", list(Fault))
@ENDS
def test_its_end_is_recorded_once_wherever_that_is_stopped(world: World, how: Fault, commands: list[list[str]]) -> None:
    whole = unbroken_end(world, commands)

    tried = 0
    for point in explored(whole.points, how):
        world.put_back("built")
        session = world.run(commands, at=point.number, how=how)
        if len(session.points) < point.number:
            continue
        tried += 1
        assert session.is_killed == (how is Fault.KILL), f"{point}: {session.said}"
        try:
            run_again(world, commands, "succeeded")
            judge(world, "succeeded")
        except AssertionError as error:
            raise AssertionError(f"{how} at {point} (seed {SEED}):\n{session.said}\n{world.said}\n{error}") from error
    assert tried >= (1 if SHARDS == 1 else 0)
