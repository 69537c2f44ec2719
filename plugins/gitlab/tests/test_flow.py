"""The whole way on GitLab: a change is proposed and merged, its build started, found and followed to a new image."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from image_factory.ports import BuildRequest, ChangeProposal, FileEdit, RunStatus, SourceRepository
from image_factory.shell.git_program import Git
from image_factory.testing.gitlab_server import GitLabServer
from image_factory_gitlab.hosts import GitLabSettings, Hosts
from image_factory_gitlab.source import GitLabSource
from image_factory_gitlab.trigger import GitLabTrigger

TOKEN, TRIGGER_TOKEN = "glpat-x", "glptt-x"
PROJECT = "acme/platform/team/web"
CI = "workflow: {name: 'Build $request_id'}\nbuild: {script: ['true']}\n"


class SteadyClock:
    """A clock that stands still."""

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def sleep(self, duration: timedelta) -> None:
        raise AssertionError("nothing waits here")


def test_a_change_is_proposed_merged_built_and_followed(tmp_path: Path) -> None:
    with GitLabServer(
        tmp_path / "gitlab", token=TOKEN, trigger_tokens={PROJECT: TRIGGER_TOKEN}, below="/gitlab"
    ) as server:
        server.repositories.create(f"{PROJECT}.git", {"Dockerfile": "FROM alpine:3.19\n", ".gitlab-ci.yml": CI})
        environment = {"GITLAB_HOST": server.url, "GITLAB_TOKEN": TOKEN, "GITLAB_TRIGGER_TOKEN": TRIGGER_TOKEN}
        hosts = Hosts(GitLabSettings(), environment)
        source, trigger = GitLabSource(hosts, SteadyClock()), GitLabTrigger(hosts, SteadyClock())
        web = SourceRepository("gitlab", server.url, PROJECT)
        before = source.revision(web, "main")

        edit = FileEdit("Dockerfile", b"FROM alpine:3.20\n")
        opened = source.open_change_request(
            web, ChangeProposal("image-factory/web", "main", "Update web", "To alpine 3.20\n", "Update web", (edit,))
        )
        at = f"{server.url}/api/v4{hosts.project(web).at}/merge_requests/{opened.number}/merge"
        assert httpx.put(at, headers={"PRIVATE-TOKEN": TOKEN}).status_code == 200
        after = source.revision(web, "main")
        request = BuildRequest(web, "main", "", "req-1", {"request_id": "req-1", "base_images": "[]"})
        number = trigger.start(request)
        found = trigger.find_run(request)

        assert after != before
        assert source.read(web, after, "Dockerfile") == b"FROM alpine:3.20\n"
        assert "refs/heads/image-factory/web" not in source.references(web)
        git = Git(None, ("http",), source.credentials(web), source.clone_url(web))
        assert after in git.run("ls-remote", source.clone_url(web), "main", doing="cannot list").text()
        assert found is not None
        assert (found.id, found.sha, found.title) == (number, after, "Build req-1")
        server.finish(PROJECT, int(found.id), "success")
        assert trigger.run(request, found.id).status is RunStatus.SUCCEEDED
        assert [run.id for run in trigger.runs(request)] == [number]
