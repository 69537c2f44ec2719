"""The build trigger github: the contract over a stateful GitHub, and what is its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from image_factory.errors import ProtocolError, RemoteNotFound, RemoteRefused, UnsafeValue
from image_factory.ports import BuildRequest, RunStatus, SourceRepository
from image_factory.testing.github_server import GitHubServer
from image_factory.testing.trigger_contract import BuildTriggerContract, TriggerWorld, plant_workflows
from image_factory_github.hosts import GitHubSettings, Hosts, HostSettings
from image_factory_github.trigger import GitHubTrigger

TOKEN = "ghp_t0ps3cretT0ken"


class SteadyClock:
    """A clock that stands still."""

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def sleep(self, duration: timedelta) -> None:
        raise AssertionError("nothing waits here")


def finish(server: GitHubServer, run_id: str, status: RunStatus) -> None:
    told = {
        RunStatus.QUEUED: ("", "queued"),
        RunStatus.RUNNING: ("", "in_progress"),
        RunStatus.SUCCEEDED: ("success", "completed"),
        RunStatus.FAILED: ("failure", "completed"),
        RunStatus.CANCELLED: ("cancelled", "completed"),
    }[status]
    server.finish("acme/web", int(run_id), *told)


@pytest.fixture(params=[True, False], ids=["with run details", "without run details"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GitHubServer]:
    with GitHubServer(tmp_path / "github", token=TOKEN, has_run_details=request.param) as server:
        plant_workflows(server.repositories, "acme/web.git")
        yield server


@pytest.fixture
def world(server: GitHubServer) -> TriggerWorld:
    hosts = Hosts(GitHubSettings(hosts={server.url: HostSettings(token_env="PLANTED")}), {"PLANTED": TOKEN})
    return TriggerWorld(
        GitHubTrigger(hosts, SteadyClock()),
        SourceRepository("github", server.url, "acme/web"),
        lambda run_id, status: finish(server, run_id, status),
        TOKEN,
    )


class TestGitHub(BuildTriggerContract):
    @pytest.fixture
    def world(self, world: TriggerWorld) -> TriggerWorld:
        return world


def test_the_call_is_github_s_workflow_dispatch() -> None:
    request = BuildRequest(
        SourceRepository("github", None, "acme/web"),
        "main",
        ".github/workflows/build.yml",
        "r-1",
        {"request_id": "r-1"},
    )

    call = GitHubTrigger(Hosts(GitHubSettings(), {"GITHUB_TOKEN": TOKEN}), SteadyClock()).call(request)

    assert call.url == "https://api.github.com/repos/acme/web/actions/workflows/build.yml/dispatches"
    assert call.json == {"ref": "main", "inputs": {"request_id": "r-1"}}
    assert call.headers["X-GitHub-Api-Version"] == "2022-11-28"
    assert call.secret is not None
    assert (call.secret.name, call.secret.prefix) == ("Authorization", "Bearer ")
    assert call.accepted == (200, 204)


def test_an_enterprise_host_has_its_own_api() -> None:
    request = BuildRequest(SourceRepository("github", "git.example.com", "acme/web"), "main", "build.yml", "r-1")

    call = GitHubTrigger(Hosts(GitHubSettings(), {}), SteadyClock()).call(request)

    assert call.url.startswith("https://git.example.com/api/v3/repos/acme/web/")


def test_the_run_is_told_at_once_where_github_can(world: TriggerWorld, server: GitHubServer) -> None:
    request = world.request("req-1")

    told = world.trigger.start(request)

    found = world.trigger.find_run(request)
    assert found is not None
    assert told == (found.id if server.has_run_details else None)
    assert len(server.state("acme/web").runs) == 1
    assert dict(server.state("acme/web").runs[0].inputs) == {"request_id": "req-1"}


def test_a_run_of_another_workflow_is_not_this_one_s(world: TriggerWorld, server: GitHubServer) -> None:
    world.trigger.start(world.request("req-1", workflow="other.yml"))
    number = str(server.state("acme/web").runs[0].id)

    with pytest.raises(RemoteNotFound, match=r"other\.yml"):
        world.trigger.run(world.request(), number)


@pytest.mark.parametrize(
    "workflow", ["../build.yml", "a/b.yml", "build.yml?x", "-x.yml", "", "build", "a b.yml", "..yml"]
)
def test_a_workflow_that_is_no_file_name_is_refused(world: TriggerWorld, workflow: str) -> None:
    with pytest.raises(UnsafeValue):
        world.trigger.call(dataclasses.replace(world.request(), workflow=workflow))


def test_a_missing_workflow_is_not_found(world: TriggerWorld) -> None:
    with pytest.raises(RemoteNotFound):
        world.trigger.start(world.request(workflow="no-such.yml"))


@pytest.mark.parametrize("workflow", ["fixed.yml", "broken.yml"])
def test_a_workflow_that_cannot_be_dispatched_is_told_with_what_to_do(world: TriggerWorld, workflow: str) -> None:
    with pytest.raises(RemoteRefused) as caught:
        world.trigger.declared_inputs(world.request(workflow=workflow))

    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("on: workflow_dispatch", [], id="a word"),
        pytest.param("on: [push, workflow_dispatch]", [], id="a list"),
        pytest.param("on:\n  workflow_dispatch:", [], id="without details"),
        pytest.param("on:\n  workflow_dispatch:\n    inputs:\n      a:\n      b: {type: choice}", ["a", "b"], id="two"),
        pytest.param("'on':\n  workflow_dispatch: {inputs: {yes: {}}}", ["yes"], id="quoted"),
    ],
)
def test_inputs_are_read_in_every_shape_that_github_takes(
    world: TriggerWorld, server: GitHubServer, text: str, expected: list[str]
) -> None:
    server.repositories.commit("acme/web.git", {".github/workflows/build.yml": text}, "Change")

    assert world.trigger.declared_inputs(world.request()) == frozenset(expected)


def test_more_inputs_than_github_takes_are_refused_before_it_is_asked(
    world: TriggerWorld, server: GitHubServer
) -> None:
    with pytest.raises(RemoteRefused, match="26"):
        world.trigger.start(world.request(**{f"input_{number}": "x" for number in range(25)}))

    assert server.exchanges == []


def test_every_conclusion_has_a_status(world: TriggerWorld, server: GitHubServer) -> None:
    request = world.request()
    world.trigger.start(request)
    number = server.state("acme/web").runs[0].id
    failures = ["failure", "timed_out", "action_required", "startup_failure", "stale"]
    conclusions = ["success", "neutral", *failures, "cancelled", "skipped"]

    found = []
    for conclusion in conclusions:
        server.finish("acme/web", number, conclusion)
        run = world.trigger.run(request, str(number))
        found.append(run.status)
        assert run.message == ("" if run.status is RunStatus.SUCCEEDED else conclusion)

    assert found == [RunStatus.SUCCEEDED] * 2 + [RunStatus.FAILED] * 5 + [RunStatus.CANCELLED] * 2


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"id": "x", "status": "queued"}', b'{"status": 7}'])
def test_an_answer_that_is_no_run_is_an_error(world: TriggerWorld, server: GitHubServer, body: bytes) -> None:
    server.trouble(200, body, matches="actions/runs")

    with pytest.raises(ProtocolError):
        world.trigger.run(world.request(), "1")
