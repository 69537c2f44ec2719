"""`rebuild`: the request is shown before it is sent, and refused before its time. (The flow: tests/e2e.)"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from image_factory.testing.gitlab_server import GitLabServer


@pytest.fixture
def offline(folder: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An image whose GitHub is a port where nothing listens."""
    pytest.importorskip("image_factory_github", reason="the plugin github is not installed")
    monkeypatch.setenv("PLANTED", "ghp_plantedR3buildToken")
    folder.managed("web")
    source = "{provider: github, host: 'http://127.0.0.1:9', repo: acme/web}"
    folder.write("images.yaml", f"- {{name: web, registry: ghcr.io, repository: acme/web, source: {source}}}\n")
    folder.write("config.yaml", "plugins: {github: {hosts: {'http://127.0.0.1:9': {tokenEnv: PLANTED}}}}\n")
    return folder


@pytest.fixture
def analyzed(offline: Any) -> Any:
    """The same, analyzed while its Dockerfile could be read."""
    offline.service("web", "FROM scratch\n")
    entries, settings = (offline.root / "images.yaml").read_text(), (offline.root / "config.yaml").read_text()
    offline.managed("web")
    assert offline.run("analyze", "--all").code == 0
    offline.write("images.yaml", entries)
    offline.write("config.yaml", settings)
    return offline


def test_a_dry_run_prints_the_exact_request_even_offline(offline: Any) -> None:
    ran = offline.run("rebuild", "web", "--dry-run")

    lines = ran.out.splitlines()
    assert ran.code == 0
    assert lines[0] == "POST http://127.0.0.1:9/api/v3/repos/acme/web/actions/workflows/web.yml/dispatches"
    assert "Authorization: Bearer ••••••" in lines
    assert '"version_bump": "patch"' in ran.out
    assert "cannot read which inputs the workflow declares" in ran.err
    assert "ghp_planted" not in ran.out + ran.err


def test_with_a_program_s_log_nothing_but_its_lines_is_said(offline: Any) -> None:
    ran = offline.run("rebuild", "web", "--dry-run", "--log-format", "json")

    told = [json.loads(line) for line in ran.err.splitlines()]
    assert ran.out == ""
    assert [(line["level"], line["image"], line["op"]) for line in told] == [("warning", "web", "rebuild")]
    assert "cannot read which inputs the workflow declares" in told[0]["event"]


def test_a_dry_run_as_json_holds_method_url_headers_and_body(offline: Any) -> None:
    told = offline.run("rebuild", "web", "--dry-run", "--json", "--bump", "minor").json

    assert told["method"] == "POST"
    assert told["headers"]["Authorization"] == "Bearer ••••••"
    assert told["json"]["inputs"]["request_id"] == told["requestId"]
    assert told["json"]["inputs"]["version_bump"] == "minor"
    assert told["warnings"][0]["error"].startswith("cannot read which inputs")


def test_without_a_provider_s_answer_nothing_is_started(analyzed: Any) -> None:
    ran = analyzed.run("rebuild", "web", "--force")

    assert ran.code == 5
    assert "does not answer" in ran.err


def test_an_image_that_nothing_builds_is_refused(folder: Any) -> None:
    folder.managed("web")
    folder.write("images.yaml", "- {name: redis, repository: library/redis, tag: '7'}\n")

    ran = folder.run("rebuild", "redis")

    assert ran.code == 2
    assert "image 'redis' is external" in ran.err


def test_a_provider_that_starts_no_builds_is_named(folder: Any) -> None:
    folder.managed("web")

    ran = folder.run("rebuild", "web", "--dry-run")

    assert ran.code == 2
    assert "no build trigger plugin is called 'git'" in ran.err


def test_a_token_that_may_start_but_not_see_a_build_is_told_of(
    folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("image_factory_gitlab", reason="the plugin gitlab is not installed")
    monkeypatch.setenv("PLANTED", "glcbt-plantedJ0b")
    with GitLabServer(tmp_path / "gitlab", token="glpat-other", job_token="glcbt-plantedJ0b") as server:
        server.repositories.create("acme/web.git", {".gitlab-ci.yml": "build: {script: ['true']}\n"})
        folder.service("web", "FROM scratch\n")
        folder.managed("web")
        assert folder.run("analyze", "--all").code == 0
        source = f"{{provider: gitlab, host: '{server.url}', repo: acme/web}}"
        folder.write("images.yaml", f"- {{name: web, registry: ghcr.io, repository: acme/web, source: {source}}}\n")
        hosts = f"{{'{server.url}': {{tokenEnv: PLANTED, tokenKind: job}}}}"
        folder.write("config.yaml", f"plugins: {{gitlab: {{hosts: {hosts}}}}}\n")

        ran = folder.run("rebuild", "web", "--force")

    assert (ran.code, "rebuild started" in ran.out) == (0, True), ran.err
    assert "its run is not known: cannot read pipeline 1000000" in ran.out
    assert "hint: " in ran.out
    assert "set GITLAB_TOKEN" in ran.out


def test_a_refused_dispatch_is_one_line_of_json_with_image_operation_input_and_hint(analyzed: Any) -> None:
    ran = analyzed.run("rebuild", "web", "--force", "--log-format", "json")

    (line,) = map(json.loads, ran.err.splitlines())
    assert "does not answer" in line["event"]
    assert (line["image"], line["op"], bool(line["hint"])) == ("web", "dispatch", True)
    assert line["input"] == "http://127.0.0.1:9/acme/web@main:web.yml"
