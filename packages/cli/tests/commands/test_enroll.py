"""`enroll`: one entry more, and not a line changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from image_factory.state.images_yaml import read_images
from image_factory_cli.group import run

OURS = "# ours\n- name: redis # the cache\n  repository: library/redis\n  tag: 7-alpine\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMAGE_FACTORY_DIR", str(tmp_path))
    (tmp_path / "images.yaml").write_text(OURS)
    return tmp_path


MANAGED = [
    *("enroll", "web", "--registry", "ghcr.io", "--repository", "acme/web"),
    *("--source-provider", "git", "--source-repo", "https://git.example.com/acme/web.git"),
]


def test_every_option_ends_up_at_its_key(root: Path) -> None:
    options = [
        *("--branch", "develop", "--dockerfile", "apps/web/Dockerfile", "--target", "runtime"),
        *("--platform", "linux/amd64", "--platform", "linux/arm64", "--build-arg", "NODE_VERSION=22"),
        *("--workflow", "build.yml", "--delay", "3d", "--owner", "team-web"),
        *("--title", "Web", "--description", "The shop's front end", "--system", "shop", "--lifecycle", "production"),
    ]

    assert run([*MANAGED, *options]) == 0

    assert (root / "images.yaml").read_text() == OURS + (
        "\n- name: web\n"
        "  registry: ghcr.io\n"
        "  repository: acme/web\n"
        "  source:\n"
        "    provider: git\n"
        "    repo: https://git.example.com/acme/web.git\n"
        "    branch: develop\n"
        "    dockerfile: apps/web/Dockerfile\n"
        "    target: runtime\n"
        "    buildArgs:\n"
        '      NODE_VERSION: "22"\n'
        "    platforms:\n"
        "      - linux/amd64\n"
        "      - linux/arm64\n"
        "    workflow: build.yml\n"
        "  rebuildDelay: 3d\n"
        "  metadata:\n"
        "    title: Web\n"
        "    description: The shop's front end\n"
        "    owner: team-web\n"
        "    system: shop\n"
        "    lifecycle: production\n"
    )


def test_a_dry_run_shows_added_lines_only(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*MANAGED, "--dry-run"]) == 0

    diff = capsys.readouterr().out.splitlines()
    assert "+- name: web" in diff
    assert [line for line in diff[2:] if line.startswith("-")] == []
    assert (root / "images.yaml").read_text() == OURS


def test_everything_wrong_is_said_at_once_and_nothing_is_written(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(["enroll", "web", "--source-repo", "a/b", "--branch=--upload-pack=x", "--source-provider", "gitea"])

    err = capsys.readouterr().err
    assert code == 2
    for said in (
        "registry: missing",
        "repository: missing",
        "not a branch: '--upload-pack=x'",
        "no source plugin is called 'gitea'",
    ):
        assert said in err
    assert (root / "images.yaml").read_text() == OURS


def test_a_name_that_is_taken_is_refused_with_its_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["enroll", "redis", "--repository", "library/redis", "--tag", "8"]) == 2

    assert f"error: {root / 'images.yaml'}:2: redis is enrolled already" in capsys.readouterr().err


def test_a_build_arg_without_a_value_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*MANAGED, "--build-arg", "TOKEN"]) == 2

    assert "not a build arg: 'TOKEN'" in capsys.readouterr().err


def test_at_a_terminal_what_is_missing_is_asked_for(root: Path) -> None:
    pty = pytest.importorskip("pty", reason="there are no terminals on this system")
    ours, theirs = pty.openpty()
    program = "import sys; from image_factory_cli.group import run; sys.exit(run(sys.argv[1:]))"
    with subprocess.Popen(
        [sys.executable, "-c", program, "enroll", "postgres"], stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.write(ours, b"library/postgres\n\n16-alpine\n")
        code = process.wait(timeout=60)
    os.close(theirs)
    os.close(ours)

    assert code == 0
    images = read_images((root / "images.yaml").read_text(), "images.yaml")
    assert [(each.enrollment.name, each.enrollment.tag) for each in images.enrollments] == [
        ("redis", "7-alpine"),
        ("postgres", "16-alpine"),
    ]


def test_a_request_needs_to_know_the_repository_of_the_folder(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*MANAGED, "--pr"]) == 2

    assert "cannot tell which repository holds this folder" in capsys.readouterr().err


def test_a_request_to_a_host_without_a_plugin_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "config.yaml").write_text("kargo: {stateRepository: 'https://git.example.com/acme/platform.git'}\n")

    assert run([*MANAGED, "--pr"]) == 2

    assert "no plugin opens change requests at https://git.example.com/acme/platform.git" in capsys.readouterr().err
