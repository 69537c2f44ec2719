"""The judge runs promotions as Kargo does: steps against git and http servers that really answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.kargo.judge import Judge, Refused

from image_factory.ports import Credentials
from image_factory.testing.git_server import GitServer
from image_factory.testing.github_server import GitHubServer
from image_factory.testing.rest_server import Reply, Request, RestServer

PROJECT = "factory"
URL = "https://github.com/acme/platform.git"
DIGEST = "sha256:" + "0a" * 32


class Echo(RestServer):
    """Answers every request with what it was sent."""

    def respond(self, request: Request) -> Reply:
        told = {
            "method": request.method,
            "body": request.body.decode(),
            "authorization": request.headers.get("authorization"),
        }
        return Reply(200, json.dumps(told).encode(), {"Content-Type": "application/json"})


@pytest.fixture
def echo() -> Iterator[Echo]:
    with Echo() as server:
        yield server


@pytest.fixture
def repositories(tmp_path: Path) -> Iterator[GitServer]:
    with GitServer(tmp_path / "repositories") as server:
        yield server


def stage(*steps: dict[str, Any], variables: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "kargo.akuity.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": "carry-web", "namespace": PROJECT},
        "spec": {
            "vars": [{"name": name, "value": value} for name, value in (variables or {}).items()],
            "requestedFreight": [{"origin": {"kind": "Warehouse", "name": "web"}, "sources": {"direct": True}}],
            "promotionTemplate": {"spec": {"steps": list(steps)}},
            **spec,
        },
    }


def freight(commit: str = "c0ffee") -> dict[str, Any]:
    return {
        "metadata": {"name": "f1"},
        "alias": "bold-web",
        "origin": {"kind": "Warehouse", "name": "web"},
        "images": [{"repoURL": "ghcr.io/acme/web", "tag": "1.2.0", "digest": DIGEST}],
        "commits": [{"repoURL": URL, "id": commit, "branch": "main"}],
    }


def clone(**checkout: str) -> dict[str, Any]:
    config = {"repoURL": URL, "checkout": [{"path": "./a", "branch": "main", **checkout}]}
    return {"uses": "git-clone", "as": "clone", "config": config}


def statuses(answer: dict[str, Any]) -> dict[str, str]:
    return {step["alias"]: step["status"] for step in answer["steps"]}


def test_vars_freight_and_secrets_reach_a_request(judge: Judge, echo: Echo) -> None:
    body = '${% quote({"tag": imageFrom("ghcr.io/acme/web").Tag, "branch": vars.branch}) %}'
    request = {
        "uses": "http",
        "as": "ask",
        "config": {
            "method": "POST",
            "url": echo.origin,
            "headers": [{"name": "Authorization", "value": "Bearer ${{ secret('github').token }}"}],
            "body": body,
            "outputs": [{"name": "told", "fromExpression": "response.body"}],
        },
    }

    answer = judge.promote(
        stage(request, variables={"branch": "main"}), freight(), secrets={"github": {"token": "t0ken"}}
    )

    assert (answer["phase"], statuses(answer)) == ("Succeeded", {"ask": "Succeeded"})
    told = answer["outputs"]["ask"]["told"]
    assert json.loads(told["body"]) == {"tag": "1.2.0", "branch": "main"}
    assert told["authorization"] == "Bearer t0ken"


def test_a_file_of_the_promoted_commit_is_read(judge: Judge, repositories: GitServer) -> None:
    first = repositories.create("platform.git", {"request.yaml": "requestId: r1\n"})
    assert first is not None
    repositories.commit("platform.git", {"request.yaml": "requestId: r2\n"}, "Go on")
    config = {"repoURL": URL, "checkout": [{"path": "./a", "commit": f"${{{{ commitFrom('{URL}').ID }}}}"}]}
    outputs = [{"name": "id", "fromExpression": "requestId"}]
    steps = (
        {"uses": "git-clone", "config": config},
        {"uses": "yaml-parse", "as": "file", "config": {"path": "./a/request.yaml", "outputs": outputs}},
    )

    answer = judge.promote(stage(*steps), freight(first), rewrite={URL: repositories.url("platform.git")})

    assert answer["phase"] == "Succeeded", answer
    assert answer["outputs"]["file"] == {"id": "r1"}


def test_a_change_is_committed_and_pushed_and_none_is_skipped(judge: Judge, repositories: GitServer) -> None:
    repositories.create("platform.git", {"values.yaml": "image:\n  tag: 1.0.0 # ours\n"})
    update = {
        "path": "./a/values.yaml",
        "updates": [{"key": "image.tag", "value": "${{ imageFrom('ghcr.io/acme/web').Tag }}"}],
    }
    steps = (
        clone(),
        {"uses": "yaml-update", "config": update},
        {"uses": "git-commit", "as": "commit", "config": {"path": "./a", "message": "Update"}},
        {
            "uses": "git-push",
            "as": "push",
            "if": "${{ success() && status('commit') == 'Succeeded' }}",
            "config": {"path": "./a", "targetBranch": "main"},
        },
    )
    rewrite = {URL: repositories.url("platform.git")}

    first = judge.promote(stage(*steps), freight(), rewrite=rewrite)
    second = judge.promote(stage(*steps), freight(), rewrite=rewrite)

    assert statuses(first)["push"] == "Succeeded", first
    assert (second["phase"], statuses(second)["commit"], statuses(second)["push"]) == (
        "Succeeded",
        "Skipped",
        "Skipped",
    )


def test_a_task_s_steps_run_in_its_place_and_leave_its_output(judge: Judge) -> None:
    task = {
        "apiVersion": "kargo.akuity.io/v1alpha1",
        "kind": "PromotionTask",
        "metadata": {"name": "greet", "namespace": PROJECT},
        "spec": {
            "vars": [{"name": "who"}],
            "steps": [
                {"uses": "compose-output", "as": "inner", "config": {"text": "hello ${{ vars.who }}"}},
                {"uses": "compose-output", "config": {"said": "${{ task.outputs.inner.text }}"}},
            ],
        },
    }
    steps = (
        {
            "task": {"name": "greet"},
            "as": "first",
            "vars": [{"name": "who", "value": "${{ ctx.targetFreight.alias }}"}],
        },
        {"uses": "compose-output", "as": "second", "config": {"heard": "${{ outputs.first.said }}"}},
    )

    answer = judge.promote(stage(*steps), freight(), tasks=[task])

    assert answer["phase"] == "Succeeded", answer
    assert [step["alias"] for step in answer["steps"]] == ["first::inner", "first::step-2", "second"]
    assert answer["outputs"]["second"] == {"heard": "hello bold-web"}


def test_a_task_that_is_not_there_makes_no_promotion(judge: Judge) -> None:
    answer = judge.promote(stage({"task": {"name": "greet"}}), freight())

    assert answer["phase"] == "NotCreated"
    assert "greet" in answer["message"]


def test_freight_that_the_stage_did_not_ask_for_makes_no_promotion(judge: Judge) -> None:
    foreign = {**freight(), "origin": {"kind": "Warehouse", "name": "api"}}

    answer = judge.promote(stage({"uses": "compose-output", "config": {"a": 1}}), foreign)

    assert (answer["phase"], "not available" in answer["message"]) == ("NotCreated", True)


@pytest.mark.parametrize(
    ("step", "phase", "reason"),
    [
        pytest.param({"uses": "gha-dispatch-workflow"}, "Errored", "not registered", id="a step of the paid edition"),
        pytest.param({"uses": "http", "config": {"method": "POST"}}, "Failed", "url is required", id="a config"),
        pytest.param(
            {"uses": "http", "config": {"url": "http://127.0.0.1:9/", "body": '{"a": "${{ ctx.stage }}"}'}},
            "Failed",
            "body",
            id="a body that became an object",
        ),
        pytest.param({"uses": "compose-output", "config": {"a": "${{ nil.b }}"}}, "Errored", "nil", id="an expression"),
        pytest.param({"uses": "compose-output", "if": "${{ 1 }}", "config": {}}, "Errored", "boolean", id="an if"),
        pytest.param({"uses": "fail", "config": {"message": "enough"}}, "Failed", "enough", id="a step that fails"),
    ],
)
def test_a_step_that_cannot_run_ends_the_promotion(judge: Judge, step: dict[str, Any], phase: str, reason: str) -> None:
    answer = judge.promote(stage(step, {"uses": "compose-output", "as": "after", "config": {"a": 1}}), freight())

    assert (answer["phase"], statuses(answer)["after"]) == (phase, "Skipped")
    assert reason in answer["message"], answer


def test_a_connection_that_breaks_is_tried_as_often_as_the_retry_says(judge: Judge) -> None:
    with Echo() as gone:
        address = gone.origin
    step = {"uses": "http", "as": "ask", "retry": {"errorThreshold": 3}, "config": {"url": address}}

    answer = judge.promote(stage(step), freight())

    assert (answer["phase"], answer["steps"][0]["errors"]) == ("Errored", 3)


@pytest.mark.parametrize(
    "criterion",
    [
        pytest.param({}, id="nothing says what is no success"),
        pytest.param({"successExpression": "response.status == 200"}, id="something says what is one"),
    ],
)
def test_an_answer_without_success_is_waited_for_without_end(
    judge: Judge, echo: Echo, criterion: dict[str, str]
) -> None:
    step = {"uses": "http", "retry": {"errorThreshold": 1}, "config": {"url": echo.origin, **criterion}}
    echo.trouble(503, times=3)

    assert judge.promote(stage(step), freight())["phase"] == "Running"
    assert judge.promote(stage(step), freight(), patience=10)["phase"] == "Succeeded"


def test_an_answer_that_is_a_failure_ends_the_promotion(judge: Judge, echo: Echo) -> None:
    expressions = {"successExpression": "response.status == 204", "failureExpression": "response.status == 422"}
    step = {"uses": "http", "retry": {"errorThreshold": 3}, "config": {"url": echo.origin, **expressions}}
    echo.trouble(422)

    assert judge.promote(stage(step), freight())["phase"] == "Failed"


@pytest.mark.parametrize("over_http", [True, False])
def test_credentials_go_over_http_only_where_kargo_is_set_up_so(judge: Judge, tmp_path: Path, over_http: bool) -> None:
    with GitServer(tmp_path / "repositories", credentials=Credentials("git", "t0ken")) as server:
        server.create("platform.git", {"a": "b\n"})
        url = server.url("platform.git")
        credentials = {"repoURL": url, "username": "git", "password": "t0ken"}
        step = {"uses": "git-clone", "config": {"repoURL": url, "checkout": [{"path": "./a", "branch": "main"}]}}

        answer = judge.promote(stage(step), freight(), secrets={"git": credentials}, credentialsOverHTTP=over_http)

    assert answer["phase"] == ("Succeeded" if over_http else "Errored"), answer


def test_a_change_is_proposed_where_the_provider_is_named(judge: Judge, tmp_path: Path) -> None:
    with GitHubServer(tmp_path / "github", token="t0ken") as github:
        github.repositories.create("acme/web.git", {"a": "b\n"})
        url = f"{github.url}/acme/web.git"
        steps = (
            {"uses": "git-clone", "config": {"repoURL": url, "checkout": [{"path": "./a", "branch": "main"}]}},
            {"uses": "file-write", "config": {"path": "./a/a", "contents": "c", "overwrite": True}},
            {"uses": "git-commit", "config": {"path": "./a", "message": "Change"}},
            {"uses": "git-push", "as": "push", "config": {"path": "./a", "targetBranch": "proposal"}},
            {
                "uses": "git-open-pr",
                "as": "open",
                "config": {
                    "repoURL": url,
                    "provider": "github",
                    "sourceBranch": "proposal",
                    "targetBranch": "main",
                    "title": "Change a",
                },
            },
        )
        credentials = {"repoURL": url, "username": "git", "password": "t0ken"}

        answer = judge.promote(stage(*steps), freight(), secrets={"git": credentials}, credentialsOverHTTP=True)
        pulls = github.state("acme/web").pulls

    assert answer["phase"] == "Succeeded", answer
    assert [(pull.head, pull.base, pull.title) for pull in pulls] == [("proposal", "main", "Change a")]


def test_what_steps_note_of_stage_and_freight_is_told(judge: Judge) -> None:
    updates = [
        {"kind": "Stage", "name": "carry-web", "values": {"last": "r1"}},
        {"kind": "Freight", "name": "f1", "values": {"seen": True}},
    ]

    answer = judge.promote(stage({"uses": "set-metadata", "config": {"updates": updates}}), freight())

    assert (answer["stageMetadata"], answer["freightMetadata"]) == ({"last": "r1"}, {"seen": True})


TEMPLATE = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "AnalysisTemplate",
    "metadata": {"name": "look", "namespace": PROJECT},
    "spec": {"args": [{"name": "tag"}], "metrics": [{"name": "analysis", "provider": {"job": {"spec": {}}}}]},
}


def verified(**args: str) -> dict[str, Any]:
    told = [{"name": name, "value": value} for name, value in args.items()]
    return stage(verification={"analysisTemplates": [{"name": "look"}], "args": told})


def test_a_verification_gets_its_arguments(judge: Judge) -> None:
    asked = verified(tag="${{ quote(imageFrom('ghcr.io/acme/web').Tag) }}", undeclared="x")

    answer = judge.verify(asked, freight(), templates=[TEMPLATE])

    assert answer["args"] == {"tag": "1.2.0"}
    assert answer["run"]["spec"]["metrics"][0]["name"] == "analysis"


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        pytest.param({"tag": "${{ 22 }}"}, "not a string", id="an argument that is a number"),
        pytest.param({}, "tag", id="an argument that nobody gives"),
        pytest.param({"tag": "${{ ctx.promotion.name }}"}, "name", id="what only a promotion knows"),
    ],
)
def test_a_verification_that_cannot_begin_is_refused(judge: Judge, args: dict[str, str], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        judge.verify(verified(**args), freight(), templates=[TEMPLATE])
