"""The world around a simulated cluster: a GitHub, a GitLab, a registry, and the state repository on them.

All of it really answers, on loopback; what a test asks at the end is what those servers hold.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from tests.kargo.simulator.cluster import Cluster
from tests.kargo.simulator.jobs import run_command
from tests.kargo.simulator.steps import Steps

from image_factory.testing.clock import FixedClock
from image_factory.testing.github_server import GitHubServer
from image_factory.testing.gitlab_server import GitLabServer
from image_factory.testing.image_content import build_image
from image_factory.testing.registry_server import RegistryServer

GITHUB_TOKEN, GITLAB_TOKEN, TRIGGER_TOKEN = "ghp_plantedK2Token", "glpat-plantedK2", "glptt-plantedK2"
ALPINE, NODE = "docker.io/library/alpine:3.22", "docker.io/library/node:22"
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
DISPATCHED = timedelta(minutes=17)
"""Within this a request is decided by the CronJob, seen by its Warehouse and dispatched, if it is due now."""
STATE = "acme/platform"
WORKFLOW = (
    "name: b\nrun-name: ${{ inputs.request_id }}\non: {workflow_dispatch: {inputs: {request_id: {}, base_images: {},"
    " version_bump: {}, triggered_by: {}, base_image: {}, image: {}}}}\njobs: {}\n"
)
PIPELINE = "image: {script: [build], variables: {}}\n"
REQUEST_ID = "image-factory.io/request-id"


@dataclass
class Build:
    """A build that somebody started, at GitHub or GitLab."""

    image: str
    inputs: Mapping[str, str]
    id: int
    is_at_gitlab: bool = False

    @property
    def request_id(self) -> str:
        return self.inputs["request_id"]

    @property
    def bases(self) -> Mapping[str, str]:
        """Reference → digest, as the build was told."""
        return {each["reference"]: each["digest"] for each in json.loads(self.inputs["base_images"])}


class PublishedImages:
    """The one registry server as every registry there is."""

    def __init__(self, server: RegistryServer) -> None:
        self._server = server

    def digest(self, repo_url: str, tag: str) -> str | None:
        held = self._server.storage.manifest(_repository(repo_url), tag)
        return None if held is None else held[1]

    def tags(self, repo_url: str) -> Sequence[str]:
        return self._server.storage.tags(_repository(repo_url)) or []


def _repository(repo_url: str) -> str:
    host, _, path = repo_url.partition("/")
    return path if "." in host else repo_url


@dataclass
class World:
    """What a scenario works with."""

    folder: Path
    clock: FixedClock
    github: GitHubServer
    gitlab: GitLabServer
    registry: RegistryServer
    config: dict[str, Any]
    enrolled: list[dict[str, Any]] = field(default_factory=list)

    @property
    def state_url(self) -> str:
        return f"{self.github.url}/{STATE}.git"

    @property
    def bare(self) -> Path:
        return self.github.repositories.path(f"{STATE}.git")

    @property
    def secrets(self) -> dict[str, dict[str, str]]:
        """The Secrets of the Project's namespace, which bring Kargo its git credentials too."""
        git = {"repoURLIsRegex": "true", "username": "kargo"}
        return {
            "github-credentials": {**git, "repoURL": f"^{self.github.url}/.*$", "password": GITHUB_TOKEN},
            "gitlab-credentials": {**git, "repoURL": f"^{self.gitlab.url}/.*$", "password": GITLAB_TOKEN},
            "gitlab-trigger": {"token": TRIGGER_TOKEN},
        }

    # --- what people do -----------------------------------------------------------------------------

    def managed(self, name: str, dockerfile: str, *, provider: str = "github", **fields: Any) -> dict[str, Any]:
        """Return an enrollment of an image whose repository now holds this Dockerfile, and whose 1.0.0 is published."""
        server = self.github if provider == "github" else self.gitlab
        files = {"Dockerfile": dockerfile, "README.md": "An image.\n"}
        files |= {f".github/workflows/{name}.yml": WORKFLOW} if provider == "github" else {".gitlab-ci.yml": PIPELINE}
        server.repositories.create(f"acme/{name}.git", files)
        self.publish(f"acme/{name}", f"{name} 1.0.0", "1.0.0", "latest")
        return {
            "name": name,
            "registry": "ghcr.io",
            "repository": f"acme/{name}",
            "source": {"provider": provider, "host": server.url, "repo": f"acme/{name}"},
            **fields,
        }

    def enroll(self, *entries: dict[str, Any]) -> None:
        """Have these images, and no others, in images.yaml."""
        self.enrolled = list(entries)
        self.commit({"images.yaml": yaml.safe_dump(self.enrolled)}, "Enroll")

    def commit(self, files: Mapping[str, str | None], message: str) -> str:
        """Commit files of the image-factory folder, as a person or another job does."""
        told = {f"image-factory/{path}": content for path, content in files.items()}
        return self.github.repositories.commit(f"{STATE}.git", told, message, branch="main")

    def publish(self, repository: str, seed: str, *tags: str, labels: Mapping[str, str] | None = None) -> str:
        """Let tags point at an image of that seed, and return its digest."""
        content = build_image(seed=seed, labels=labels or {}, platforms=("linux/amd64",), index=True)
        return str(self.registry.push(repository, list(tags), content))

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None, may_fail: bool = False) -> str:
        """Run a command on a fresh clone of the state repository, as a person does, and return what it says.

        Of `synth`, the manifests.
        """
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            _git(Path(folder), "clone", "--quiet", str(self.bare), "checkout")
            place = Path(folder, "checkout", "image-factory")
            node = {name: value for name, value in os.environ.items() if name == "JSII_NODE"}
            told = {"GITHUB_TOKEN": GITHUB_TOKEN, "GITLAB_TOKEN": GITLAB_TOKEN, **node, **(environment or {})}
            words = [*arguments, f"--image-factory-dir={place}"]
            code, said = run_command(words, told, clock=self.clock, path=os.environ["PATH"])
            if code and not may_fail:
                raise AssertionError(f"{' '.join(arguments)} ended with {code}: {said}")
            if arguments[0] == "synth":
                return (place / "dist" / "image-factory.k8s.yaml").read_text("utf-8")
            return said

    def begin(self, steps: Steps, *entries: dict[str, Any]) -> Cluster:
        """Enroll images and analyze them, so that the manifests know their bases, and apply these to a cluster."""
        for base in (ALPINE, NODE):
            self.publish_base(base, "begin")
        self.enroll(*entries)
        self.run("analyze", "--push", "--no-notify")
        cluster = self.cluster(steps)
        cluster.advance(MINUTE)
        return cluster

    def publish_base(self, base: str, seed: str) -> str:
        """Let a base's tag point at something, and return its digest."""
        repository, _, tag = base.removeprefix("docker.io/").partition(":")
        return self.publish(repository, f"{repository} {seed}", tag)

    def move(self, cluster: Cluster, base: str, seed: str) -> str:
        """Let a base point at something new, and its Warehouse look; return the new digest."""
        digest = self.publish_base(base, seed)
        repository, _, tag = base.rpartition("/")[2].partition(":")
        cluster.refresh(f"{repository}-{tag.replace('.', '-')}")
        return digest

    def manifests(self) -> str:
        """Return what `image-factory synth` makes of the folder as it is now."""
        return self.run("synth", "--strict")

    def configure(self, **settings: Any) -> None:
        """Change settings of config.yaml."""
        self.config |= settings
        self.commit({"config.yaml": yaml.safe_dump(self.config)}, "Configure")

    # --- what is there --------------------------------------------------------------------------------

    def cluster(self, steps: Steps) -> Cluster:
        """Return a cluster to which the manifests of the folder as it is now are applied."""
        found = PublishedImages(self.registry)
        cluster = Cluster(self.clock, steps, found, self.repository, self.secrets, os.environ["PATH"])
        cluster.apply(self.manifests())
        return cluster

    def repository(self, url: str) -> Path:
        """Return the bare repository behind a clone URL of one of the servers."""
        parts = urlsplit(url)
        server = self.github if f"{parts.scheme}://{parts.netloc}" == self.github.url else self.gitlab
        return server.repositories.path(f"{parts.path.strip('/').removesuffix('.git')}.git")

    def state(self, path: str) -> Any:
        """Return what a file of the state says in the last commit; None where there is none."""
        done = subprocess.run(
            ["git", "-C", str(self.bare), "show", f"main:image-factory/state/{path}"], capture_output=True, check=False
        )
        return yaml.safe_load(done.stdout) if done.returncode == 0 else None

    def request(self, image: str) -> Any:
        return self.state(f"rebuild-requests/{image}.yaml")

    def image(self, name: str) -> Any:
        return self.state(f"images/{name}.yaml")

    @property
    def builds(self) -> list[Build]:
        """All that were started, oldest first where they are of one provider."""
        found = [
            Build(name.rpartition("/")[2], run.inputs, run.id)
            for name, state in self.github.states.items()
            for run in state.runs
        ]
        found += [
            Build(name.rpartition("/")[2], pipeline.variables, pipeline.id, is_at_gitlab=True)
            for name, state in self.gitlab.states.items()
            for pipeline in state.pipelines
        ]
        return sorted(found, key=lambda build: build.id)

    def finish(self, build: Build, version: str | None = None) -> str | None:
        """Let a build end: well and with this version published, or badly; return the digest that it published."""
        digest = None
        if version is not None:
            seed, labels = f"{build.image} {version}", {REQUEST_ID: build.request_id}
            digest = self.publish(f"acme/{build.image}", seed, version, "latest", labels=labels)
        if build.is_at_gitlab:
            self.gitlab.finish(f"acme/{build.image}", build.id, "success" if version else "failed")
        else:
            self.github.finish(f"acme/{build.image}", build.id, "success" if version else "failure")
        return digest


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def begun_world(folder: Path) -> Iterator[World]:
    """Give a world in which nothing is enrolled yet."""
    clock = FixedClock()
    with (
        GitHubServer(folder / "github", token=GITHUB_TOKEN) as github,
        GitLabServer(folder / "gitlab", token=GITLAB_TOKEN, trigger_tokens={"acme/lab": TRIGGER_TOKEN}) as gitlab,
        RegistryServer() as registry,
    ):
        jobs = {"GITHUB_TOKEN": {"secret": "github-credentials"}, "GITLAB_TOKEN": {"secret": "gitlab-credentials"}}
        config: dict[str, Any] = {
            "engine": "kargo",
            "registries": {host: {"endpoint": registry.url} for host in ("docker.io", "ghcr.io")},
            "plugins": {
                "github": {"hosts": {github.url: {"tokenEnv": "GITHUB_TOKEN"}}},
                "gitlab": {"hosts": {gitlab.url: {"tokenEnv": "GITLAB_TOKEN"}}},
                "ghcr": {"api": registry.url},
            },
            "kargo": {
                "stateRepository": f"{github.url}/{STATE}.git",
                "jobImage": "ghcr.io/craigedmunds/image-factory:0.1.0",
                "credentials": {"gitlab": {"secret": "gitlab-trigger", "key": "token"}},
                "jobEnvironment": jobs,
            },
            "emergency": {"actors": ["alice"], "trustedIdentities": ["unverified"]},
        }
        files = {"image-factory/images.yaml": "[]\n", "image-factory/config.yaml": yaml.safe_dump(config)}
        github.repositories.create(f"{STATE}.git", files)
        yield World(folder, clock, github, gitlab, registry, config)
