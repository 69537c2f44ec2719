"""Whole outputs, as they are written: one folder of every kind of image.

A change of them is a change for users. `IMAGE_FACTORY_REFRESH_GOLDEN=1 pytest packages/synth/tests/test_golden.py`
writes them anew; the diff is then to be read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from image_factory.decide.discovery import base_configuration
from image_factory.model.enrollment import Enrollment
from image_factory.model.image_state import BaseState, ImageConfiguration, ImageRuntime, ImageState
from image_factory.model.settings import Settings
from image_factory.oci.reference import Reference
from image_factory.state.codec import dump
from image_factory_synth.node import NoNode, find_node
from image_factory_synth.synth import synth

try:
    find_node()
except NoNode as none:
    pytest.skip(f"{none.message}: {none.hint}", allow_module_level=True)

pytest.importorskip("image_factory_cli", reason="image_factory_cli is not installed")
pytest.importorskip("image_factory_github", reason="image_factory_github is not installed")
pytest.importorskip("image_factory_gitlab", reason="image_factory_gitlab is not installed")

from image_factory_cli.folder import workbench

GOLDEN = Path(__file__).with_name("golden")
REFRESH = bool(os.environ.get("IMAGE_FACTORY_REFRESH_GOLDEN"))

EVERY_KIND = """
- {name: fresh, registry: ghcr.io, repository: acme/fresh, source: {repo: acme/fresh}}
- {name: web, registry: ghcr.io, repository: acme/web, source: {repo: acme/web}}
- {name: hub, repository: acme/hub, source: {repo: acme/hub}}
- {name: postgres, repository: library/postgres, allowTags: ^16-alpine$}
- {name: redis, repository: library/redis, tag: "7.2"}
- {name: traefik, repository: library/traefik, constraint: "^3.1", allowTags: "^v?[0-9.]+$"}
- name: nightly
  registry: quay.io
  repository: acme/nightly
  allowTags: ^nightly-
  imageSelectionStrategy: NewestBuild
"""


def every_kind(folder: Path) -> None:
    (folder / "images.yaml").write_text(EVERY_KIND)
    web = Enrollment.model_validate(
        {"name": "web", "registry": "ghcr.io", "repository": "acme/web", "source": {"repo": "acme/web"}}
    )
    published = ImageState(
        configuration=ImageConfiguration(name="web", enrollment=web), runtime=ImageRuntime(current_version="0.6.3")
    )
    (folder / "state" / "images").mkdir(parents=True)
    (folder / "state" / "images" / "web.yaml").write_text(dump(published))
    (folder / "state" / "base-images").mkdir()
    for name, reference in {
        "node-22-bookworm-slim": "node:22-bookworm-slim",
        "python-3-10": "docker.io/library/python:3.10",
        "distroless-pinned": f"gcr.io/distroless/static@sha256:{'0' * 64}",
    }.items():
        base = BaseState(configuration=base_configuration(name, Reference.parse(reference)))
        (folder / "state" / "base-images" / f"{name}.yaml").write_text(dump(base))


def cluster(folder: Path) -> None:
    """A folder whose state a cluster works on."""
    every_kind(folder)
    (folder / "images.yaml").write_text(
        """
- name: web
  registry: ghcr.io
  repository: acme/web
  source: {repo: acme/mono, dockerfile: apps/web/Dockerfile}
  updates:
  - {repo: acme/deploy, path: apps/web, type: kustomize-set-image}
  - {repo: acme/deploy, path: apps/web-jobs, type: kustomize-set-image}
  - {repo: acme/charts, path: web/values.yaml, type: helm-update-image, key: image.tag, mode: pr}
- {name: byhand, registry: ghcr.io, repository: acme/byhand, autoRebuild: false, source: {repo: acme/byhand}}
- name: lab
  registry: ghcr.io
  repository: acme/lab
  source: {provider: gitlab, host: gitlab.example.com, repo: acme/lab, dockerfile: lab/Dockerfile}
- {name: redis, repository: library/redis, tag: "7.2"}
"""
    )
    (folder / "config.yaml").write_text(
        "kargo: {stateRepository: https://git.example.com/acme/state.git, jobImage: ghcr.io/acme/tool:1.2}\n"
    )


def surroundings(folder: Path) -> None:
    """What stands around a cluster's resources: Secrets, receivers, the catalog."""
    (folder / "images.yaml").write_text(
        """
- name: web
  registry: ghcr.io
  repository: acme/web
  source: {repo: acme/mono, dockerfile: apps/web/Dockerfile}
  metadata: {title: Web, owner: Team Web, system: shop}
- {name: redis, repository: library/redis, tag: "7.2"}
"""
    )
    (folder / "config.yaml").write_text(
        """
kargo:
  gitCredentials: robot
  registryCredentials: {ghcr.io: ghcr-pull}
  credentials: {gitlab: {secret: gitlab-trigger, key: token}}
  jobEnvironment: {GITHUB_TOKEN: {secret: robot}}
  webhooks: {github: hooks, harbor: harbor-hook, generic: any-hook}
  externalSecrets: {store: platform, prefix: kargo/, gitRepositories: "^https://github\\\\.com/acme/.+$"}
  kyverno: {sourceNamespace: platform-secrets}
catalog: {enabled: true}
"""
    )


def nothing(folder: Path) -> None:
    (folder / "images.yaml").write_text("[]\n")


def plugins(root: Path, settings: Settings) -> Any:
    return workbench(root, settings).plugins


@pytest.mark.parametrize("version", ["1.9", "1.10", "1.11"])
@pytest.mark.parametrize("fill", [every_kind, cluster, surroundings, nothing], ids=lambda fill: fill.__name__)
def test_the_output_is_byte_for_byte_as_it_was_read_last(fill: Any, version: str, tmp_path: Path) -> None:
    assert callable(fill)
    fill(tmp_path)
    # What stands beside Warehouses tells the versions apart.
    name = f"cluster-{version}" if fill is cluster else fill.__name__.replace("_", "-")
    golden = GOLDEN / f"{name}.yaml"

    text = synth(tmp_path, {}, tmp_path, kargo_version=version, plugins=plugins).text

    assert text is not None
    if REFRESH:
        golden.write_text(text)
    assert text == golden.read_text()
