"""The GitHub on loopback, as any client meets it: its state, its refusals, and git itself."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from image_factory.testing.github_server import GitHubServer
from image_factory.testing.trigger_contract import plant_workflows

TOKEN = "ghp_t0ken"


@pytest.fixture
def github(tmp_path: Path) -> Iterator[GitHubServer]:
    with GitHubServer(tmp_path / "github", token=TOKEN) as github:
        plant_workflows(github.repositories, "acme/web.git")
        yield github


@pytest.fixture
def client(github: GitHubServer) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=f"{github.url}/api/v3/repos/acme/web", headers={"Authorization": f"Bearer {TOKEN}"}
    ) as client:
        yield client


def test_what_is_written_over_the_api_can_be_cloned_with_git(
    github: GitHubServer, client: httpx.Client, tmp_path: Path
) -> None:
    head = client.get("/git/ref/heads/main").json()["object"]["sha"]
    tree = client.get(f"/git/commits/{head}").json()["tree"]["sha"]
    blob = client.post("/git/blobs", json={"content": "hello\n", "encoding": "utf-8"}).json()["sha"]
    entry = {"path": "a/b.txt", "mode": "100644", "type": "blob", "sha": blob}
    made = client.post("/git/trees", json={"base_tree": tree, "tree": [entry]}).json()["sha"]
    commit = client.post("/git/commits", json={"message": "Add", "tree": made, "parents": [head]}).json()["sha"]

    moved = client.patch("/git/refs/heads/main", json={"sha": commit})

    assert moved.status_code == 200
    url = f"{github.url}/acme/web.git"
    subprocess.run(["git", "clone", "--quiet", url, str(tmp_path / "work")], check=True)
    assert (tmp_path / "work/a/b.txt").read_text() == "hello\n"
    assert (tmp_path / "work/.github/workflows/build.yml").exists()


def test_every_url_in_an_answer_is_on_the_host_that_was_asked(github: GitHubServer, client: httpx.Client) -> None:
    client.post("/actions/workflows/build.yml/dispatches", json={"ref": "main", "inputs": {"request_id": "r"}})

    head = client.get("/git/ref/heads/main").json()["object"]["sha"]
    texts = [client.get(path).text for path in ("/git/trees/" + head, "/branches", "/actions/workflows/build.yml/runs")]

    for text in texts:
        words = [word for word in text.replace('"', " ").split() if word.startswith("http")]
        assert words
        assert all(word.startswith(github.url) for word in words)


@pytest.mark.parametrize(
    ("token", "method", "status"),
    [
        pytest.param("wrong", "GET", 401, id="a wrong token"),
        pytest.param(None, "GET", 404, id="no token, reading: hidden"),
        pytest.param(None, "POST", 401, id="no token, writing"),
    ],
)
def test_who_may_not_is_answered_as_github_does(
    github: GitHubServer, token: str | None, method: str, status: int
) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    answer = httpx.request(method, f"{github.url}/repos/acme/web/git/refs", headers=headers)

    assert answer.status_code == status
    assert "message" in answer.json()


@pytest.mark.parametrize(
    ("workflow", "body", "status", "word"),
    [
        pytest.param("build.yml", {"ref": "main", "inputs": {"request_id": "r"}}, 204, "", id="started"),
        pytest.param("none.yml", {"ref": "main"}, 404, "Not Found", id="no such workflow"),
        pytest.param("fixed.yml", {"ref": "main"}, 422, "workflow_dispatch", id="no trigger"),
        pytest.param("build.yml", {"ref": "none"}, 422, "No ref found", id="no such branch"),
        pytest.param("build.yml", {"ref": "main", "inputs": {}}, 422, "request_id", id="a required input is missing"),
        pytest.param(
            "build.yml", {"ref": "main", "inputs": {"request_id": "r", "x": "1"}}, 422, "Unexpected", id="undeclared"
        ),
        pytest.param("build.yml", {"ref": "main", "surprise": 1}, 422, "permitted key", id="an unknown key"),
    ],
)
def test_a_dispatch_is_judged_by_the_workflow(
    github: GitHubServer, client: httpx.Client, workflow: str, body: dict[str, object], status: int, word: str
) -> None:
    answer = client.post(f"/actions/workflows/{workflow}/dispatches", json=body)

    assert answer.status_code == status
    assert word in answer.text
    assert len(github.state("acme/web").runs) == (1 if status == 204 else 0)


def test_a_run_bears_the_title_that_its_workflow_gives_it(github: GitHubServer, client: httpx.Client) -> None:
    body = {"ref": "main", "inputs": {"request_id": "req-1", "triggered_by": "me"}, "return_run_details": True}

    told = client.post("/actions/workflows/build.yml/dispatches", json=body)

    run = client.get(f"/actions/runs/{told.json()['workflow_run_id']}").json()
    assert told.status_code == 200
    assert (run["display_title"], run["status"], run["conclusion"]) == ("Build req-1 for me", "queued", None)


def test_trouble_comes_as_often_as_it_was_asked_for_and_where(github: GitHubServer, client: httpx.Client) -> None:
    github.trouble(429, {"message": "slow down"}, headers={"Retry-After": "7"}, matches="GET .*/branches", times=2)

    statuses = [client.get(path).status_code for path in ("/tags", "/branches", "/branches", "/branches")]

    assert statuses == [200, 429, 429, 200]


def test_lists_come_in_pages_with_a_link_to_the_next(github: GitHubServer, client: httpx.Client) -> None:
    head = client.get("/git/ref/heads/main").json()["object"]["sha"]
    github.repositories.branch("acme/web.git", {f"b{number}": head for number in range(4)})

    first = client.get("/branches", params={"per_page": 3})
    second = client.get("/branches", params={"per_page": 3, "page": 2})

    assert (len(first.json()), len(second.json())) == (3, 2)
    assert 'rel="next"' in first.headers["Link"]
    assert "Link" not in second.headers


@pytest.mark.parametrize("path", ["/repos/acme/../etc", "/repos/acme/none", "/nothing", "/repos/acme/web/nothing"])
def test_what_is_not_there_is_not_found(github: GitHubServer, path: str) -> None:
    answer = httpx.get(github.url + path, headers={"Authorization": f"Bearer {TOKEN}"})

    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "lacks"),
    [
        pytest.param("/actions/workflows/build.yml/dispatches", {"inputs": {}}, "ref", id="a dispatch"),
        pytest.param("/git/refs", {"ref": "refs/heads/x"}, "sha", id="a ref"),
        pytest.param("/pulls", {"title": "x", "head": "x"}, "base", id="a pull request"),
    ],
)
def test_what_a_request_has_to_hold_and_does_not_is_refused(
    client: httpx.Client, path: str, body: dict[str, object], lacks: str
) -> None:
    refused = client.post(path, json=body)

    assert refused.status_code == 422
    assert f'"{lacks}" wasn\'t supplied' in refused.json()["message"]
