"""Consumers, whole: a new uv in the file that deploys it (row 145), and the program killed anywhere on the way."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from image_factory.testing.git_server import GitServer
from image_factory.testing.github_server import GitHubServer
from image_factory.testing.image_content import build_image
from image_factory.testing.registry_server import RegistryServer
from image_factory.testing.rest_server import Exchange
from image_factory_cli.group import run

for plugin in ("github", "helm", "yaml"):
    pytest.importorskip(f"image_factory_{plugin}", reason=f"the plugin {plugin} is not installed")

SHIPPED = Path(__file__).resolve().parents[2] / "image-factory/images.yaml"
DEPLOYMENT = """\
# the service that runs uv
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "uv-service.fullname" . }}
spec:
  template:
    spec:
      containers:
        - name: uv
          image: "ghcr.io/craigedmunds/uv:0.1.0"  # kept current
          {{- with .Values.env }}
          env: {{ toYaml . | nindent 12 }}
          {{- end }}
"""
POD = "spec:\n  image: ghcr.io/acme/web:1.0.0\n"


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=Someone", "-c", "user.email=someone@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


@dataclass
class Checkout:
    """A checkout with an image-factory folder, and the command line in it."""

    top: Path
    capture: pytest.CaptureFixture[str] = field(repr=False)

    @property
    def root(self) -> Path:
        return self.top / "image-factory"

    def write(self, entries: list[dict[str, Any]], config: dict[str, Any]) -> None:
        self.root.mkdir(exist_ok=True)
        (self.root / "images.yaml").write_text(yaml.safe_dump(entries, sort_keys=False))
        (self.root / "config.yaml").write_text(yaml.safe_dump(config))
        git(self.top, "add", ".")
        git(self.top, "commit", "--quiet", "--message", "Begin")

    def run(self, *words: str, code: int = 0) -> str:
        self.capture.readouterr()
        ended = run([*words, "--image-factory-dir", str(self.root)])
        out, err = self.capture.readouterr()
        assert ended == code, out + err
        return out + err

    def consumers(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = yaml.safe_load((self.root / f"state/images/{name}.yaml").read_text())["consumers"]
        return found


@pytest.fixture
def checkout(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Checkout:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for variable in ("IMAGE_FACTORY_DIR", "IMAGE_FACTORY_STATE_DIR", "IMAGES_YAML", "GITHUB_TOKEN", "GH_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "checkout").mkdir()
    git(tmp_path / "checkout", "init", "--quiet", "--initial-branch=main")
    return Checkout(tmp_path / "checkout", capsys)


def test_a_new_uv_reaches_the_file_that_deploys_it(checkout: Checkout, tmp_path: Path) -> None:
    """The shipped enrollment of uv, with its repository at a git server on loopback and its base at a registry."""
    shipped = next(entry for entry in yaml.safe_load(SHIPPED.read_text()) if entry["name"] == "uv")
    with GitServer(tmp_path / "remotes") as server, RegistryServer() as registry:
        path = shipped["updates"][0]["path"]
        files = {shipped["source"]["dockerfile"]: "FROM python:3.13.7-slim-bookworm\n", path: DEPLOYMENT, "x.md": "x\n"}
        server.create("eda-mesh.git", files)
        url = server.url("eda-mesh.git")
        source = {**shipped["source"], "provider": "git", "repo": url}
        updates = [{**update, "repo": url} for update in shipped["updates"]]
        config = {"registries": {host: {"endpoint": registry.url} for host in ("docker.io", "ghcr.io")}}
        checkout.write([{**shipped, "source": source, "updates": updates}], config)
        registry.push("library/python", ["3.13.7-slim-bookworm"], build_image(seed="first"))
        checkout.run("analyze")
        checkout.run("observe")
        built = str(registry.push("craigedmunds/uv", ["0.2.0"], build_image(seed="uv 0.2.0")))

        checkout.run("analyze", "--image", "uv", "--tag", "0.2.0", "--digest", built)
        shown = checkout.run("update", "--dry-run")
        assert git(server.path("eda-mesh.git"), "show", f"main:{path}") == DEPLOYMENT
        told = checkout.run("update")
        verified = checkout.run("update", "uv")
        asked = len(server.requests)
        rested = checkout.run("update", "--verbose")

        assert [line for line in shown.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")] == [
            '-          image: "ghcr.io/craigedmunds/uv:0.1.0"  # kept current',
            '+          image: "ghcr.io/craigedmunds/uv:0.2.0"  # kept current',
        ]
        remote = server.path("eda-mesh.git")
        assert git(remote, "show", f"main:{path}") == DEPLOYMENT.replace("0.1.0", "0.2.0")
        assert git(remote, "diff", "--name-only", "main~1", "main").split() == [path]
        message = git(remote, "log", "-1", "--format=%B", "main")
        assert message.startswith(f"Update uv to 0.2.0 in {path}\n")
        assert f"uv: 0.2.0 ({built}) in {path} of {url} main" in message
        assert f"✓ uv: 0.2.0 pushed to {url}:{path} on main" in told
        assert "holds 0.2.0" in verified
        assert "names 0.2.0 already" in rested
        assert len(server.requests) == asked, "what is known to be there is not asked for again"
        assert [(one["status"], one["version"]) for one in checkout.consumers("uv")] == [("current", "0.2.0")]
        assert git(checkout.top, "log", "-2", "--format=%s").splitlines() == ["Update consumers of uv"] * 2
        assert git(checkout.top, "status", "--short") == ""


# --- killed -------------------------------------------------------------------------------------------------

GIT = """#!/bin/sh
# Runs git, and then kills the program that started it, at the call whose number is told.
case "$*" in *"cat-file --batch"*) exec "{git}" "$@";; esac  # runs as long as the program does
count=$(( $(cat "{folder}/count") + 1 )); echo $count > "{folder}/count"
"{git}" "$@"
code=$?
if [ "$count" = "$(cat "{folder}/number")" ]; then kill -9 $PPID; sleep 1; fi
exit $code
"""


@dataclass
class Child:
    """The command line as a program of its own, whose git calls are counted, and may be its last."""

    folder: Path
    checkout: Checkout
    process: subprocess.Popen[str] | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir()
        program = self.folder / "git"
        program.write_text(GIT.format(folder=self.folder, git=shutil.which("git")))
        program.chmod(0o755)

    def run(self, *words: str, killed_at: int = 0) -> int:
        (self.folder / "count").write_text("0")
        (self.folder / "number").write_text(str(killed_at))
        environment = {**os.environ, "PATH": f"{self.folder}{os.pathsep}{os.environ['PATH']}"}
        command = [sys.executable, "-c", "from image_factory_cli.main import main; main()", *words]
        command += ["--image-factory-dir", str(self.checkout.root)]
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.said, _ = self.process.communicate(timeout=60)
        return self.process.returncode

    @property
    def calls(self) -> int:
        return int((self.folder / "count").read_text())


def enrolled(name: str, source: dict[str, Any], **update: Any) -> dict[str, Any]:
    entry = {"path": "pod.yaml", "type": "yaml-update", **update}
    return {"name": name, "registry": "ghcr.io", "repository": f"acme/{name}", "source": source, "updates": [entry]}


def test_killed_after_any_git_call_a_version_is_pushed_once_and_recorded(checkout: Checkout, tmp_path: Path) -> None:
    """Each round has a version of its own, is killed one call later than the last, and the next run ends it."""
    with GitServer(tmp_path / "remotes") as server:
        server.create("web.git", {"Dockerfile": "FROM scratch\n"})
        server.create("deploy.git", {"pod.yaml": POD})
        source = {"provider": "git", "repo": server.url("web.git")}
        checkout.write([enrolled("web", source, repo=server.url("deploy.git"))], {})
        checkout.run("analyze")
        remote, child = server.path("deploy.git"), Child(tmp_path / "bin", checkout)
        for number in range(1, 100):
            version = f"1.{number}.0"
            checkout.run("analyze", "--image", "web", "--tag", version)

            ended = child.run("update", killed_at=number)
            checkout.run("update")

            at = f"killed after call {number}: {child.said}"
            assert git(remote, "show", "main:pod.yaml") == POD.replace("1.0.0", version), at
            assert git(remote, "log", "--format=%s", "main").count(f"Update web to {version} in") == 1, at
            (consumer,) = checkout.consumers("web")
            assert (consumer["version"], consumer["status"]) in ((version, "pushed"), (version, "current")), at
            assert git(checkout.top, "status", "--short") == "", at
            if ended == 0:
                break
            assert ended == -signal.SIGKILL, at
        assert number > 15, "the reading, the commit, the push and the record of it were all reached"


class KillingList(list[Exchange]):
    """The exchanges of a server, which kills a process once it has so many more."""

    child: Child
    left = 0

    def append(self, exchange: Exchange) -> None:
        super().append(exchange)
        self.left -= 1
        if self.left == 0 and self.child.process is not None:
            os.kill(self.child.process.pid, signal.SIGKILL)


def test_killed_after_any_request_exactly_one_change_request_is_open(checkout: Checkout, tmp_path: Path) -> None:
    """Each round has a version of its own, is killed one request later than the last, and the next run ends it."""
    with GitHubServer(tmp_path / "remotes") as github:
        github.repositories.create("acme/web.git", {"Dockerfile": "FROM scratch\n"})
        github.repositories.create("acme/deploy.git", {"pod.yaml": POD})
        source = {"provider": "github", "host": github.url, "repo": "acme/web"}
        checkout.write([enrolled("web", source, repo="acme/deploy", mode="pr")], {})
        checkout.run("analyze")
        child = Child(tmp_path / "bin", checkout)
        exchanges = KillingList()
        exchanges.child, github.exchanges = child, exchanges
        pulls = github.state("acme/deploy").pulls
        remote = github.repositories.path("acme/deploy.git")
        for number in range(1, 100):
            version = f"1.{number}.0"
            checkout.run("analyze", "--image", "web", "--tag", version)

            exchanges.left = number
            ended = child.run("update")
            exchanges.left = 0
            checkout.run("update")

            at = f"killed after request {number}: {child.said}"
            assert [pull.title for pull in pulls if pull.state == "open"] == [f"Update web to {version} in pod.yaml"], (
                at
            )
            assert [version in pull.title for pull in pulls].count(True) == 1, at
            branch = "image-factory/update/main"
            assert git(remote, "show", f"{branch}:pod.yaml") == POD.replace("1.0.0", version), at
            assert git(remote, "rev-list", "--count", f"main..{branch}").strip() == "1", at
            (consumer,) = checkout.consumers("web")
            assert (consumer["version"], consumer["status"]) == (version, "proposed"), at
            github.settle_pull("acme/deploy", pulls[-1].number, merge=False)
            if ended == 0:
                break
            assert ended == -signal.SIGKILL, at
        assert number > 8, "the reading, the branch and the request were all reached"
