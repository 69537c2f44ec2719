"""A small world for use-cases: a real git repository of services, a real registry, a folder in a checkout."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from image_factory.builtins import builtin_plugins
from image_factory.model.image_state import Build, Consumer, ConsumerStatus
from image_factory.model.settings import Settings
from image_factory.plugins import PluginTable, load_plugins
from image_factory.shell.http import HttpClient
from image_factory.shell.store import Store
from image_factory.state.merge import record_build, record_rebuild
from image_factory.testing.clock import FixedClock
from image_factory.testing.git_server import GitServer
from image_factory.testing.github_server import GitHubServer
from image_factory.testing.registry_server import RegistryServer
from image_factory.usecases.analyze import analyze
from image_factory.usecases.update import Updated, update_consumers
from image_factory.usecases.workbench import Workbench

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=Someone", "-c", "user.email=someone@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


@dataclass
class World:
    """Services with Dockerfiles in one repository, and an image-factory folder in another."""

    services: Path
    checkout: Path
    registry: RegistryServer
    now: datetime = START
    plugins: Mapping[str, object] = field(default_factory=dict)
    clients: list[HttpClient] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.checkout / "image-factory"

    def service(self, name: str, dockerfile: str) -> None:
        """Add or change a service's Dockerfile, and commit it."""
        (self.services / name).mkdir(exist_ok=True)
        (self.services / name / "Dockerfile").write_text(dockerfile)
        git(self.services, "add", ".")
        git(self.services, "commit", "--quiet", "--message", f"Change {name}")

    def enroll(self, *entries: Mapping[str, Any] | str) -> None:
        """Write images.yaml: a name stands for a managed image from the service of that name."""
        import yaml

        listed = [self.managed(entry) if isinstance(entry, str) else dict(entry) for entry in entries]
        self.root.mkdir(exist_ok=True)
        (self.root / "images.yaml").write_text(yaml.safe_dump(listed, sort_keys=False))

    def managed(self, name: str, **fields: Any) -> dict[str, Any]:
        source = {"provider": "git", "repo": str(self.services), "dockerfile": f"{name}/Dockerfile"}
        return {
            "name": name,
            "registry": "ghcr.io",
            "repository": f"acme/{name}",
            "source": source | fields.pop("source", {}),
            **fields,
        }

    def bench(self) -> Workbench:
        settings = Settings.model_validate(
            {"registries": {host: {"endpoint": self.registry.url} for host in ("docker.io", "ghcr.io", "quay.io")}}
        )
        clock = FixedClock(self.now)

        def load() -> PluginTable:
            plugins = {**builtin_plugins(), **self.plugins}
            return load_plugins(settings, self.client(settings, clock), clock, builtins=plugins, found=())

        return Workbench(self.root, settings, Store(self.root, settings), clock, load)

    def client(self, settings: Settings, clock: FixedClock) -> HttpClient:
        """Return an HTTP client that is closed with the world."""
        self.clients.append(HttpClient(settings, clock))
        return self.clients[-1]

    def later(self, **time: float) -> None:
        self.now += timedelta(**time)

    def state(self, path: str) -> str:
        return (self.root / "state" / path).read_text()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    services, checkout = tmp_path / "services", tmp_path / "checkout"
    for folder in (services, checkout):
        folder.mkdir()
        git(folder, "init", "--quiet", "--initial-branch=main")
    with RegistryServer() as registry:
        world = World(services, checkout, registry)
        yield world
        for client in world.clients:
            client.close()


@pytest.fixture
def commits(world: World) -> Callable[[], list[str]]:
    return lambda: git(world.checkout, "log", "--format=%s").splitlines()


POD = "# ours\nspec:\n  image: ghcr.io/acme/web:1.0.0 # front\n"
VALUES = "image:\n  repository: ghcr.io/acme/api\n  tag: 1.0.0\n  digest: ''\n"
CONSUMERS = {"pod.yaml": POD, "values.yaml": VALUES, "overlays/kustomization.yaml": "resources: []\n"}


