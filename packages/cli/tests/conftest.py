"""A folder for commands: a checkout with an image-factory folder, services in git, a registry on loopback."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from image_factory.testing.registry_server import RegistryServer
from image_factory_cli.group import run as run_group


@dataclass(frozen=True)
class Ran:
    """How a command line ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Folder:
    """The folder, and the command line run in it."""

    checkout: Path
    services: Path
    registry: RegistryServer
    capture: pytest.CaptureFixture[str] = field(repr=False)

    @property
    def root(self) -> Path:
        return self.checkout / "image-factory"

    def git(self, *words: str, folder: Path | None = None) -> str:
        identity = ("-c", "user.name=Someone", "-c", "user.email=someone@example.com", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", *identity, *words], cwd=folder or self.checkout, check=True, capture_output=True, text=True
        )
        return done.stdout

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def service(self, name: str, dockerfile: str) -> None:
        (self.services / name).mkdir(exist_ok=True)
        (self.services / name / "Dockerfile").write_text(dockerfile)
        self.git("add", ".", folder=self.services)
        self.git("commit", "--quiet", "--message", name, folder=self.services)

    def managed(self, *names: str) -> None:
        """Enroll a managed image for each service named."""
        entries = "".join(
            f"- name: {name}\n  registry: ghcr.io\n  repository: acme/{name}\n"
            f"  source:\n    provider: git\n    repo: {self.services}\n    dockerfile: {name}/Dockerfile\n"
            for name in names
        )
        self.write("images.yaml", entries)
        endpoints = "".join(f"  {host}:\n    endpoint: {self.registry.url}\n" for host in ("docker.io", "ghcr.io"))
        self.write("config.yaml", f"registries:\n{endpoints}")

    def run(self, *words: str) -> Ran:
        self.capture.readouterr()
        code = run_group(words)
        out, err = self.capture.readouterr()
        return Ran(code, out, err)


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    for variable in ("IMAGE_FACTORY_DIR", "IMAGE_FACTORY_STATE_DIR", "IMAGES_YAML"):
        monkeypatch.delenv(variable, raising=False)
    with RegistryServer() as registry:
        made = Folder(tmp_path / "checkout", tmp_path / "services", registry, capsys)
        for path in (made.checkout, made.services):
            path.mkdir()
            made.git("init", "--quiet", "--initial-branch=main", folder=path)
        monkeypatch.chdir(made.checkout)
        yield made
