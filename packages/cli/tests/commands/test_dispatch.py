"""`dispatch`: the claim is committed before a provider is called, and what came of it after. (More: tests/e2e.)"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from image_factory.testing.github_server import GitHubServer

WORKFLOW = (
    "name: b\nrun-name: ${{ inputs.request_id }}\non: {workflow_dispatch: {inputs: {request_id: {}}}}\njobs: {}\n"
)


@pytest.fixture
def github(folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHubServer]:
    """An analyzed image that a GitHub builds, with a request."""
    pytest.importorskip("image_factory_github", reason="the plugin github is not installed")
    monkeypatch.setenv("PLANTED", "ghp_plantedD1spatchToken")
    with GitHubServer(tmp_path / "github", token="ghp_plantedD1spatchToken") as github:
        github.repositories.create("acme/web.git", {".github/workflows/web.yml": WORKFLOW})
        folder.service("web", "FROM scratch\n")
        folder.managed("web")
        assert folder.run("analyze", "--all").code == 0
        source = f"{{provider: github, host: '{github.url}', repo: acme/web}}"
        folder.write("images.yaml", f"- {{name: web, registry: ghcr.io, repository: acme/web, source: {source}}}\n")
        settings = (folder.root / "config.yaml").read_text()
        folder.write(
            "config.yaml", f"{settings}plugins: {{github: {{hosts: {{'{github.url}': {{tokenEnv: PLANTED}}}}}}}}\n"
        )
        ask(folder)
        yield github


def ask(folder: Any, status: str = "requested") -> None:
    fields = f"name: web\nrequestId: web-r1\nstatus: {status}\nrequestedAt: '2026-03-01T12:00:00Z'\nreason: due\n"
    folder.write("state/rebuild-requests/web.yaml", fields)


def test_a_request_is_claimed_in_one_commit_and_recorded_in_the_next(folder: Any, github: GitHubServer) -> None:
    ran = folder.run("dispatch")

    (started,) = github.state("acme/web").runs
    assert ran.code == 0, ran.err
    assert "web: rebuild is started (web-r1)" in ran.out
    assert "declares no input 'base_images'" in ran.err
    assert started.inputs["request_id"] == "web-r1"
    assert folder.git("log", "-2", "--format=%s").splitlines() == ["Dispatch web", "Claim web"]
    assert "status: dispatching" in folder.git("show", "HEAD^:image-factory/state/rebuild-requests/web.yaml")
    assert folder.git("status", "--short", "--", "image-factory/state") == ""


def test_it_is_started_once_however_often_it_is_run(folder: Any, github: GitHubServer) -> None:
    folder.run("dispatch")

    assert folder.run("dispatch").out.splitlines() == ["nothing to do"]
    assert len(github.state("acme/web").runs) == 1


def test_a_dry_run_shows_what_would_be_started_and_asks_nothing(folder: Any, github: GitHubServer) -> None:
    before = (folder.root / "state/rebuild-requests/web.yaml").read_text()

    ran = folder.run("dispatch", "--dry-run")
    told = folder.run("dispatch", "--dry-run", "--json").json

    assert "web: would be started (web-r1, attempt 1)" in ran.out
    assert [each["requestId"] for each in told["starts"]] == ["web-r1"]
    assert (folder.root / "state/rebuild-requests/web.yaml").read_text() == before
    assert github.exchanges == []


def test_as_json_it_tells_requests_outcomes_and_the_commit(folder: Any, github: GitHubServer) -> None:
    told = folder.run("dispatch", "web", "--json").json

    (request,) = told["requests"]
    assert (request["status"], request["dispatch"]["runId"]) == ("dispatched", str(github.state("acme/web").runs[0].id))
    assert told["commit"] == folder.git("rev-parse", "HEAD").strip()
    assert told["outcomes"][0]["outcome"] == "changed"


def test_another_image_s_request_is_left_alone(folder: Any, github: GitHubServer) -> None:
    entries = (folder.root / "images.yaml").read_text()
    folder.write("images.yaml", f"{entries}- {{name: api, repository: redis, tag: '7'}}\n")

    assert folder.run("dispatch", "api").out.splitlines() == ["nothing to do"]
    assert github.exchanges == []


def test_a_name_that_nobody_knows_ends_with_2(folder: Any, github: GitHubServer) -> None:
    ran = folder.run("dispatch", "nope")

    assert (ran.code, ran.out) == (2, "")
    assert "no image is called 'nope'" in ran.err
    assert folder.run("settle", "nope").code == 2


def test_what_is_refused_is_said_and_recorded(folder: Any, github: GitHubServer) -> None:
    github.trouble(422, {"message": "Workflow is disabled"}, matches="dispatches")

    ran = folder.run("dispatch")

    assert ran.code == 2
    assert "Workflow is disabled (request web-r1)" in ran.out
    assert "status: failed" in (folder.root / "state/rebuild-requests/web.yaml").read_text()


def test_what_waits_for_approval_is_not_started_before_a_person_does(folder: Any, github: GitHubServer) -> None:
    ask(folder, "needs-approval")

    assert folder.run("dispatch").out.splitlines() == ["nothing to do"]
    ran = folder.run("rebuild", "web")

    assert "approved by " in ran.out
    assert "approvedBy: " in (folder.root / "state/rebuild-requests/web.yaml").read_text()
    assert len(github.state("acme/web").runs) == 1


def test_a_rebuild_that_is_under_way_is_refused_with_its_request(folder: Any, github: GitHubServer) -> None:
    folder.run("dispatch")

    ran = folder.run("rebuild", "web", "--force")

    assert ran.code == 2
    assert "a rebuild of web is under way: request web-r1" in ran.err
    assert len(github.state("acme/web").runs) == 1


def test_nothing_but_its_log_is_said_where_a_program_reads(folder: Any, github: GitHubServer) -> None:
    ran = folder.run("dispatch", "--log-format", "json")

    assert ran.out == ""
    assert [json.loads(line)["event"] for line in ran.err.splitlines()] != []


def test_with_kargo_as_the_engine_nothing_is_started_and_that_is_said(folder: Any, github: GitHubServer) -> None:
    folder.write("config.yaml", f"engine: kargo\n{(folder.root / 'config.yaml').read_text()}")

    ran, told = folder.run("dispatch"), folder.run("dispatch", "--json")

    assert ran.out.splitlines()[0] == "engine: kargo, so that Kargo starts builds and this command starts none"
    assert told.json["requests"] == []
    assert github.state("acme/web").runs == []
    assert "status: requested" in (folder.root / "state/rebuild-requests/web.yaml").read_text()
