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
from image_factory.model.settings import Settings
from image_factory.plugins import PluginTable, load_plugins
from image_factory.shell.http import HttpClient
from image_factory.shell.store import Store
from image_factory.testing.clock import FixedClock
from image_factory.testing.registry_server import RegistryServer
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
