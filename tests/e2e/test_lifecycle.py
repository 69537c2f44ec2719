"""What images become, seen in the Kargo resources: the diff before and after each transition."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from image_factory_cli.group import run

pytest.importorskip("image_factory_synth", reason="image-factory-synth is not installed")

from image_factory_synth.node import NoNode, find_node

try:
    find_node()
except NoNode as none:
    pytest.skip(f"{none.message}: {none.hint}", allow_module_level=True)

DOCKERFILES = {"web": "FROM node:22\n", "api": "FROM ghcr.io/acme/web:1\n", "uv": "FROM alpine:3.20\n"}


@dataclass
class Folder:
    """An image-factory folder, and the services that its images are built from."""

    root: Path
    services: Path

    def entry(self, name: str, **fields: Any) -> dict[str, Any]:
        source = {"provider": "git", "repo": str(self.services), "dockerfile": name}
        entry = {"name": name, "registry": "ghcr.io", "repository": f"acme/{name}", "source": source, **fields}
        return {key: value for key, value in entry.items() if value is not None}

    def synthesized(self, *entries: Mapping[str, Any], analyze: bool = True) -> dict[str, str]:
        """Write images.yaml, analyze and synthesize; return what each Warehouse subscribes to, by name."""
        (self.root / "images.yaml").write_text(yaml.safe_dump([dict(entry) for entry in entries]))
        folder = ["--image-factory-dir", str(self.root)]
        if analyze:
            assert run(["analyze", *folder]) == 0
        assert run(["synth", *folder]) == 0
        documents = yaml.safe_load_all((self.root / "dist/image-factory.k8s.yaml").read_text())
        found = {}
        for document in documents:
            if document["kind"] == "Warehouse":
                (subscription,) = document["spec"]["subscriptions"]
                found[document["metadata"]["name"]] = subscription["image"]["repoURL"]
        return found


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    services, root = tmp_path / "services", tmp_path / "image-factory"
    for path in (services, root):
        path.mkdir()
    for name, text in DOCKERFILES.items():
        (services / name).write_text(text)
    (services / "node").write_text("FROM alpine:3.20\n")
    identity = ("-c", "user.name=Someone", "-c", "user.email=someone@example.com", "-c", "commit.gpgsign=false")
    for words in (("init", "--quiet", "--initial-branch=main"), ("add", "."), ("commit", "--quiet", "--message", "A")):
        subprocess.run(["git", *identity, *words], cwd=services, check=True)
    return Folder(root, services)


def test_external_to_managed_and_back(folder: Folder) -> None:
    external = folder.entry("web", source=None, tag="1")

    watched = folder.synthesized(external)
    built = folder.synthesized(folder.entry("web"))
    again = folder.synthesized(external)

    assert watched == again == {"web": "ghcr.io/acme/web"}
    # Of the built image, and of what it is built on.
    assert set(built) == {"web", "node-22"}


def test_the_strategy_of_the_upstream_warehouse_goes_with_it(folder: Folder) -> None:
    file = folder.root / "dist/image-factory.k8s.yaml"
    folder.synthesized(folder.entry("web", source=None, tag="1"))
    before = file.read_text()
    folder.synthesized(folder.entry("web"))
    after = file.read_text()

    assert "image-factory.io/role: external" in before
    assert "image-factory.io/role: managed" in after
    assert "image-factory.io/role: external" not in after


def test_a_base_that_is_enrolled_is_watched_where_it_is_built_and_upstream_no_more(folder: Folder) -> None:
    before = folder.synthesized(folder.entry("web"))
    node = folder.entry("node", registry="docker.io", repository="library/node")
    after = folder.synthesized(folder.entry("web"), node)

    assert set(before) == {"web", "node-22"}
    assert set(after) == {"web", "node", "alpine-3-20"}


def test_a_managed_image_that_is_removed_and_still_used_is_watched_as_a_base(folder: Folder) -> None:
    before = folder.synthesized(folder.entry("web"), folder.entry("api"))
    after = folder.synthesized(folder.entry("api"))

    assert set(before) == {"web", "api", "node-22"}
    assert after.pop("api") == "ghcr.io/acme/api"
    assert list(after.values()) == ["ghcr.io/acme/web"]


@pytest.mark.parametrize("analyze", [True, False], ids=["analyzed", "its files linger"])
def test_an_image_that_is_removed_has_no_warehouse(folder: Folder, *, analyze: bool) -> None:
    before = folder.synthesized(folder.entry("web"), folder.entry("uv"))
    after = folder.synthesized(folder.entry("web"), analyze=analyze)

    assert {"uv", "alpine-3-20"} <= set(before)
    assert "uv" not in after
    assert (folder.root / "state/images/uv.yaml").exists() == (not analyze)
