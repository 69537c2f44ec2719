"""Versions carried to consumers, over a real git server: once, in one commit, and never against anybody's will."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from image_factory.model.image_state import ConsumerStatus
from image_factory.state.merge import record_build
from image_factory.testing.git_server import GitServer
from image_factory.usecases.analyze import analyze
from image_factory.usecases.outcome import Done
from image_factory.usecases.update import Updated, update_consumers

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any

yaml_plugin = pytest.importorskip("image_factory_yaml", reason="the plugin yaml is not installed")
helm_plugin = pytest.importorskip("image_factory_helm", reason="the plugin helm is not installed")
kustomize_plugin = pytest.importorskip("image_factory_kustomize", reason="the plugin kustomize is not installed")

POD = "# ours\nspec:\n  image: ghcr.io/acme/web:1.0.0 # front\n"
VALUES = "image:\n  repository: ghcr.io/acme/api\n  tag: 1.0.0\n  digest: ''\n"
ONE, TWO = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


@dataclass
class Deploy:
    """The world, and a repository `deploy.git` of consumers at a git server."""

    world: World
    server: GitServer

    def enroll(self, *entries: dict[str, Any], name: str = "web", **fields: Any) -> dict[str, Any]:
        updates = [
            {"repo": self.server.url("deploy.git"), "path": "pod.yaml", "type": "yaml-update", **entry}
            for entry in entries or ({},)
        ]
        return self.world.managed(name, updates=updates, **fields)

    def begin(self, *enrolled: dict[str, Any], version: str = "1.1.0", digest: str = ONE) -> None:
        """Enroll images, analyze them, and let each have a version."""
        for entry in enrolled:
            self.world.service(entry["name"], "FROM node:22\n")
        self.world.enroll(*enrolled)
        bench = self.world.bench()
        bench.store.apply(analyze(bench).changes)
        for entry in enrolled:
            self.build(entry["name"], version, digest)

    def build(self, name: str, version: str | None, digest: str | None) -> None:
        bench = self.world.bench()
        state = bench.store.images().records[name]
        built = record_build(state, version=version, digest=digest, at=self.world.now)
        bench.store.apply(bench.store.plan([built]))

    def update(self, *names: str) -> Updated:
        bench = self.world.bench()
        updated = update_consumers(bench, names)
        bench.store.apply(updated.changes)
        return updated

    def git(self, *words: str) -> str:
        folder = self.server.path("deploy.git")
        return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout

    def text(self, path: str = "pod.yaml", branch: str = "main") -> str:
        return self.git("show", f"{branch}:{path}")

    def subjects(self, branch: str = "main") -> list[str]:
        return self.git("log", "--format=%s", branch).splitlines()

    def statuses(self, name: str = "web") -> list[ConsumerStatus]:
        state = self.world.bench().store.images().records[name]
        return [consumer.status for consumer in state.runtime.consumers]


@pytest.fixture
def deploy(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deploy]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    world.plugins = {"yaml": yaml_plugin, "helm": helm_plugin, "kustomize": kustomize_plugin}
    with GitServer(tmp_path / "remotes") as server:
        server.create(
            "deploy.git", {"pod.yaml": POD, "values.yaml": VALUES, "overlays/kustomization.yaml": "resources: []\n"}
        )
        yield Deploy(world, server)


def test_a_new_version_is_pushed_as_a_change_of_one_line(deploy: Deploy) -> None:
    deploy.begin(deploy.enroll())

    updated = deploy.update()

    assert deploy.text() == POD.replace("1.0.0", "1.1.0")
    assert deploy.subjects() == ["Update web to 1.1.0 in pod.yaml", "Begin"]
    assert deploy.statuses() == [ConsumerStatus.PUSHED]
    assert [type(outcome) for outcome in updated.outcomes] == [Done]
    assert [event.image for event in updated.events] == ["web"]
