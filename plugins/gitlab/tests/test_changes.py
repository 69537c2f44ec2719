"""Merge requests: a branch that is left over is begun anew where it is ours, and kept where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from image_factory.errors import RemoteRefused
from image_factory.ports import SourceRepository
from image_factory.shell.clock import SystemClock
from image_factory.testing.gitlab_server import GitLabServer
from image_factory.testing.source_contract import plant_repository, proposal
from image_factory_gitlab.hosts import GitLabSettings, Hosts, HostSettings
from image_factory_gitlab.source import GitLabSource

FIRST = replace(proposal(), message="Update web to 1\n\nOurs: web-1\n", trailer="Ours")
SECOND = replace(proposal(b"FROM node:26\n"), message="Update web to 2\n\nOurs: web-2\n", trailer="Ours")
TOKEN = "glpat-planted"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitLabServer]:
    with GitLabServer(tmp_path / "gitlab", token=TOKEN) as server:
        plant_repository(server.repositories, "acme/web.git")
        yield server


@pytest.fixture
def source(server: GitLabServer) -> GitLabSource:
    settings = GitLabSettings(hosts={server.url: HostSettings(token_env="PLANTED")})
    return GitLabSource(Hosts(settings, {"PLANTED": TOKEN}), SystemClock())


@pytest.fixture
def web(server: GitLabServer) -> SourceRepository:
    return SourceRepository("gitlab", server.url, "acme/web")


def test_after_a_request_was_closed_the_next_begins_anew_on_the_branch(
    server: GitLabServer, source: GitLabSource, web: SourceRepository
) -> None:
    first = source.open_change_request(web, FIRST)
    server.state("acme/web").merge_requests[0].state = "closed"
    ended = source.change_request(web, FIRST.branch, "main")
    assert ended is not None
    assert (ended.is_open, ended.is_merged, ended.number) == (False, False, first.number)

    second = source.open_change_request(web, SECOND)

    assert second.number == first.number + 1
    assert source.change_request(web, FIRST.branch, "main") == second
    assert (
        source.read(web, source.revision(web, f"refs/heads/{FIRST.branch}"), SECOND.edits[0].path) == b"FROM node:26\n"
    )


def test_a_merged_request_is_told_as_such(server: GitLabServer, source: GitLabSource, web: SourceRepository) -> None:
    source.open_change_request(web, FIRST)
    server.state("acme/web").merge_requests[0].state = "merged"

    ended = source.change_request(web, FIRST.branch, "main")

    assert ended is not None
    assert (ended.is_open, ended.is_merged) == (False, True)


def test_a_fork_s_request_is_not_ours(server: GitLabServer, source: GitLabSource, web: SourceRepository) -> None:
    source.open_change_request(web, FIRST)
    server.state("acme/web").merge_requests[0].source_project_id = 99

    assert source.change_request(web, FIRST.branch, "main") is None


def test_work_of_others_on_the_branch_is_kept(
    server: GitLabServer, source: GitLabSource, web: SourceRepository
) -> None:
    source.open_change_request(web, FIRST)
    server.state("acme/web").merge_requests[0].state = "closed"
    theirs = server.repositories.commit("acme/web.git", {"theirs": "1\n"}, "Theirs", branch=FIRST.branch)

    with pytest.raises(RemoteRefused, match="holds other work"):
        source.open_change_request(web, SECOND)

    assert source.revision(web, f"refs/heads/{FIRST.branch}") == theirs
