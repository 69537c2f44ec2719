"""The whole job on a GitHub, a registry and a git remote: a base moves, time passes, a build is started once."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from image_factory.builtins import builtin_plugins
from image_factory.plugins import PluginTable, load_plugins
from image_factory.shell.http import HttpClient
from image_factory.shell.settings import load_settings
from image_factory.shell.store import Store
from image_factory.testing.clock import START, FixedClock
from image_factory.testing.github_server import GitHubServer
from image_factory.testing.image_content import build_image
from image_factory.testing.registry_server import RegistryServer
from image_factory.usecases.analyze import analyze
from image_factory.usecases.observe import observe
from image_factory.usecases.run import Manner, Ran, run
from image_factory.usecases.workbench import Workbench
from image_factory_cli.group import run as run_command

pytest.importorskip("image_factory_github", reason="the plugin github is not installed")
pytest.importorskip("image_factory_ghcr", reason="the plugin ghcr is not installed")

TOKEN = "ghp_plantedRunT0ken"
WORKFLOW = (
    "name: b\nrun-name: ${{ inputs.request_id }}\non: {workflow_dispatch: {inputs: {request_id: {}, base_images: {},"
    " version_bump: {}, triggered_by: {}, base_image: {}, image: {}}}}\njobs: {}\n"
)


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=Someone", "-c", "user.email=someone@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def managed(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "registry": "ghcr.io",
        "repository": f"acme/{name}",
        "source": {"provider": "github", "repo": f"acme/{name}"},
        **fields,
    }


@dataclass
class World:
    """A GitHub with the state repository and the images', a registry, and checkouts of the former."""

    folder: Path
    github: GitHubServer
    registry: RegistryServer
    clock: FixedClock
    closing: list[Callable[[], None]] = field(default_factory=list)

    def checkout(self, name: str = "checkout") -> Path:
        """Return a clone of the state repository, made where it is not there yet."""
        place = self.folder / name
        if not place.exists():
            git(self.folder, "clone", "--quiet", str(self.github.repositories.path("acme/platform.git")), str(place))
        return place

    def bench(self, name: str = "checkout") -> Workbench:
        root = self.checkout(name) / "image-factory"
        settings = load_settings(root, {"PLANTED": TOKEN}, {})

        def load() -> PluginTable:
            client = HttpClient(settings, self.clock)
            self.closing.append(client.close)
            table = load_plugins(settings, client, self.clock, builtins=builtin_plugins())
            self.closing += [getattr(source, "close", client.close) for source in table.sources.values()]
            return table

        return Workbench(root, settings, Store(root, settings), self.clock, load)

    def run(self, name: str = "checkout", **manner: Any) -> Ran:
        return run(self.bench(name), Manner(push=True, **manner))

    def publish(self, reference: str, seed: str, labels: dict[str, str] | None = None) -> str:
        path, _, tag = reference.partition(":")
        return str(self.registry.push(path, [tag], build_image(seed=seed, labels=labels or {})))

    def finish(self, image: str, version: str) -> str:
        """End the image's newest build as its workflow would: publish what the request asked for."""
        newest = self.github.state(f"acme/{image}").runs[-1]
        labels = {"image-factory.io/request-id": newest.inputs["request_id"]}
        digest = self.publish(f"acme/{image}:{version}", newest.inputs["request_id"], labels)
        self.github.finish(f"acme/{image}", newest.id)
        return digest

    def state(self, image: str, name: str = "checkout", folder: str = "images") -> Any:
        return yaml.safe_load((self.checkout(name) / f"image-factory/state/{folder}/{image}.yaml").read_text())

    def remote(self, *words: str) -> str:
        return git(self.github.repositories.path("acme/platform.git"), *words)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("PLANTED", TOKEN)
    for variable in ("IMAGE_FACTORY_DIR", "IMAGE_FACTORY_STATE_DIR", "IMAGES_YAML", "GITHUB_TOKEN", "GH_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    with GitHubServer(tmp_path / "github", token=TOKEN) as github, RegistryServer() as registry:
        config = {
            "registries": {host: {"endpoint": registry.url} for host in ("docker.io", "ghcr.io")},
            "plugins": {"github": {"hosts": {github.url: {"tokenEnv": "PLANTED"}}}, "ghcr": {"api": registry.url}},
        }
        entries = [managed("web"), managed("api", rebuildDelay="1d")]
        for entry in entries:
            entry["source"]["host"] = github.url
        files = {
            "image-factory/images.yaml": yaml.safe_dump(entries),
            "image-factory/config.yaml": yaml.safe_dump(config),
        }
        github.repositories.create("acme/platform.git", files)
        for image in ("web", "api"):
            sources = {"Dockerfile": "FROM node:22\n", f".github/workflows/{image}.yml": WORKFLOW}
            github.repositories.create(f"acme/{image}.git", sources)
        made = World(tmp_path, github, registry, FixedClock(START))
        made.publish("library/node:22", "one")
        for image in ("web", "api"):
            made.publish(f"acme/{image}:0.1.0", image)
        yield made
        for close in made.closing:
            close()


def test_a_base_that_moves_is_taken_in_once_it_has_aged_and_not_before(world: World) -> None:
    first = world.run()
    assert [made.pushed for made in first.commits] == [True]
    second = world.publish("library/node:22", "two")
    world.clock.advance(timedelta(days=1, minutes=1))
    world.run()
    assert world.github.state("acme/web").runs == []

    world.clock.advance(timedelta(days=1))
    world.run()  # within the window of api, whose delay is a day
    world.clock.advance(timedelta(minutes=31))
    world.run()
    assert len(world.github.state("acme/api").runs) == 1
    assert world.github.state("acme/web").runs == []

    world.finish("api", "0.1.1")
    world.clock.advance(timedelta(days=6))
    for _ in range(3):
        world.clock.advance(timedelta(minutes=31))
        world.run()
    (built,) = world.github.state("acme/web").runs
    assert json.loads(built.inputs["base_images"])[0]["digest"] == second

    # What is to be started is written before it is started, and named.
    subjects = world.remote("log", "--format=%s").splitlines()
    assert "Run: coordinate 1" in subjects
    assert "Run: dispatch 1" in subjects
    assert "Run: finish what was begun" not in subjects

    digest = world.finish("web", "0.1.1")
    world.clock.advance(timedelta(minutes=10))
    world.run()
    state = world.state("web")
    assert (state["currentVersion"], state["currentDigest"]) == ("0.1.1", digest)
    (build,) = state["rebuildHistory"]
    assert (build["result"], build["digest"], build["runId"]) == ("succeeded", digest, str(built.id))
    assert build["causes"][0]["to"] == second

    world.clock.advance(timedelta(days=30))
    world.run()
    assert len(world.github.state("acme/web").runs) == 1


def test_a_run_that_learns_nothing_changes_no_byte_and_makes_no_commit(world: World) -> None:
    world.run()
    head = world.remote("rev-parse", "main")
    world.clock.advance(timedelta(days=2))

    again = world.run()

    assert again.commits == ()
    assert world.remote("rev-parse", "main") == head


def test_the_intent_is_on_the_remote_before_a_build_is_started(world: World) -> None:
    world.run()
    world.publish("library/node:22", "two")
    world.clock.advance(timedelta(days=2))
    world.run()
    world.clock.advance(timedelta(days=2))

    ran = world.run()

    assert [made.pushed for made in ran.commits] == [True, True]
    (built,) = world.github.state("acme/api").runs
    before = world.remote("show", "main~1:image-factory/state/rebuild-requests/api.yaml")
    assert built.inputs["request_id"] in before
    assert "status: dispatching" in before
    assert "status: dispatched" in world.remote("show", "main:image-factory/state/rebuild-requests/api.yaml")


def test_nothing_is_started_where_the_intent_cannot_be_pushed(world: World) -> None:
    world.run()
    world.publish("library/node:22", "two")
    world.clock.advance(timedelta(days=2))
    world.run()
    world.clock.advance(timedelta(days=2))
    bare = world.github.repositories.path("acme/platform.git")
    hook = bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)

    with pytest.raises(Exception, match="cannot push"):
        world.run()
    assert world.github.state("acme/api").runs == []

    hook.unlink()
    world.clock.advance(timedelta(minutes=11))
    world.run()
    assert len(world.github.state("acme/api").runs) == 1


