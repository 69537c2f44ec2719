"""Commits on somebody else's branch: made without a work tree, pushed without force, found by their trailers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from image_factory.errors import AuthenticationRequired, RemoteRefused, UnsafeValue
from image_factory.ports import Credentials
from image_factory.shell.git_branch import RemoteBranch
from image_factory.testing.git_server import GitServer

FILES: dict[str, str | bytes | None] = {
    "a/one.yaml": "one\n",
    "two.yaml": "two\n",
    "run.sh": "#!/bin/sh\n",
    "large.bin": b"\0" * 300_000,
}
WHO = {"name": "Bot", "email": "bot@example.invalid"}


@dataclass(frozen=True)
class Remote:
    server: GitServer
    head: str
    cache: Path

    def branch(self, name: str = "main", credentials: Credentials | None = None) -> RemoteBranch:
        return RemoteBranch(self.server.url("deploy.git"), name, self.cache, credentials)

    def git(self, *words: str) -> str:
        folder = self.server.path("deploy.git")
        return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Remote]:
    with GitServer(tmp_path / "remotes") as server:
        server.create("deploy.git")
        links = {"link.yaml": "two.yaml", "folder": "a"}
        head = server.commit("deploy.git", FILES, "Begin", branch="main", links=links, programs=["run.sh"])
        yield Remote(server, head, tmp_path / "cache")


def test_what_is_pushed_holds_the_edits_and_all_else_as_it_was(remote: Remote) -> None:
    branch = remote.branch()

    commit = branch.commit(remote.head, {"a/one.yaml": b"1\r\n", "run.sh": b"#!/bin/sh -e\n"}, "Edit\n", **WHO)

    assert branch.push(commit)
    assert remote.git("rev-parse", "main").strip() == commit
    assert remote.git("diff", "--name-status", "main~1", "main") == "M\ta/one.yaml\nM\trun.sh\n"
    assert remote.git("ls-tree", "main", "run.sh").startswith("100755")
    assert subprocess.run(
        ["git", "show", "main:a/one.yaml"], cwd=remote.server.path("deploy.git"), check=True, capture_output=True
    ).stdout == (b"1\r\n")
    assert remote.git("log", "-1", "--format=%an <%ae> %s", "main") == "Bot <bot@example.invalid> Edit\n"


def test_no_file_is_fetched_to_change_one(remote: Remote) -> None:
    branch = remote.branch()
    branch.push(branch.commit(remote.head, {"two.yaml": b"2\n"}, "Edit", **WHO))

    (mirror,) = remote.cache.glob("*.git")
    sizes = [file.stat().st_size for file in mirror.rglob("objects/**/*") if file.is_file()]
    assert sum(sizes) < 100_000


def test_a_push_that_comes_too_late_is_told_and_forces_nothing(remote: Remote) -> None:
    branch = remote.branch()
    commit = branch.commit(remote.head, {"two.yaml": b"2\n"}, "Edit", **WHO)
    remote.server.commit("deploy.git", {"other": "x\n"}, "Other", branch="main")

    assert not branch.push(commit)
    assert remote.git("log", "--format=%s", "main").splitlines() == ["Other", "Begin"]


def test_a_refused_push_says_what_the_remote_says(remote: Remote) -> None:
    hook = remote.server.path("deploy.git") / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho protected by us >&2\nexit 1\n")
    hook.chmod(0o755)
    branch = remote.branch()

    with pytest.raises(RemoteRefused, match="protected by us") as caught:
        branch.push(branch.commit(remote.head, {"two.yaml": b"2\n"}, "Edit", **WHO))

    assert caught.value.hint


def test_what_is_no_ordinary_file_is_refused_by_its_path(remote: Remote) -> None:
    branch = remote.branch()
    paths = ["two.yaml", "link.yaml", "folder/one.yaml", "a", ".git/config", "x/.GIT/hooks/y", "../out"]

    refused = branch.refused(remote.head, paths)

    assert {path: type(error) for path, error in refused.items()} == {
        **dict.fromkeys(["link.yaml", "folder/one.yaml", "a"], RemoteRefused),
        **dict.fromkeys([".git/config", "x/.GIT/hooks/y", "../out"], UnsafeValue),
    }
    for path in paths[1:]:
        with pytest.raises((RemoteRefused, UnsafeValue)):
            branch.commit(remote.head, {path: b"x"}, "Edit", **WHO)


def test_trailers_are_found_the_newest_first_and_not_in_the_text(remote: Remote) -> None:
    for message in (
        "One\n\nIt: a\nIt: b\n",
        "Two\n\nIt: not the last paragraph\n\nmore\n",
        "Three\n\nOther: x\nIt: c\n",
    ):
        remote.server.commit("deploy.git", {"two.yaml": message}, message, branch="main")
    head = remote.git("rev-parse", "main").strip()

    assert remote.branch().trailers(head, "It") == ("c", "a", "b")
    assert remote.branch().trailers(head, "It", depth=2) == ("c",)
    folder = RemoteBranch(remote.server.path("deploy.git").as_uri(), "main", remote.cache)
    assert folder.trailers(head, "It") == ("c", "a", "b")
    with pytest.raises(UnsafeValue):
        remote.branch().trailers(head, "It,valueonly=false")


def test_credentials_go_to_the_remote_and_into_no_file(remote: Remote, tmp_path: Path) -> None:
    secret = Credentials("bot", "s3cret-t0ken")
    remote.server.credentials = secret
    with pytest.raises(AuthenticationRequired):
        remote.branch().commit(remote.head, {"two.yaml": b"2\n"}, "Edit", **WHO)
    branch = remote.branch(credentials=secret)

    assert branch.push(branch.commit(remote.head, {"two.yaml": b"2\n"}, "Edit", **WHO))
    assert branch.trailers(remote.head, "It") == ()
    assert "s3cret" not in repr(branch)
    assert not [file for file in remote.cache.rglob("*") if file.is_file() and b"s3cret" in file.read_bytes()]


@pytest.mark.parametrize("name", ["--force", "main:other", "a..b", ""])
def test_a_branch_that_could_be_more_is_refused(remote: Remote, name: str) -> None:
    branch = remote.branch()
    commit = branch.commit(remote.head, {"two.yaml": b"2\n"}, "Edit", **WHO)

    with pytest.raises(UnsafeValue):
        remote.branch(name).push(commit)
    with pytest.raises(UnsafeValue):
        remote.branch(name).trailers(remote.head, "It")


@pytest.mark.parametrize("url", ["ext::sh -c true", "http://example.com/x.git", "https://a:b@example.com/x.git", "-x"])
def test_a_url_that_git_is_not_to_use_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(UnsafeValue):
        RemoteBranch(url, "main", tmp_path).push("0" * 40)
