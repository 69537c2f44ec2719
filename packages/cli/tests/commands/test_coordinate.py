"""`coordinate`: what is due is requested, and every image says what it waits for."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from image_factory.ports import BuildRequest, RunStatus, SourceRepository
from image_factory.testing.builds import Builds


@pytest.fixture
def moved(folder: Any) -> Any:
    """An image without delay whose base moved."""
    folder.service("web", "FROM node:22\n")
    folder.managed("web")
    images, settings = (folder.root / "images.yaml").read_text(), (folder.root / "config.yaml").read_text()
    folder.write("images.yaml", images.replace("- name: web", "- name: web\n  rebuildDelay: 0s"))
    folder.write("config.yaml", f"{settings}coordinationWindow: 0s\n")
    folder.registry.push_image("library/node", "22")
    for command in ("analyze", "observe"):
        folder.run(command)
    return folder


def move(folder: Any) -> None:
    folder.registry.push_image("library/node", "22", seed="second")
    folder.run("observe")


def test_an_image_that_is_current_is_left_alone_and_says_so(moved: Any) -> None:
    assert moved.run("coordinate").out.splitlines() == ["1 unchanged"]
    assert "web: up-to-date" in moved.run("coordinate", "--verbose").out


def test_what_is_due_is_requested_once_and_committed(moved: Any) -> None:
    move(moved)

    first, second = moved.run("coordinate"), moved.run("coordinate", "--verbose")

    assert "web: rebuild requested (web-" in first.out
    assert "for node-22" in first.out
    assert moved.git("log", "-1", "--format=%s").strip() == "Request rebuilds of web"
    assert "status: requested" in (moved.root / "state/rebuild-requests/web.yaml").read_text()
    assert "web: requested: " in second.out


def test_a_dry_run_prints_the_request_and_writes_none(moved: Any) -> None:
    move(moved)

    ran = moved.run("coordinate", "--dry-run")

    assert "+status: requested" in ran.out
    assert not (moved.root / "state/rebuild-requests").exists()


def test_a_job_decides_on_a_clone_and_pushes(moved: Any, tmp_path: Any) -> None:
    move(moved)
    moved.git("add", ".")
    moved.git("commit", "--quiet", "--message", "Enroll web")
    bare = tmp_path / "state.git"
    moved.git("clone", "--quiet", "--bare", str(moved.checkout), str(bare), folder=tmp_path)

    ran = moved.run("coordinate", f"--git-repo={bare}", "--git-branch=main", "--image-factory-dir=image-factory")

    assert ran.code == 0, ran.err
    assert moved.git("log", "-1", "--format=%s", "main", folder=bare).strip() == "Request rebuilds of web"
    assert not (moved.root / "state/rebuild-requests").exists()


def test_as_json_every_decision_has_its_reason(moved: Any) -> None:
    (decision,) = moved.run("coordinate", "--json").json["decisions"]

    assert (decision["image"], decision["reason"], decision["causes"]) == ("web", "up-to-date", [])
    assert decision["because"]


def test_with_settle_what_the_cluster_started_is_recorded_in_the_same_commit(
    moved: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import image_factory.builtins

    builds, known = Builds(), image_factory.builtins.builtin_plugins
    monkeypatch.setattr(image_factory.builtins, "builtin_plugins", lambda: {**known(), "builds": builds.plugin()})
    moved.write("config.yaml", f"engine: kargo\n{(moved.root / 'config.yaml').read_text()}")
    move(moved)
    moved.run("coordinate")
    request = yaml.safe_load((moved.root / "state/rebuild-requests/web.yaml").read_text())
    started = BuildRequest(SourceRepository("git", "", "acme/web"), "main", "web.yml", request["requestId"])
    builds.start(started)
    builds.finish(request["requestId"], RunStatus.FAILED, "exit 1")

    rehearsed = moved.run("coordinate", "--settle", "--dry-run")
    ran = moved.run("coordinate", "--settle", "--verbose")

    assert "+status: failed" in rehearsed.out
    assert "web: the rebuild ended as failed: run 1 failed: exit 1" in ran.out
    assert moved.git("log", "-1", "--format=%s").strip() == "Settle web"
    assert moved.run("coordinate", "--settle").out.splitlines() == ["1 unchanged"]


def test_with_settle_and_nothing_new_there_is_no_commit(moved: Any) -> None:
    head = moved.git("rev-parse", "HEAD")

    assert moved.run("coordinate", "--settle").out.splitlines() == ["1 unchanged"]
    assert moved.git("rev-parse", "HEAD") == head


def test_in_a_cluster_a_digest_that_was_withdrawn_is_requested_no_more(moved: Any) -> None:
    moved.write("config.yaml", f"engine: kargo\n{(moved.root / 'config.yaml').read_text()}")
    moved.run("observe", "--base", "node-22", "--digest", f"sha256:{'b' * 64}")

    ran = moved.run("coordinate", "--settle", "--verbose")
    again = moved.run("coordinate", "--settle", "--verbose")

    assert "node-22: moved from sha256:bbbbbbbbbbbb to" in ran.out
    assert not (moved.root / "state/rebuild-requests").exists()
    assert "web: up-to-date" in again.out
    assert moved.git("log", "-1", "--format=%s").strip() == "Observe node-22"


def test_in_a_cluster_what_still_is_so_is_requested_in_one_commit(moved: Any) -> None:
    moved.write("config.yaml", f"engine: kargo\n{(moved.root / 'config.yaml').read_text()}")
    move(moved)

    ran = moved.run("coordinate", "--settle")

    assert "web: rebuild requested (web-" in ran.out
    assert moved.git("log", "-1", "--format=%s").strip() == "Request rebuilds of web"