def test_two_runs_on_two_clones_start_a_build_once(world: World) -> None:
    world.run()
    world.publish("library/node:22", "two")
    world.clock.advance(timedelta(days=2))
    world.run()
    world.clock.advance(timedelta(days=2))
    git(world.checkout("other"), "pull", "--quiet")

    world.run("checkout")
    world.run("other")  # it does not know of the first, and its push is refused

    assert len(world.github.state("acme/api").runs) == 1
    requested = world.state("api", "other", "rebuild-requests")["requestId"]
    assert requested == world.github.state("acme/api").runs[0].inputs["request_id"]


@pytest.mark.parametrize("learns", [observe, analyze], ids=["observe", "analyze"])
def test_a_step_with_eight_jobs_writes_what_it_writes_with_one(world: World, learns: Callable[..., Any]) -> None:
    many(world)

    written = []
    for jobs in (1, 8):
        bench = world.bench(f"jobs-{jobs}")
        bench.store.apply(analyze(bench).changes)
        learned = learns(world.bench(f"jobs-{jobs}"), jobs=jobs)
        written.append(
            ([(change.path, change.new) for change in learned.changes], [str(one) for one in learned.outcomes])
        )

    assert written[0] == written[1]


def test_a_run_with_eight_jobs_writes_what_it_writes_with_one(world: World) -> None:
    many(world)

    for name, jobs in (("one", 1), ("eight", 8)):
        run(world.bench(name), Manner(jobs=jobs, commit=False, notify=False))
    world.publish("library/many:0", "moved")
    world.publish("library/many:7", "moved too")
    world.clock.advance(timedelta(days=2))
    for name, jobs in (("one", 1), ("eight", 8)):
        run(world.bench(name), Manner(jobs=jobs, commit=False, notify=False))

    one, eight = (tree(world.checkout(name) / "image-factory" / "state") for name in ("one", "eight"))
    assert len(one) > 20
    assert one == eight


