"""The GitLab on loopback, as any client meets it: its state, its refusals, and git itself."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from image_factory.testing.gitlab_server import GitLabServer

TOKEN = "glpat-t0ken"
PROJECT = "acme/platform/web"
AT = "/api/v4/projects/acme%2Fplatform%2Fweb"
CI = "workflow: {name: 'Build $request_id'}\nbuild: {script: ['true']}\n"


@pytest.fixture(params=["", "/dev/gitlab"], ids=["at the root", "below a path"])
def gitlab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GitLabServer]:
    tokens = {PROJECT: "glptt-x"}
    with GitLabServer(
        tmp_path / "gitlab", token=TOKEN, job_token="glcbt-x", trigger_tokens=tokens, below=request.param
    ) as gitlab:
        gitlab.repositories.create(f"{PROJECT}.git", {".gitlab-ci.yml": CI, "Dockerfile": "FROM alpine:3.19\n"})
        yield gitlab


@pytest.fixture
def client(gitlab: GitLabServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gitlab.url + AT, headers={"PRIVATE-TOKEN": TOKEN}) as client:
        yield client


def commit(client: httpx.Client, **more: object) -> httpx.Response:
    action = {"action": "update", "file_path": "Dockerfile", "content": "FROM alpine:3.20\n"}
    body = {"branch": "change", "start_branch": "main", "commit_message": "Update", "actions": [action], **more}
    return client.post("/repository/commits", json=body)


def test_a_change_goes_from_a_commit_over_a_merge_request_to_a_clone(
    gitlab: GitLabServer, client: httpx.Client, tmp_path: Path
) -> None:
    assert commit(client).status_code == 201
    body = {"source_branch": "change", "target_branch": "main", "title": "Update", "remove_source_branch": True}
    opened = client.post("/merge_requests", json=body)
    merged = client.put(f"/merge_requests/{opened.json()['iid']}/merge")

    assert (opened.status_code, merged.status_code, merged.json()["state"]) == (201, 200, "merged")
    assert client.get("/repository/branches/change").status_code == 404
    url = f"{gitlab.url}/{PROJECT}.git".replace("://", f"://oauth2:{TOKEN}@")
    subprocess.run(["git", "clone", "--quiet", url, str(tmp_path / "work")], check=True)
    assert (tmp_path / "work/Dockerfile").read_text() == "FROM alpine:3.20\n"
    assert (tmp_path / "work/.gitlab-ci.yml").exists()


def test_a_clone_without_credentials_is_refused(gitlab: GitLabServer, tmp_path: Path) -> None:
    words = ["git", "-c", "credential.helper=", "clone", "--quiet", f"{gitlab.url}/{PROJECT}.git", str(tmp_path / "x")]

    finished = subprocess.run(words, capture_output=True, env={"PATH": "/usr/bin:/bin", "GIT_TERMINAL_PROMPT": "0"})

    assert finished.returncode != 0


@pytest.mark.parametrize(
    ("more", "status", "word"),
    [
        pytest.param({}, 201, "Update", id="made"),
        pytest.param({"start_branch": None}, 400, "on a branch", id="no such branch"),
        pytest.param({"branch": "main"}, 400, "already exists", id="a branch that is there"),
        pytest.param({"branch": "main", "force": True}, 201, "Update", id="by force"),
        pytest.param(
            {"actions": [{"action": "create", "file_path": "Dockerfile", "content": "x"}]}, 400, "exists", id="there"
        ),
        pytest.param(
            {"actions": [{"action": "update", "file_path": "none", "content": "x"}]}, 400, "doesn't", id="not there"
        ),
    ],
)
def test_a_commit_is_judged_by_what_is_there(
    client: httpx.Client, more: dict[str, object], status: int, word: str
) -> None:
    answer = commit(client, **more)

    assert answer.status_code == status
    assert word in answer.text


@pytest.mark.parametrize(
    ("headers", "method", "path", "status"),
    [
        pytest.param({"PRIVATE-TOKEN": TOKEN}, "GET", "/repository/branches/main", 200, id="an access token"),
        pytest.param({"Authorization": f"Bearer {TOKEN}"}, "GET", "/repository/branches/main", 200, id="a bearer"),
        pytest.param({"PRIVATE-TOKEN": "wrong"}, "GET", "/repository/branches/main", 401, id="a wrong one"),
        pytest.param({}, "GET", "/repository/branches/main", 404, id="none, reading: hidden"),
        pytest.param({}, "POST", "/repository/commits", 401, id="none, writing"),
        pytest.param({"JOB-TOKEN": "glcbt-x"}, "GET", "/repository/files/Dockerfile/raw", 200, id="a job's, a file"),
        pytest.param({"JOB-TOKEN": "wrong"}, "GET", "/repository/files/Dockerfile/raw", 401, id="a wrong job's"),
        pytest.param({"JOB-TOKEN": "glcbt-x"}, "GET", "/repository/tree", 404, id="a job's, where it counts nothing"),
    ],
)
def test_who_may_not_is_answered_as_gitlab_does(
    gitlab: GitLabServer, headers: dict[str, str], method: str, path: str, status: int
) -> None:
    assert httpx.request(method, gitlab.url + AT + path, headers=headers).status_code == status


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        pytest.param({"token": "glptt-x", "ref": "main", "variables": {"request_id": "r-1"}}, 201, "r-1", id="made"),
        pytest.param({"token": "glcbt-x", "ref": "main"}, 201, "pipeline", id="with a job's token"),
        pytest.param({"token": "wrong", "ref": "main"}, 404, "404 Not Found", id="a wrong token"),
        pytest.param({"ref": "main"}, 400, "token is missing", id="no token"),
        pytest.param({"token": "glptt-x", "ref": "none"}, 400, "Reference not found", id="no such ref"),
        pytest.param({"token": "glptt-x", "ref": "main", "variables": {"a": 1}}, 400, "key-valued", id="a number"),
        pytest.param({"token": "glptt-x", "ref": "main", "variables": {"a-b": "1"}}, 400, "letters", id="an odd key"),
    ],
)
def test_a_pipeline_is_triggered_by_whoever_has_its_token(
    gitlab: GitLabServer, body: dict[str, object], status: int, word: str
) -> None:
    answer = httpx.post(f"{gitlab.url}{AT}/trigger/pipeline", json=body)

    assert answer.status_code == status
    assert word in answer.text
    assert len(gitlab.state(PROJECT).pipelines) == (1 if status == 201 else 0)


def test_a_failed_pipeline_is_retried_and_a_successful_one_is_left(gitlab: GitLabServer, client: httpx.Client) -> None:
    number = client.post("/pipeline", json={"ref": "main"}).json()["id"]

    found = []
    for status in ("failed", "success"):
        gitlab.finish(PROJECT, number, status)
        found.append(client.post(f"/pipelines/{number}/retry").json()["status"])

    assert found == ["pending", "success"]


def test_lists_come_in_pages_and_trees_by_keys(gitlab: GitLabServer, client: httpx.Client) -> None:
    head = client.get("/repository/branches/main").json()["commit"]["id"]
    gitlab.repositories.branch(f"{PROJECT}.git", {f"b{number}": head for number in range(4)})

    first = client.get("/repository/branches", params={"per_page": 3})
    second = client.get("/repository/branches", params={"per_page": 3, "page": 2})
    tree = client.get("/repository/tree", params={"pagination": "keyset", "per_page": 1})
    rest = httpx.get(tree.links["next"]["url"], headers={"PRIVATE-TOKEN": TOKEN})

    assert (len(first.json()), len(second.json())) == (3, 2)
    assert (first.headers["X-Next-Page"], second.headers["X-Next-Page"]) == ("2", "")
    assert [one["path"] for one in tree.json() + rest.json()] == [".gitlab-ci.yml", "Dockerfile"]
    assert "Link" not in rest.headers


@pytest.mark.parametrize("path", ["/api/v4/projects/acme%2F..", "/api/v4/projects/none", "/api/v4/x", "/x"])
def test_what_is_not_there_is_not_found(gitlab: GitLabServer, path: str) -> None:
    assert httpx.get(gitlab.url + path, headers={"PRIVATE-TOKEN": TOKEN}).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "lacks"),
    [
        pytest.param("/repository/commits", {"commit_message": "x"}, "branch", id="a commit"),
        pytest.param("/merge_requests", {"source_branch": "x"}, "target_branch", id="a merge request"),
    ],
)
def test_what_a_request_has_to_hold_and_does_not_is_refused(
    client: httpx.Client, path: str, body: dict[str, object], lacks: str
) -> None:
    refused = client.post(path, json=body)

    assert (refused.status_code, f"{lacks} is missing" in refused.text) == (400, True)
