"""What surrounds the control plane in these tests: a GitHub, a registry, the state repository, and a consumer's."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.acceptance.plane.jobs import Node
from tests.acceptance.plane.plane import ControlPlane

from image_factory.testing.github_server import GitHubServer, Run
from image_factory.testing.image_content import build_image
from image_factory.testing.registry_server import RegistryServer

TOKEN = "ghp_plantedAcceptanceToken"
STATE, CONSUMER = "acme/platform", "acme/deploy"
NAMESPACE = "image-factory-kargo"
REQUEST_ID = "image-factory.io/request-id"
_WORKFLOW = (
    "name: build\nrun-name: ${{ inputs.request_id }}\non: {workflow_dispatch: {inputs: {request_id: {},"
    " base_images: {}, version_bump: {}, triggered_by: {}, base_image: {}, image: {}}}}\njobs: {}\n"
)
_KARGO = f"/apis/kargo.akuity.io/v1alpha1/namespaces/{NAMESPACE}"


@dataclass
class World:
    """One image `web` on a base, with a consumer, and a control plane that is to keep it current."""

    plane: ControlPlane
    node: Node
    github: GitHubServer
    registry: RegistryServer

    @property
    def base(self) -> str:
        """The reference of the base image."""
        return f"{self.registry.host}/library/alpine:3.22"

    def publish(self, repository: str, seed: str, *tags: str, request: str = "") -> str:
        labels = {REQUEST_ID: request} if request else {}
        content = build_image(seed=seed, labels=labels, platforms=("linux/amd64",), index=True)
        return str(self.registry.push(repository, list(tags), content))

    def enroll(self, **fields: Any) -> None:
        """Have `web` enrolled and nothing else, published as 1.0.0, and a consumer that names that version."""
        self.publish("library/alpine", "alpine one", "3.22")
        self.publish("acme/web", "web 1.0.0", "1.0.0", "latest")
        repositories = self.github.repositories
        repositories.create(
            "acme/web.git", {"Dockerfile": f"FROM {self.base}\n", ".github/workflows/web.yml": _WORKFLOW}
        )
        kustomization = f"images:\n- name: {self.registry.host}/acme/web  # ours\n  newTag: 1.0.0\n"
        repositories.create(f"{CONSUMER}.git", {"app/kustomization.yaml": kustomization})
        entry = {
            "name": "web",
            "registry": self.registry.host,
            "repository": "acme/web",
            "rebuildDelay": "0s",
            "source": {"provider": "github", "host": self.github.url, "repo": "acme/web"},
            "updates": [{"repo": CONSUMER, "path": "app", "type": "kustomize-set-image"}],
            **fields,
        }
        config = {
            "engine": "kargo",
            "coordinationWindow": "0s",
            "plugins": {"github": {"hosts": {self.github.url: {"tokenEnv": "GITHUB_TOKEN"}}}},
            "kargo": {
                "stateRepository": f"{self.github.url}/{STATE}.git",
                "jobImage": "ghcr.io/craigedmunds/image-factory:0.1.0",
                "jobEnvironment": {"GITHUB_TOKEN": {"secret": "github-credentials"}},
            },
        }
        told = {"images.yaml": [entry], "config.yaml": config}
        repositories.create(
            f"{STATE}.git", {f"image-factory/{path}": yaml.safe_dump(what) for path, what in told.items()}
        )

    def manifests(self) -> str:
        """Return what `image-factory synth` makes of the folder as it is now."""
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["git", "clone", "-q", str(self._bare(STATE)), "c"], cwd=folder, check=True)
            place = Path(folder, "c", "image-factory")
            subprocess.run(
                ["image-factory", "synth", "--strict", "--image-factory-dir", str(place)],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            return (place / "dist" / "image-factory.k8s.yaml").read_text("utf-8")

    def apply(self) -> None:
        """Apply the manifests of the folder as it is now, and the Secret that they name."""
        self.plane.apply(self.manifests())
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": "github-credentials",
                "namespace": NAMESPACE,
                "labels": {"kargo.akuity.io/cred-type": "git"},
            },
            "stringData": {
                "repoURL": f"^{self.github.url}/.*$",
                "repoURLIsRegex": "true",
                "username": "x-access-token",
                "password": TOKEN,
            },
        }
        self.plane.apply(yaml.safe_dump(secret))

    def refresh(self, warehouse: str) -> None:
        """Have a Warehouse look now."""
        annotations = {"kargo.akuity.io/refresh": str(time.time())}
        self.plane.api(
            "PATCH",
            f"{_KARGO}/warehouses/{warehouse}",
            {"metadata": {"annotations": annotations}},
            content_type="application/merge-patch+json",
        )

    def promote(self, stage: str, freight: str) -> None:
        """Promote as a person does, by creating a Promotion."""
        body = {
            "apiVersion": "kargo.akuity.io/v1alpha1",
            "kind": "Promotion",
            "metadata": {"generateName": "by-hand-", "namespace": NAMESPACE},
            "spec": {"stage": stage, "freight": freight},
        }
        self.plane.api("POST", f"{_KARGO}/promotions", body)

    def listed(self, kind: str) -> list[dict[str, Any]]:
        return self.plane.objects(f"{_KARGO}/{kind}")

    def promotions(self, stage: str) -> list[dict[str, Any]]:
        return [each for each in self.listed("promotions") if each["spec"]["stage"] == stage]

    def freight(self, warehouse: str) -> list[str]:
        found = [each for each in self.listed("freights") if each["origin"]["name"] == warehouse]
        return [each["metadata"]["name"] for each in sorted(found, key=_age)]

    def state(self, path: str) -> Any:
        """Return what a file of the state says in the last commit; an empty map where there is none."""
        return yaml.safe_load(self.file(STATE, f"image-factory/state/{path}") or "{}")

    def file(self, repository: str, path: str) -> str | None:
        done = subprocess.run(
            ["git", "-C", str(self._bare(repository)), "show", f"main:{path}"],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout if done.returncode == 0 else None

    @property
    def runs(self) -> list[Run]:
        """The builds that were started."""
        return list(self.github.states["acme/web"].runs) if "acme/web" in self.github.states else []

    def _bare(self, repository: str) -> Path:
        return self.github.repositories.path(f"{repository}.git")


def _age(freight: dict[str, Any]) -> str:
    return str(freight["metadata"]["creationTimestamp"])


@contextlib.contextmanager
def begun_world(plane: ControlPlane, folder: Path) -> Iterator[World]:
    """Give a world around a control plane in which nothing was applied yet, or of which all was taken away."""
    with (
        GitHubServer(folder / "github", token=TOKEN) as github,
        RegistryServer() as registry,
        Node(plane, NAMESPACE) as node,
    ):
        yield World(plane, node, github, registry)