def many(world: World) -> None:
    """Enroll ten more images, each on a base of its own, one of which nothing is published of, and push that."""
    place = world.checkout("enrolling")
    entries = yaml.safe_load((place / "image-factory/images.yaml").read_text())
    for number in range(10):
        entry = managed(f"many-{number}")
        entry["source"]["host"] = world.github.url
        entries.append(entry)
        dockerfile = f"FROM many:{number}\nCOPY --from=node:22 /a /a\n"
        world.github.repositories.create(f"acme/many-{number}.git", {"Dockerfile": dockerfile})
        if number != 5:
            world.publish(f"library/many:{number}", str(number))
    (place / "image-factory/images.yaml").write_text(yaml.safe_dump(entries))
    git(place, "commit", "--quiet", "--all", "--message", "Enroll many")
    git(place, "push", "--quiet")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_rehearsal_prints_the_plan_and_touches_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(world.checkout() / "image-factory")
    exchanged = {each.method for each in world.github.exchanges}

    code = run_command(["run", "--dry-run", "--image-factory-dir", folder])

    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    assert "+++ b/state/images/web.yaml" in out
    assert "built on node-22" in out
    assert git(world.checkout(), "status", "--short") == ""
    assert {each.method for each in world.github.exchanges} - exchanged <= {"GET"}


def test_a_run_says_each_step_and_what_waits(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(world.checkout() / "image-factory")
    assert run_command(["run", "--push", "--image-factory-dir", folder]) == 0
    assert "committed" in capsys.readouterr().out
    world.publish("library/node:22", "two")
    assert run_command(["observe", "--push", "--image-factory-dir", folder]) == 0
    capsys.readouterr()

    assert run_command(["run", "--push", "--image-factory-dir", folder]) == 0

    out = capsys.readouterr().out
    assert "web cooling-down until " in out
    assert run_command(["run", "--push", "--json", "--image-factory-dir", folder]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {one["image"]: one["reason"] for one in told["decisions"]} == {"api": "cooling-down", "web": "cooling-down"}
    assert told["nextAt"]


def test_what_a_run_starts_is_not_said_to_wait(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    folder = world.checkout() / "image-factory"
    assert run_command(["run", "--push", "--image-factory-dir", str(folder)]) == 0
    request = folder / "state/rebuild-requests/web.yaml"
    request.parent.mkdir()
    request.write_text(
        "name: web\nrequestId: web-r1\nstatus: requested\nrequestedAt: '2026-03-01T12:00:00Z'\nreason: due\n"
    )
    capsys.readouterr()

    assert run_command(["run", "--push", "--image-factory-dir", str(folder)]) == 0

    out = capsys.readouterr().out
    assert "web: rebuild is started (web-r1)" in out
    assert "  web requested" not in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["--interval", "10m", "--once"], "leave one of them out", id="both once and again"),
        pytest.param(["--interval", "1s"], "give 10s or more", id="too often"),
        pytest.param(["--interval", "soon"], "not a duration", id="no duration"),
    ],
)
def test_a_wrong_interval_is_refused(
    world: World, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    folder = str(world.checkout() / "image-factory")

    assert run_command(["run", *words, "--image-factory-dir", folder]) == 2
    assert said in capsys.readouterr().err
