"""Pull requests: a branch that is left over is begun anew where it is ours, and kept where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from image_factory.errors import RemoteRefused
from image_factory.ports import SourceRepository
from image_factory.shell.clock import SystemClock
from image_factory.shell.git_program import Git
from image_factory.testing.github_server import GitHubServer
from image_factory.testing.source_contract import plant_repository, proposal
from image_factory_github.hosts import GitHubSettings, Hosts, HostSettings
from image_factory_github.source import GitHubSource

FIRST = replace(proposal(), message="Update web to 1\n\nOurs: web-1\n", trailer="Ours")
SECOND = replace(proposal(b"FROM node:26\n"), message="Update web to 2\n\nOurs: web-2\n", trailer="Ours")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitHubServer]:
    with GitHubServer(tmp_path / "github") as server:
        plant_repository(server.repositories, "acme/web.git")
        yield server


@pytest.fixture
def source(server: GitHubServer) -> GitHubSource:
    return GitHubSource(Hosts(GitHubSettings(hosts={server.url: HostSettings()}), {}), SystemClock())


@pytest.fixture
def web(server: GitHubServer) -> SourceRepository:
    return SourceRepository("github", server.url, "acme/web")


@pytest.mark.parametrize("is_merged", [True, False], ids=["merged", "closed"])
def test_after_a_request_has_ended_the_next_begins_anew_on_the_branch(
    server: GitHubServer, source: GitHubSource, web: SourceRepository, is_merged: bool
) -> None:
    first = source.open_change_request(web, FIRST)
    server.settle_pull("acme/web", first.number, merge=is_merged)
    ended = source.change_request(web, FIRST.branch, "main")
    assert ended is not None
    assert (ended.is_open, ended.is_merged, ended.number) == (False, is_merged, first.number)

    second = source.open_change_request(web, SECOND)

    assert second.number == first.number + 1
    found = source.change_request(web, FIRST.branch, "main")
    assert found == second
    git = Git(server.repositories.path("acme/web.git"))
    told = git.attempt("log", "--format=%s", f"main..{FIRST.branch}").text()
    assert told.splitlines() == ["Update web to 2"]


def test_work_of_others_on_the_branch_is_kept(
    server: GitHubServer, source: GitHubSource, web: SourceRepository
) -> None:
    server.settle_pull("acme/web", source.open_change_request(web, FIRST).number, merge=False)
    theirs = server.repositories.commit("acme/web.git", {"theirs": "1\n"}, "Theirs", branch=FIRST.branch)

    with pytest.raises(RemoteRefused, match="holds other work"):
        source.open_change_request(web, SECOND)

    assert source.revision(web, f"refs/heads/{FIRST.branch}") == theirs


def test_a_branch_of_ours_is_not_taken_for_that_of_a_proposal_without_a_trailer(
    server: GitHubServer, source: GitHubSource, web: SourceRepository
) -> None:
    server.settle_pull("acme/web", source.open_change_request(web, FIRST).number, merge=False)

    with pytest.raises(RemoteRefused, match="holds other work"):
        source.open_change_request(web, replace(SECOND, trailer=None))
