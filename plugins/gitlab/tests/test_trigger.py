"""The build trigger gitlab: the contract over a stateful GitLab, and what is its own."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from image_factory.errors import AuthenticationRequired, ProtocolError, RemoteNotFound, RemoteRefused
from image_factory.ports import BuildRequest, BuildTrigger, RunStatus, SourceRepository
from image_factory.testing.gitlab_server import GitLabServer
from image_factory.testing.trigger_contract import BuildTriggerContract, TriggerWorld
from image_factory_gitlab.hosts import GitLabSettings, Hosts, HostSettings, TokenKind
from image_factory_gitlab.trigger import GitLabTrigger

TOKEN = "glpat-t0ps3cretT0ken"
TRIGGER_TOKEN = "glptt-t0ps3cretTr1gger"
JOB_TOKEN = "glcbt-t0ps3cretJ0b"
PROJECT = "acme/platform/web"
NAMED = "workflow: {name: 'Build $request_id for ${triggered_by}'}\nbuild: {script: ['true']}\n"
NAMELESS = "build: {script: ['true']}\n"


class SteadyClock:
    """A clock that stands still."""

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def sleep(self, duration: timedelta) -> None:
        raise AssertionError("nothing waits here")


WORDS = {
    RunStatus.QUEUED: "pending",
    RunStatus.RUNNING: "running",
    RunStatus.SUCCEEDED: "success",
    RunStatus.FAILED: "failed",
    RunStatus.CANCELLED: "canceled",
}


def trigger_for(
    server: GitLabServer,
    *,
    token: str | None = TOKEN,
    kind: TokenKind = TokenKind.ACCESS,
    trigger_token: str | None = TRIGGER_TOKEN,
) -> GitLabTrigger:
    settings = HostSettings(
        token_env="PLANTED" if token else None,
        token_kind=kind,
        trigger_token_env="PLANTED_TRIGGER" if trigger_token else None,
    )
    environment = {"PLANTED": token or "", "PLANTED_TRIGGER": trigger_token or ""}
    return GitLabTrigger(Hosts(GitLabSettings(hosts={server.url: settings}), environment), SteadyClock())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitLabServer]:
    with GitLabServer(
        tmp_path / "gitlab",
        token=TOKEN,
        job_token=JOB_TOKEN,
        trigger_tokens={PROJECT: TRIGGER_TOKEN},
        below="/gitlab",
    ) as server:
        server.repositories.create(f"{PROJECT}.git", {".gitlab-ci.yml": NAMED})
        yield server


@pytest.fixture
def world(server: GitLabServer) -> TriggerWorld:
    return world_of(server, trigger_for(server))


def world_of(server: GitLabServer, trigger: BuildTrigger) -> TriggerWorld:
    return TriggerWorld(
        trigger,
        SourceRepository("gitlab", server.url, PROJECT),
        lambda run_id, status: server.finish(PROJECT, int(run_id), WORDS[status]),
        TRIGGER_TOKEN,
        workflow="",
        other_workflow=None,
        has_declared_inputs=False,
    )


class TestGitLab(BuildTriggerContract):
    @pytest.fixture
    def world(self, world: TriggerWorld) -> TriggerWorld:
        return world


class TestGitLabWithAnAccessTokenAlone(BuildTriggerContract):
    @pytest.fixture
    def world(self, server: GitLabServer) -> TriggerWorld:
        return dataclasses.replace(world_of(server, trigger_for(server, trigger_token=None)), secret=TOKEN)


def test_the_call_is_gitlab_s_pipeline_trigger() -> None:
    request = BuildRequest(
        SourceRepository("gitlab", "example.com/gitlab", "acme/platform/web"), "main", "", "r-1", {"request_id": "r-1"}
    )

    call = GitLabTrigger(Hosts(GitLabSettings(), {}), SteadyClock()).call(request)

    assert call.url == "https://example.com/gitlab/api/v4/projects/acme%2Fplatform%2Fweb/trigger/pipeline"
    assert call.json == {"ref": "main", "variables": {"request_id": "r-1"}}
    assert (call.secret, call.secret_field, call.accepted) == (None, "token", (201,))


def test_the_call_as_described_starts_a_pipeline_with_its_token_in_the_body(
    world: TriggerWorld, server: GitLabServer
) -> None:
    number = world.trigger.start(world.request("req-1", base_images="a=b"))

    sent = server.exchanges[0].request
    call = world.trigger.call(world.request("req-1", base_images="a=b"))
    assert call.secret_field is not None
    assert json.loads(sent.body) == {**call.json, call.secret_field: TRIGGER_TOKEN}
    assert server.origin + sent.path == call.url
    assert not {"private-token", "job-token", "authorization"} & set(sent.headers)
    made = server.state(PROJECT).pipelines[0]
    assert (str(made.id), made.source) == (number, "trigger")
    assert dict(made.variables) == {"request_id": "req-1", "base_images": "a=b"}


@pytest.mark.parametrize(
    ("token", "kind", "trigger_token", "source"),
    [
        pytest.param(TOKEN, TokenKind.ACCESS, TRIGGER_TOKEN, "trigger", id="a trigger token"),
        pytest.param(JOB_TOKEN, TokenKind.JOB, None, "pipeline", id="a job's token"),
        pytest.param(TOKEN, TokenKind.ACCESS, None, "api", id="an access token"),
    ],
)
def test_a_pipeline_is_started_with_the_token_that_there_is(
    server: GitLabServer, token: str, kind: TokenKind, trigger_token: str | None, source: str
) -> None:
    world = world_of(server, trigger_for(server, token=token, kind=kind, trigger_token=trigger_token))

    number = world.trigger.start(world.request("req-1", base_images="a=b"))

    made = server.state(PROJECT).pipelines[0]
    assert (str(made.id), made.source) == (number, source)
    assert dict(made.variables) == {"request_id": "req-1", "base_images": "a=b"}
    found = world_of(server, trigger_for(server)).trigger.find_run(world.request("req-1"))
    assert found is not None
    assert found.id == number


def test_without_any_token_it_says_which_to_make(server: GitLabServer) -> None:
    world = world_of(server, trigger_for(server, token=None, trigger_token=None))

    with pytest.raises(AuthenticationRequired) as caught:
        world.trigger.start(world.request())

    assert "GITLAB_TRIGGER_TOKEN" in caught.value.hint


def test_a_trigger_token_of_another_project_is_refused_and_not_shown(
    server: GitLabServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    world = world_of(server, trigger_for(server, trigger_token="glptt-an0ther"))

    with pytest.raises(RemoteNotFound) as caught:
        world.trigger.start(world.request())

    assert caught.value.hint
    assert "glptt-an0ther" not in f"{caught.value} {caught.value.__context__!r} {caplog.text}"


@pytest.mark.parametrize(
    ("body", "kind", "word"),
    [
        pytest.param({"message": {"base": ["Reference not found"]}}, RemoteNotFound, "check", id="no such ref"),
        pytest.param({"message": {"base": ["Missing CI config file"]}}, RemoteRefused, "change", id="no CI file"),
        pytest.param(
            {"message": {"base": ["Insufficient permissions to set pipeline variables"]}},
            AuthenticationRequired,
            "Minimum role to use pipeline variables",
            id="variables are not allowed",
        ),
    ],
)
def test_a_refused_start_says_what_to_do(
    world: TriggerWorld, server: GitLabServer, body: dict[str, object], kind: type[Exception], word: str
) -> None:
    server.trouble(400, body)

    with pytest.raises(kind) as caught:
        world.trigger.start(world.request())

    assert word in getattr(caught.value, "hint", "")


# --- finding a run without its name -------------------------------------------------------------------------


def nameless(server: GitLabServer) -> None:
    server.repositories.commit(f"{PROJECT}.git", {".gitlab-ci.yml": NAMELESS}, "Nameless", branch="main")


@pytest.mark.parametrize("has_names", [True, False], ids=["no name is given", "an older GitLab"])
def test_a_run_without_a_name_is_found_by_its_variables(server: GitLabServer, has_names: bool) -> None:
    server.has_names = has_names
    nameless(server)
    world = world_of(server, trigger_for(server))
    for number in range(5):
        world.trigger.start(world.request(f"req-{number}"))

    found = world.trigger.find_run(world.request("req-2"))

    assert found is not None
    assert found.id == str(server.state(PROJECT).pipelines[2].id)
    assert "req-2" in found.title
    assert world.trigger.find_run(world.request("req")) is None


def test_variables_of_a_pipeline_are_read_once(world: TriggerWorld, server: GitLabServer) -> None:
    nameless(server)
    for number in range(3):
        world.trigger.start(world.request(f"req-{number}"))

    for _ in range(3):
        assert world.trigger.find_run(world.request("req-none")) is None

    assert sum(one.request.path.endswith("/variables") for one in server.exchanges) == 3


def test_variables_of_only_so_many_pipelines_are_read(
    world: TriggerWorld, server: GitLabServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("image_factory_gitlab.trigger.MAX_ASKED", 4)
    for number in range(8):
        world.trigger.start(world.request(f"req-{number}"))

    assert world.trigger.find_run(world.request("req-none")) is None

    assert sum(one.request.path.endswith("/variables") for one in server.exchanges) == 4


def test_variables_that_may_not_be_read_lead_to_naming_pipelines(world: TriggerWorld, server: GitLabServer) -> None:
    server.may_read_variables = False
    world.trigger.start(world.request("req-1"))
    assert world.trigger.find_run(world.request("req-none")) is None
    nameless(server)
    world.trigger.start(world.request("req-2"))

    with pytest.raises(AuthenticationRequired) as caught:
        world.trigger.find_run(world.request("req-none"))

    assert "workflow" in caught.value.hint


# --- runs -----------------------------------------------------------------------------------------------------


def test_runs_are_those_of_the_ref_that_were_started_from_outside(world: TriggerWorld, server: GitLabServer) -> None:
    head = server.repositories.commit(f"{PROJECT}.git", {"a": "1"}, "Begin", branch="main")
    server.repositories.branch(f"{PROJECT}.git", {"other": head})
    by_access = trigger_for(server, trigger_token=None)
    first = world.trigger.start(world.request("req-1"))
    second = by_access.start(world.request("req-2"))
    world.trigger.start(dataclasses.replace(world.request("req-3"), ref="other"))
    third = world.trigger.start(world.request("req-4"))
    server.state(PROJECT).pipelines[0].source = "push"

    runs = world.trigger.runs(world.request())

    assert [run.id for run in runs] == [third, second]
    assert first not in {run.id for run in runs}


def test_every_status_has_ours(world: TriggerWorld, server: GitLabServer) -> None:
    request = world.request()
    number = world.trigger.start(request)
    assert number is not None
    waiting = ["created", "waiting_for_resource", "preparing", "pending", "manual", "scheduled", "brand_new"]
    expected = dict.fromkeys(waiting, RunStatus.QUEUED)
    expected |= {"running": RunStatus.RUNNING, "canceling": RunStatus.RUNNING, "success": RunStatus.SUCCEEDED}
    expected |= {"failed": RunStatus.FAILED, "canceled": RunStatus.CANCELLED, "skipped": RunStatus.CANCELLED}

    found = {}
    for word in expected:
        server.finish(PROJECT, int(number), word)
        run = world.trigger.run(request, number)
        found[word] = run.status
        assert run.message == ("" if word == "success" else word)

    assert found == expected


def test_a_pipeline_that_succeeded_is_not_retried_in_vain(world: TriggerWorld, server: GitLabServer) -> None:
    number = world.trigger.start(world.request())
    assert number is not None
    server.finish(PROJECT, int(number), "success")

    with pytest.raises(RemoteRefused) as caught:
        world.trigger.rerun(world.request(), number)

    assert "new build" in caught.value.hint


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"id": "x", "status": "success"}', b'{"status": 7}', b"null"])
def test_an_answer_that_is_no_pipeline_is_an_error(world: TriggerWorld, server: GitLabServer, body: bytes) -> None:
    server.trouble(200, body, matches="/pipelines/1")

    with pytest.raises(ProtocolError):
        world.trigger.run(world.request(), "1")


def test_a_started_pipeline_without_an_id_is_an_error(world: TriggerWorld, server: GitLabServer) -> None:
    server.trouble(201, {"status": "created"})

    with pytest.raises(ProtocolError):
        world.trigger.start(world.request())


def test_titles_of_commits_are_read_once_and_a_commit_that_is_gone_has_none(
    world: TriggerWorld, server: GitLabServer
) -> None:
    for number in range(3):
        world.trigger.start(world.request(f"req-{number}"))
    server.state(PROJECT).pipelines[0].sha = "f" * 40

    titles = [[run.commit_title for run in world.trigger.runs(world.request())] for _ in range(2)]

    assert titles == [["Begin", "Begin", ""]] * 2
    assert sum("/repository/commits/" in one.request.path for one in server.exchanges) == 2
