"""The git server on loopback, as git's own client meets it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from image_factory.errors import NotFound, UnsafeValue
from image_factory.ports import Credentials
from image_factory.testing.git_server import GitServer


def git(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "HOME": str(folder)}
    identity = ["-c", "user.name=Person", "-c", "user.email=person@example.com"]
    return subprocess.run(
        ["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=False, env=environment
    )


def test_what_was_created_can_be_cloned_and_pushed_to(tmp_path: Path) -> None:
    with GitServer(tmp_path / "served") as server:
        server.create("team/web.git", {"a.txt": "a\n", "b/c.bin": b"\0\1"}, branch="trunk")
        assert git(tmp_path, "clone", "--quiet", server.url("team/web.git"), "work").returncode == 0
        # More than http.postBuffer, so that git sends it in chunks.
        (tmp_path / "work/large.bin").write_bytes(os.urandom(3_000_000))
        git(tmp_path / "work", "add", ".")
        git(tmp_path / "work", "commit", "--quiet", "-m", "Large")

        pushed = git(tmp_path / "work", "push", "--quiet", "origin", "trunk")

        assert pushed.returncode == 0, pushed.stderr
        head = git(tmp_path / "work", "rev-parse", "HEAD").stdout
        assert git(server.path("team/web.git"), "rev-parse", "trunk").stdout == head
        assert (tmp_path / "work/b/c.bin").read_bytes() == b"\0\1"
        assert {"GET", "POST"} == {request.method for request in server.requests}


def test_a_commit_changes_adds_and_removes_files_and_keeps_the_others(tmp_path: Path) -> None:
    server = GitServer(tmp_path / "served")
    server.create("web.git", {"keep": "1", "change": "1", "remove": "1"})

    commit = server.commit("web.git", {"change": "2", "remove": None, "new": "2"}, "Second", links={"link": "keep"})

    listed = git(server.path("web.git"), "ls-tree", "-r", commit).stdout.splitlines()
    assert [(line[:6], line.split("\t")[1]) for line in listed] == [
        ("100644", "change"),
        ("100644", "keep"),
        ("120000", "link"),
        ("100644", "new"),
    ]
    assert git(server.path("web.git"), "log", "--format=%s").stdout.split() == ["Second", "Begin"]


def test_without_the_credentials_nobody_gets_in(tmp_path: Path) -> None:
    with GitServer(tmp_path / "served", credentials=Credentials("me", "t0ps3cret")) as server:
        server.create("web.git", {"a": "1"})
        url = server.url("web.git")

        anonymous = git(tmp_path, "ls-remote", url)
        wrong = git(tmp_path, "ls-remote", url.replace("//", "//me:wrong@"))
        right = git(tmp_path, "ls-remote", url.replace("//", "//me:t0ps3cret@"))

    assert (anonymous.returncode, wrong.returncode, right.returncode) == (128, 128, 0)


def test_a_repository_that_does_not_exist_is_not_found(tmp_path: Path) -> None:
    with GitServer(tmp_path / "served") as server:
        finished = git(tmp_path, "ls-remote", server.url("no.git"))

    assert "not found" in finished.stderr


@pytest.mark.parametrize("name", ["../x.git", "x", "-x.git", "a/../b.git", "/etc.git", "a b.git", ""])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnsafeValue):
        GitServer(tmp_path / "served").create(name)


def test_a_server_that_is_not_running_has_no_url(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        GitServer(tmp_path / "served").url("web.git")
