"""Every answer of the fake keeps to types that others wrote of GitLab's, every request to python-gitlab's tables."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from gitlab.v4 import objects

from image_factory.errors import RemoteError, UnsafeValue
from image_factory.ports import BuildRequest, SourceRepository
from image_factory.testing.gitlab_server import GitLabServer
from image_factory.testing.gitlab_types import find_types, problems
from image_factory.testing.rest_server import Exchange
from image_factory.testing.source_contract import FILES, LINKS, plant_repository, proposal
from image_factory_gitlab.hosts import GitLabSettings, Hosts, HostSettings
from image_factory_gitlab.source import GitLabSource
from image_factory_gitlab.trigger import GitLabTrigger

TOKEN, TRIGGER_TOKEN = "glpat-t0ps3cret", "glptt-t0ps3cret"
PROJECT = "acme/platform/web"
NAMED = "workflow: {name: 'Build $request_id'}\nbuild: {script: ['true']}\n"


class SteadyClock:
    """A clock that stands still."""

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def sleep(self, duration: timedelta) -> None:
        raise AssertionError("nothing waits here")


@pytest.fixture(scope="module")
def types() -> Path:
    path, reason = find_types()
    if path is None:
        pytest.skip(reason)
    return path


@pytest.fixture(scope="module")
def exchanges(tmp_path_factory: pytest.TempPathFactory) -> Iterable[list[Exchange]]:
    """All that the plugin says and hears, with every kind of token."""
    with GitLabServer(
        tmp_path_factory.mktemp("gitlab"), token=TOKEN, trigger_tokens={PROJECT: TRIGGER_TOKEN}, below="/gitlab"
    ) as server:
        planted = plant_repository(server.repositories, f"{PROJECT}.git")
        server.repositories.commit(f"{PROJECT}.git", {".gitlab-ci.yml": NAMED}, "Build", branch="main")
        for is_trigger in (True, False):
            settings = HostSettings(token_env="PLANTED", trigger_token_env="TRIGGER" if is_trigger else None)
            hosts = Hosts(GitLabSettings(hosts={server.url: settings}), {"PLANTED": TOKEN, "TRIGGER": TRIGGER_TOKEN})
            web = SourceRepository("gitlab", server.url, PROJECT)
            use(GitLabTrigger(hosts, SteadyClock()), server, web)
        source = GitLabSource(hosts, SteadyClock())
        for ref in ("main", "v1", planted.first, planted.first[:10], "HEAD", "refs/heads/both"):
            source.revision(web, ref)
        source.references(web)
        source.files(web, planted.head)
        for path in [*FILES, *LINKS, "nothing"]:
            try:
                source.read(web, planted.head, path)
            except (RemoteError, UnsafeValue):
                continue
        source.open_change_request(web, proposal())
        source.open_change_request(web, proposal(b"FROM node:26\n"))
        source.open_change_request(web, dataclasses.replace(proposal(), body="More.\n"))
        source.change_request(web, proposal().branch, "main")
        server.repositories.commit(f"{PROJECT}.git", {"theirs": "1"}, "Theirs", branch="taken")
        server.trouble(500, matches="POST .*/merge_requests")
        for branch, base in (("x", "no-such-base"), ("y", "main"), ("taken", "main")):
            with pytest.raises(RemoteError):
                source.open_change_request(web, dataclasses.replace(proposal(), branch=branch, base=base))
        yield list(server.exchanges)


def use(trigger: GitLabTrigger, server: GitLabServer, web: SourceRepository) -> None:
    request = BuildRequest(web, "main", "", "r-1", {"request_id": "r-1"})
    number = trigger.start(request)
    assert number is not None
    assert trigger.find_run(request) is not None
    assert trigger.find_run(dataclasses.replace(request, request_id="none")) is None
    trigger.runs(request)
    server.finish(PROJECT, int(number), "failed")
    trigger.rerun(request, number)
    for bad in (dataclasses.replace(request, ref="none"), dataclasses.replace(request, inputs={"_": "x"}, ref="v0")):
        with pytest.raises(RemoteError):
            trigger.start(bad)


def test_every_answer_has_the_fields_and_types_that_gitlab_s_have(
    exchanges: list[Exchange], types: Path, tmp_path: Path
) -> None:
    assert len(exchanges) > 60
    assert {one.request.method for one in exchanges} == {"GET", "POST", "PUT", "DELETE"}
    assert problems(exchanges, types, tmp_path, below="/gitlab") == []


def test_an_answer_that_gitlab_would_not_give_is_found(exchanges: list[Exchange], types: Path, tmp_path: Path) -> None:
    branch = next(one for one in exchanges if one.request.path.endswith("/branches/main") and one.reply.status == 200)
    told = json.loads(branch.reply.body)

    def changed(**fields: object) -> Exchange:
        body = json.dumps({key: value for key, value in {**told, **fields}.items() if value != "gone"}).encode()
        return dataclasses.replace(branch, reply=dataclasses.replace(branch.reply, body=body))

    bad = [
        changed(name=7),
        changed(surprise="x"),
        changed(protected="gone"),
        changed(commit={**told["commit"], "parent_ids": "abc"}),
        dataclasses.replace(branch, reply=dataclasses.replace(branch.reply, status=202)),
        dataclasses.replace(branch, reply=dataclasses.replace(branch.reply, status=400, body=b'{"oops": "x"}')),
        dataclasses.replace(branch, request=dataclasses.replace(branch.request, path="/gitlab/api/v4/projects/x/none")),
    ]

    assert problems([branch], types, tmp_path, below="/gitlab") == []
    assert [one for one in bad if not problems([one], types, tmp_path, below="/gitlab")] == []


PAGED = {"per_page", "page", "pagination", "page_token"}
QUERIES = {
    "/repository/branches": PAGED,
    "/repository/tags": PAGED | set(objects.ProjectTagManager._list_filters),
    "/repository/tree": PAGED | {"ref", "path", "recursive"},
    "/merge_requests": PAGED | set(objects.ProjectMergeRequestManager._list_filters),
    "/pipelines": PAGED | set(objects.ProjectPipelineManager._list_filters),
    # docs.gitlab.com/api/repository_files, "Retrieve a raw file"
    "/repository/files/raw": {"ref", "lfs"},
}
BODIES = {
    "/merge_requests": objects.ProjectMergeRequestManager._create_attrs,
    "/merge_requests/1": objects.ProjectMergeRequestManager._update_attrs,
    "/repository/commits": objects.ProjectCommitManager._create_attrs,
    "/pipeline": objects.ProjectPipelineManager._create_attrs,
}
# docs.gitlab.com/api: fields that python-gitlab passes on without naming them.
MORE = {"/repository/commits": {"start_sha", "force"}, "/pipeline": {"variables"}}


def test_every_request_has_what_python_gitlab_knows_of(exchanges: list[Exchange]) -> None:
    assert [problem for one in exchanges for problem in request_problems(one)] == []


def test_a_request_that_python_gitlab_does_not_know_is_found(exchanges: list[Exchange]) -> None:
    listed = next(one for one in exchanges if one.request.path.endswith("/pipelines"))
    made = next(one for one in exchanges if (one.request.method, one.request.path[-15:]) == ("POST", "/merge_requests"))
    body = json.loads(made.request.body)

    for request in (
        dataclasses.replace(listed.request, query={"surprise": "1"}),
        dataclasses.replace(made.request, body=json.dumps({**body, "surprise": 1}).encode()),
        dataclasses.replace(made.request, body=json.dumps({**body, "title": ""}).encode()),
    ):
        assert list(request_problems(dataclasses.replace(made, request=request))) != []


def request_problems(exchange: Exchange) -> Iterator[str]:
    request = exchange.request
    path = re.sub(r"\A/gitlab/api/v4/projects/[^/]+", "", request.path)
    route = re.sub(r"/files/[^/]+/raw\Z", "/files/raw", path)
    at = f"{request.method} {path}"
    if request.method == "GET":
        yield from (f"{at}: no such filter: {name}" for name in set(request.query) - QUERIES.get(route, set()))
    elif route in BODIES:
        known, sent = BODIES[route], json.loads(request.body)
        allowed = {*known.required, *known.optional, *MORE.get(route, ())}
        yield from (f"{at}: no such field: {name}" for name in set(sent) - allowed)
        yield from (f"{at}: missing: {name}" for name in known.required if not sent.get(name))
    elif route == "/trigger/pipeline" and set(json.loads(request.body)) != {"ref", "token", "variables"}:
        yield f"{at}: not the fields of a trigger"
