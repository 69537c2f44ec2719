"""Bad input, as somebody meets it at the command line: one clear error, the right exit code, and never a wait."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ENTRY = (sys.executable, "-c", "from image_factory_cli.main import main; main()")
GOOD = '- {name: good, registry: docker.io, repository: library/redis, tag: "7"}\n'
DIGEST = f"sha256:{'a' * 64}"
COMMANDS = (
    *(["validate"], ["status"], ["status", "good"], ["graph"], ["explain", "good"], ["synth", "--dry-run"]),
    *(["analyze", "--dry-run"], ["analyze", "--image", "good", "--dry-run"], ["observe", "--dry-run"]),
    *(["observe", "--base", "good", "--digest", DIGEST, "--dry-run"], ["rebuild", "good", "--dry-run"]),
    *(["runs", "good"], ["versions", "good"], ["workflow", "good"], ["scan", "."]),
    ["enroll", "more", "--registry", "ghcr.io", "--repository", "acme/more", "--tag", "1", "--dry-run"],
)
"""Every command that reads images.yaml."""


def image_factory(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(
        [*ENTRY, *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a git repository with an empty image-factory folder."""
    identity = ("-c", "user.name=Someone", "-c", "user.email=someone@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    subprocess.run(
        ["git", "-C", tmp_path, *identity, "commit", "--quiet", "--allow-empty", "--message", "Start"], check=True
    )
    (tmp_path / "image-factory").mkdir()
    return tmp_path


# --- what is no regular file ---------------------------------------------------------------------------


def test_a_pipe_in_place_of_images_yaml_is_refused_by_every_command(folder: Path) -> None:
    os.mkfifo(folder / "image-factory" / "images.yaml")

    for words in COMMANDS:
        done = image_factory(*words, cwd=folder)

        assert done.returncode == 2, words
        assert "images.yaml: cannot be read: not a regular file\nhint: " in done.stderr, words


def test_a_pipe_in_place_of_config_yaml_is_refused(folder: Path) -> None:
    (folder / "image-factory" / "images.yaml").write_text(GOOD)
    os.mkfifo(folder / "image-factory" / "config.yaml")

    done = image_factory("status", cwd=folder)

    assert done.returncode == 2
    assert "config.yaml: cannot be read: not a regular file\nhint: " in done.stderr


def test_a_pipe_in_place_of_a_state_file_fails_its_image_alone(folder: Path) -> None:
    (folder / "image-factory" / "images.yaml").write_text(GOOD + GOOD.replace("good", "more").replace("redis", "nats"))
    state = folder / "image-factory" / "state" / "images"
    state.mkdir(parents=True)
    os.mkfifo(state / "good.yaml")

    done = image_factory("status", cwd=folder)

    assert done.returncode == 3
    assert "good.yaml is not a regular file" in done.stderr
    assert "\nmore" in done.stdout


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_inspect_says_unreadable_of_a_pipe_and_a_device_and_reads_the_rest(folder: Path, options: list[str]) -> None:
    os.mkfifo(folder / "Dockerfile")
    os.mkfifo(folder / "docker-bake.hcl")
    (folder / "web.Dockerfile").write_text("FROM nginx\n")

    done = image_factory(
        "inspect", "Dockerfile", "/dev/zero", "docker-bake.hcl", "web.Dockerfile", *options, cwd=folder
    )
    of_tree = image_factory("inspect", ".", *options, cwd=folder)

    assert (done.returncode, of_tree.returncode) == (0, 0)
    assert done.stdout.count("unreadable") == 3
    assert done.stdout.count("not a regular file") == 3
    assert of_tree.stdout.count("not a regular file") == 1
    assert "docker.io/library/nginx:latest" in done.stdout
    assert image_factory("inspect", "Dockerfile", "--strict", cwd=folder).returncode == 2


def test_a_pipe_in_place_of_a_dockerfile_fails_its_image_alone(folder: Path) -> None:
    (folder / "image-factory" / "images.yaml").write_text(
        GOOD
        + "- {name: web, registry: ghcr.io, repository: acme/web, source: {provider: git, repo: 'https://git.example/acme/web'}}\n"
    )
    subprocess.run(["git", "-C", folder, "remote", "add", "origin", "https://git.example/acme/web"], check=True)
    os.mkfifo(folder / "Dockerfile")

    done = image_factory("analyze", "--dry-run", cwd=folder)

    assert done.returncode == 3
    assert "'Dockerfile' cannot be read: not a regular file" in done.stdout
    assert "+name: good" in done.stdout
