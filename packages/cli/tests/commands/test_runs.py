"""`runs`: a table and JSON of one image's runs, in pages, and starting one again, on a GitHub of our own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from image_factory.testing.github_server import GitHubServer
from image_factory.testing.gitlab_server import GitLabServer

TOKEN = "ghp_plantedRunsT0ken"
WORKFLOW = "name: B\nrun-name: Build ${{ inputs.request_id }}\non: {workflow_dispatch: {inputs: {request_id: {}}}}\n"


@pytest.fixture
def world(folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Three runs of web.yml and one of other.yml."""
    pytest.importorskip("image_factory_github", reason="the plugin github is not installed")
    from image_factory.model.settings import Settings
    from image_factory.ports import BuildRequest, SourceRepository
    from image_factory_cli.folder import workbench

    monkeypatch.setenv("PLANTED", TOKEN)
    with GitHubServer(tmp_path / "github", token=TOKEN) as server:
        files = {f".github/workflows/{name}.yml": f"{WORKFLOW}jobs: {{}}\n" for name in ("web", "other")}
        server.repositories.create("acme/web.git", files)
        plugins = {"github": {"hosts": {server.url: {"tokenEnv": "PLANTED"}}}}
        source = f"{{provider: github, host: '{server.url}', repo: acme/web}}"
        folder.write("images.yaml", f"- {{name: web, registry: ghcr.io, repository: acme/web, source: {source}}}\n")
        folder.write("config.yaml", f"plugins: {{github: {{hosts: {{'{server.url}': {{tokenEnv: PLANTED}}}}}}}}\n")
        trigger = workbench(folder.root, Settings.model_validate({"plugins": plugins})).plugins.trigger_named("github")
        for request_id, workflow in (("r1", "web"), ("r2", "web"), ("x1", "other"), ("r3", "web")):
            repository = SourceRepository("github", server.url, "acme/web")
            trigger.start(BuildRequest(repository, "main", f"{workflow}.yml", request_id, {"request_id": request_id}))
        folder.server = server
        yield folder


def test_the_table_has_the_image_s_runs_newest_first(world: Any) -> None:
    ran = world.run("runs", "web")

    lines = ran.out.splitlines()
    assert ran.code == 0
    assert lines[0].split() == ["RUN", "STATUS", "TITLE", "SHA", "MESSAGE", "STARTED", "LINK"]
    assert [line.split()[3] for line in lines[1:]] == ["r3", "r2", "r1"]
    assert {line.split()[5] for line in lines[1:]} == {"Begin"}
    assert "ago" in lines[1]
    assert f"{world.server.url}/acme/web/actions/runs/" in lines[1]
    assert TOKEN not in ran.out + ran.err


def test_pages_follow_each_other(world: Any) -> None:
    first = world.run("runs", "web", "--page-size", "2")
    second = world.run("runs", "web", "--page-size", "2", "--page", "2", "--json").json
    third = world.run("runs", "web", "--page", "3")

    assert "next: image-factory runs web --page 2" in first.out
    assert [(run["title"], run["commitTitle"]) for run in second["runs"]] == [("Build r1", "Begin")]
    assert (second["hasMore"], second["workflow"]) == (False, "web.yml")
    assert "no runs of web.yml on page 3" in third.out


def test_a_failed_run_is_started_again(world: Any) -> None:
    run = world.server.state("acme/web").runs[0]
    world.server.finish("acme/web", run.id, "failure")

    rehearsed = world.run("runs", "rerun", "web", str(run.id), "--dry-run")
    assert "would start again" in rehearsed.out
    assert run.attempt == 1

    assert "started again" in world.run("runs", "rerun", "web", str(run.id)).out
    assert run.attempt == 2


@pytest.mark.parametrize(
    ("position", "said"),
    [pytest.param(1, "is queued", id="not ended yet"), pytest.param(2, "is a run of", id="another workflow's")],
)
def test_a_run_that_cannot_be_started_again_is_refused(world: Any, position: int, said: str) -> None:
    run = world.server.state("acme/web").runs[position]

    ran = world.run("runs", "rerun", "web", str(run.id))

    assert ran.code != 0
    assert said in ran.err


def test_a_run_s_number_that_is_none_never_reaches_a_path(world: Any) -> None:
    ran = world.run("runs", "rerun", "web", "../../user")

    assert ran.code == 2
    assert "not a run's number" in ran.err


def test_a_project_with_one_pipeline_has_no_workflow_s_file(
    folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("image_factory_gitlab", reason="the plugin gitlab is not installed")
    monkeypatch.setenv("PLANTED", "glpat-plantedRunsT0ken")
    with GitLabServer(tmp_path / "gitlab", token="glpat-plantedRunsT0ken") as server:
        server.repositories.create("acme/web.git", {"Dockerfile": "FROM scratch\n"})
        source = f"{{provider: gitlab, host: '{server.url}', repo: acme/web, ref: release}}"
        folder.write("images.yaml", f"- {{name: web, registry: ghcr.io, repository: acme/web, source: {source}}}\n")
        folder.write("config.yaml", f"plugins: {{gitlab: {{hosts: {{'{server.url}': {{tokenEnv: PLANTED}}}}}}}}\n")

        ran = folder.run("runs", "web")
        told = folder.run("runs", "web", "--json").json

    assert ran.out == "no runs of the pipeline on release yet\n"
    assert (told["workflow"], told["ref"]) == (None, "release")
