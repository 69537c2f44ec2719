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


# --- images.yaml that cannot be used ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("- name: [web\n", "images.yaml:2: not YAML at column 1", id="not YAML"),
        pytest.param("images: []\n", "images.yaml:1: a mapping stands where a list of images is meant", id="no list"),
        pytest.param("\udcff\n", "images.yaml:1: not UTF-8: the byte 0xff", id="not UTF-8"),
        pytest.param(None, "image-factory/images.yaml", id="missing"),
        pytest.param("FOLDER", "images.yaml is a folder, not a file", id="a folder"),
    ],
)
def test_every_command_ends_with_2_where_nothing_of_images_yaml_can_be_read(
    folder: Path, text: str | None, told: str
) -> None:
    images = folder / "image-factory" / "images.yaml"
    if text == "FOLDER":
        images.mkdir()
    elif text is not None:
        images.write_text(text, errors="surrogateescape")

    for words in COMMANDS:
        done = image_factory(*words, cwd=folder)

        assert done.returncode == 2, words
        assert told in done.stderr, words
        assert done.stderr.count("error:") == 1, words
        assert "\nhint: " in done.stderr, words


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param("- {name: bad, registry: ghcr.io}\n", id="a bad entry"),
        pytest.param("- name: bad\n  registry: ghcr.io\n  registry: ghcr.io\n  repository: a/b\n", id="a key twice"),
        pytest.param(GOOD.replace("good", "bad").replace("redis", "nats") * 2, id="a name twice"),
        pytest.param(GOOD.replace("good", "bad"), id="an image twice"),
    ],
)
def test_a_bad_entry_stops_no_other_and_is_told_by_every_command(folder: Path, bad: str) -> None:
    (folder / "image-factory" / "images.yaml").write_text(GOOD + bad)
    codes = {
        "validate": 2,
        "status": 3,
        "graph": 3,
        "synth --dry-run": 3,
        "analyze --dry-run": 3,
        "analyze": 3,
        "status good": 0,
        "explain good": 0,
        "status bad": 2,
        "explain bad": 2,
        "rebuild bad": 2,
        "observe --dry-run --digest " + DIGEST + " --base good": 3,
        "synth": 3,
    }

    for words, code in codes.items():
        done = image_factory(*words.split(), cwd=folder)

        assert (done.returncode, words) == (code, words), done.stderr
        if words not in ("status good", "explain good", "rebuild bad"):
            assert "bad: " in done.stderr, words
            assert "images.yaml:" in done.stderr, words
    state = [file.stem for file in (folder / "image-factory" / "state" / "images").iterdir()]
    assert state == ["good"]
    assert "\n  name: good\n" in (folder / "image-factory" / "dist" / "image-factory.k8s.yaml").read_text()