@dataclass
class Deploy:
    """The world, and a repository of consumers: `deploy.git` at a git server, or `acme/deploy` at a GitHub."""

    world: World
    repositories: GitServer
    github: GitHubServer | None = None

    @property
    def name(self) -> str:
        return "deploy.git" if self.github is None else "acme/deploy.git"

    @property
    def repo(self) -> str:
        return self.repositories.url("deploy.git") if self.github is None else "acme/deploy"

    def entry(self, **fields: Any) -> dict[str, Any]:
        mode = {} if self.github is None else {"mode": "pr"}
        return {"repo": self.repo, "path": "pod.yaml", "type": "yaml-update", **mode, **fields}

    def values(self, **fields: Any) -> dict[str, Any]:
        return self.entry(path="values.yaml", type="helm-update-image", **fields)

    def image(self, *updates: dict[str, Any], name: str = "web", **fields: Any) -> dict[str, Any]:
        source = {}
        if self.github is not None:
            source = {"source": {"provider": "github", "host": self.github.url, "repo": f"acme/{name}"}}
            source["source"]["dockerfile"] = "Dockerfile"
        return self.world.managed(name, updates=list(updates) or [self.entry()], **source, **fields)

    def begin(self, *images: dict[str, Any], version: str | None = "1.1.0", digest: str | None = None) -> None:
        """Enroll images, analyze them, and let each have a version."""
        for entry in images:
            if self.github is None:
                self.world.service(entry["name"], "FROM node:22\n")
            else:
                self.repositories.create(f"acme/{entry['name']}.git", {"Dockerfile": "FROM node:22\n"})
        self.world.enroll(*images)
        bench = self.world.bench()
        bench.store.apply(analyze(bench).changes)
        for entry in images:
            self.build(entry["name"], version, digest)

    def build(self, name: str, version: str | None, digest: str | None = None, build: Build | None = None) -> None:
        """Let an image have another version, and the record of what built it."""
        bench = self.world.bench()
        state = record_build(bench.store.images().records[name], version=version, digest=digest, at=self.world.now)
        bench.store.apply(bench.store.plan([state if build is None else record_rebuild(state, build)]))

    def update(self, *names: str, is_lost: bool = False) -> Updated:
        """Run the step; `is_lost` stands for a run that was stopped before it could write what it did."""
        bench = self.world.bench()
        updated = update_consumers(bench, names)
        if not is_lost:
            bench.store.apply(updated.changes)
        return updated

    def commit(self, path: str, text: str | bytes | None, **more: Any) -> str:
        """Let somebody else change a file on the branch."""
        return self.repositories.commit(self.name, {path: text}, "By hand", branch=more.pop("branch", "main"), **more)

    def git(self, *words: str) -> str:
        return git(self.repositories.path(self.name), *words)

    def text(self, path: str = "pod.yaml", branch: str = "main") -> str:
        return self.git("show", f"{branch}:{path}")

    def bytes(self, path: str, branch: str = "main") -> bytes:
        folder = self.repositories.path(self.name)
        return subprocess.run(["git", "show", f"{branch}:{path}"], cwd=folder, check=True, capture_output=True).stdout

    def subjects(self, branch: str = "main") -> list[str]:
        return self.git("log", "--format=%s", branch).splitlines()

    def consumers(self, name: str = "web") -> tuple[Consumer, ...]:
        return self.world.bench().store.images().records[name].runtime.consumers

    def statuses(self, name: str = "web") -> list[ConsumerStatus]:
        return [consumer.status for consumer in self.consumers(name)]


@pytest.fixture
def updaters(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Load the updaters' plugins, and keep mirrors out of the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("yaml", "helm", "kustomize"):
        plugin = pytest.importorskip(f"image_factory_{name}", reason=f"the plugin {name} is not installed")
        world.plugins = {**world.plugins, name: plugin}


@pytest.fixture
def deploy(world: World, tmp_path: Path, updaters: None) -> Iterator[Deploy]:
    with GitServer(tmp_path / "remotes") as server:
        server.create("deploy.git", CONSUMERS)
        yield Deploy(world, server)


@pytest.fixture
def github_deploy(world: World, tmp_path: Path, updaters: None) -> Iterator[Deploy]:
    github = pytest.importorskip("image_factory_github", reason="the plugin github is not installed")
    world.plugins = {**world.plugins, "github": github}
    with GitHubServer(tmp_path / "remotes") as server:
        server.repositories.create("acme/deploy.git", CONSUMERS)
        yield Deploy(world, server.repositories, server)
