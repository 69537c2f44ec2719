"""Earlier versions of state files: all that git has, the newest first, and honest about where they end."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from image_factory.shell.state_history import StateHistory


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=Someone", "-c", "user.email=someone@example.com", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of state inside a checkout, with nothing committed yet."""
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    made = tmp_path / "image-factory" / "state" / "base-images"
    made.mkdir(parents=True)
    return made


def commit(folder: Path, name: str, text: str | None, message: str = "Change") -> None:
    file = folder / name
    file.unlink() if text is None else file.write_text(text)
    git(folder, "add", "--all", ".")
    git(folder, "commit", "--quiet", "--message", message)


def found(folder: Path) -> StateHistory:
    history = StateHistory.find(folder)
    assert history is not None
    return history


def texts(folder: Path) -> dict[str, list[str | None]]:
    history = found(folder)
    read = {
        name: [history.text(version) for version in versions] for name, versions in history.versions().by_name.items()
    }
    history.close()
    return read


def test_every_version_is_found_the_newest_first(folder: Path) -> None:
    commit(folder, "node.yaml", "1")
    commit(folder, "nginx.yaml", "a")
    commit(folder, "node.yaml", "2")

    assert texts(folder) == {"node": ["2", "1"], "nginx": ["a"]}


def test_what_is_removed_and_comes_back_keeps_its_versions(folder: Path) -> None:
    commit(folder, "node.yaml", "1")
    commit(folder, "other.yaml", "x")
    commit(folder, "node.yaml", None)
    commit(folder, "node.yaml", "2")

    assert texts(folder)["node"] == ["2", "1"]


def test_versions_of_a_branch_that_was_merged_count(folder: Path) -> None:
    commit(folder, "node.yaml", "1")
    git(folder, "switch", "--quiet", "--create", "side")
    commit(folder, "nginx.yaml", "a")
    git(folder, "switch", "--quiet", "main")
    commit(folder, "node.yaml", "2")
    git(folder, "merge", "--quiet", "--no-edit", "side")

    assert texts(folder) == {"node": ["2", "1"], "nginx": ["a"]}


def test_names_of_messages_and_files_cannot_be_taken_for_others(folder: Path) -> None:
    commit(folder, "node.yaml", "1", ":100644 100644 0 0 M\n\n\x01 1")
    commit(folder, "\x01 tab\tand\nline.yaml", "odd")
    commit(folder, "node.yaml", "2")

    assert texts(folder) == {"node": ["2", "1"], "\x01 tab\tand\nline": ["odd"]}


def test_links_and_files_of_other_folders_are_no_versions(folder: Path) -> None:
    commit(folder, "node.yaml", "1")
    (folder / "deep").mkdir()
    commit(folder, "deep/node.yaml", "no")
    commit(folder, "README.md", "no")
    (folder / "link.yaml").symlink_to("node.yaml")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "Link")

    assert texts(folder) == {"node": ["1"]}


def test_a_folder_outside_of_git_has_no_history(tmp_path: Path) -> None:
    assert StateHistory.find(tmp_path / "nowhere") is None
    assert StateHistory.find(tmp_path) is None


def test_a_checkout_without_a_commit_has_no_history(folder: Path) -> None:
    assert StateHistory.find(folder) is None


def test_a_shallow_clone_says_that_its_history_is_cut(folder: Path, tmp_path: Path) -> None:
    commit(folder, "node.yaml", "1")
    commit(folder, "node.yaml", "2")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{tmp_path}", str(clone))

    inside = clone / folder.relative_to(tmp_path)

    assert found(inside).versions().is_cut
    assert texts(inside) == {"node": ["2"]}
    assert not found(folder).versions().is_cut


def test_a_history_with_more_than_is_taken_is_cut(folder: Path) -> None:
    commit(folder, "node.yaml", "1")
    commit(folder, "node.yaml", "2")

    assert found(folder).versions(limit=1).is_cut


def test_a_history_that_takes_longer_than_is_waited_is_cut(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(folder, "node.yaml", "1")
    history, real = found(folder), shutil.which("git")
    slow = tmp_path / "slow" / "git"
    slow.parent.mkdir()
    slow.write_text(f'#!/bin/sh\ncase "$*" in *log*) sleep 30 ;; esac\nexec {real} "$@"\n')
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}{os.pathsep}{os.environ['PATH']}")

    assert history.versions(timeout=timedelta(seconds=0.2)).is_cut


@pytest.mark.parametrize("version", ["0" * 40, "HEAD"], ids=["an id of nothing", "a commit"])
def test_what_is_no_file_is_no_text(folder: Path, version: str) -> None:
    commit(folder, "node.yaml", "1")

    assert found(folder).text(version) is None


def test_bytes_that_are_no_text_are_none(folder: Path) -> None:
    (folder / "node.yaml").write_bytes(b"\xff\xfe")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "Odd")

    assert texts(folder) == {"node": [None]}
