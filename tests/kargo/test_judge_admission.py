"""The judge refuses what Kargo's API server refuses, and takes what it takes: schemas, their rules, and webhooks."""

from __future__ import annotations

from typing import Any

import pytest
from tests.kargo.judge import Judge

NAMESPACE = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "factory", "labels": {"kargo.akuity.io/project": "true"}},
}
EXISTING = [NAMESPACE, {"apiVersion": "kargo.akuity.io/v1alpha1", "kind": "Project", "metadata": {"name": "factory"}}]
BASE = {"repoURL": "docker.io/library/python", "imageSelectionStrategy": "Digest", "constraint": "3.12-slim"}
ORIGIN = {"kind": "Warehouse", "name": "web"}


def kargo(kind: str, name: str, **rest: Any) -> dict[str, Any]:
    metadata = {"name": name, **({} if kind == "Project" else {"namespace": "factory"})}
    return {"apiVersion": "kargo.akuity.io/v1alpha1", "kind": kind, "metadata": metadata, **rest}


def warehouse(*subscriptions: Any, **spec: Any) -> dict[str, Any]:
    return kargo("Warehouse", "web", spec={"subscriptions": list(subscriptions), **spec})


def image(**fields: Any) -> dict[str, Any]:
    return warehouse({"image": {**BASE, **fields}})


def stage(*steps: dict[str, Any], **spec: Any) -> dict[str, Any]:
    requested = [{"origin": ORIGIN, "sources": {"direct": True}}]
    template = {"promotionTemplate": {"spec": {"steps": list(steps)}}} if steps else {}
    return kargo("Stage", "web", spec={"requestedFreight": requested, **template, **spec})


def config(*policies: dict[str, Any], name: str = "factory", **spec: Any) -> dict[str, Any]:
    return kargo("ProjectConfig", name, spec={"promotionPolicies": list(policies), **spec})


def task(*steps: dict[str, Any]) -> dict[str, Any]:
    return kargo("PromotionTask", "read", spec={"vars": [{"name": "file"}], "steps": list(steps)})


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(kargo("Project", "factory"), id="a project in its own namespace"),
        pytest.param(image(), id="a tag by its digest"),
        pytest.param(image(discoveryLimit=1, platform="linux/amd64"), id="one platform of it"),
        pytest.param(warehouse({"image": {"repoURL": "ghcr.io/acme/web", "constraint": "^1"}}), id="a range"),
        pytest.param(
            warehouse({"git": {"repoURL": "https://github.com/acme/web.git", "includePaths": ["glob:app/**"]}}),
            id="paths of a repository",
        ),
        pytest.param(image(allowTags="^3"), id="allowTags, which fails only when it is asked"),
        pytest.param(image(semverConstraint="^1"), id="a misspelled or removed key of an image, silently dropped"),
        pytest.param(
            warehouse({"image": BASE}, {"image": {**BASE, "constraint": "3.13-slim"}}),
            id="a repository twice, by a mistake of 1.9 to 1.11",
        ),
        pytest.param(stage({"uses": "compose-output", "config": {"a": "b"}}), id="a step"),
        pytest.param(stage({"uses": "nothing-of-kargo", "config": {"a": "b"}}), id="a step that is none"),
        pytest.param(stage({"task": {"name": "read"}, "vars": [{"name": "file", "value": "a"}]}), id="a task"),
        pytest.param(stage(), id="a stage without steps"),
        pytest.param(config({"stageSelector": {"matchLabels": {"a": "b"}}, "autoPromotionEnabled": True}), id="labels"),
        pytest.param(config({"stageSelector": {"name": "glob:observe-*"}, "autoPromotionEnabled": True}), id="a glob"),
        pytest.param(
            config(webhookReceivers=[{"name": "github", "github": {"secretRef": {"name": "hook"}}}]), id="a receiver"
        ),
        pytest.param(config(webhookReceivers=[{"name": "nothing"}]), id="a receiver of nothing"),
        pytest.param(task({"uses": "yaml-parse", "if": "${{ success() }}"}), id="a task's step with a condition"),
    ],
)
def test_what_kargo_takes_is_taken(judge: Judge, document: dict[str, Any]) -> None:
    assert judge.validate(document, EXISTING) == []


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        pytest.param(warehouse(), "subscriptions", id="no subscription"),
        pytest.param(warehouse({"image": BASE}, interval="7d"), "spec.interval", id="an interval in days"),
        pytest.param(
            warehouse({"image": BASE}, intervall="24h"), 'unknown field "spec.intervall"', id="a misspelled key"
        ),
        pytest.param(warehouse({"docker": BASE}), "no matching registration", id="a subscription of an unknown kind"),
        pytest.param(warehouse({"image": BASE, "git": {"repoURL": "https://a.example.com/b"}}), "one", id="two in one"),
        pytest.param(image(repoURL="ghcr.io/acme/foo--bar"), "repoURL", id="two dashes in a repository"),
        pytest.param(image(repoURL="https://ghcr.io/acme/web"), "repoURL", id="a scheme before an image"),
        pytest.param(image(constraint=""), "constraint", id="a digest of no tag"),
        pytest.param(image(imageSelectionStrategy="SemVer", constraint="not a range"), "constraint", id="no range"),
        pytest.param(image(discoveryLimit=101), "discoveryLimit", id="more than a hundred"),
        pytest.param(image(platform="linux"), "platform", id="half a platform"),
        pytest.param(
            warehouse({"git": {"repoURL": "https://github.com/acme/web", "branch": "-main"}}),
            "branch",
            id="a dash first",
        ),
        pytest.param(
            stage(requestedFreight=[{"origin": ORIGIN, "sources": {"direct": True}}] * 2),
            "requested multiple times",
            id="an origin twice",
        ),
        pytest.param(
            stage(
                requestedFreight=[
                    {
                        "origin": ORIGIN,
                        "sources": {"direct": True, "autoPromotionOptions": {"selectionPolicy": "MatchUpstream"}},
                    }
                ]
            ),
            "MatchUpstream",
            id="the upstream's where there is none",
        ),
        pytest.param(
            stage({"uses": "delete", "as": "a"}, {"uses": "delete", "as": "a"}), "duplicates", id="an alias twice"
        ),
        pytest.param(stage({"uses": "delete", "as": "step-1"}), "reserved", id="a reserved alias"),
        pytest.param(stage({"task": {"name": "read"}, "if": "${{ true }}"}), "'if'", id="a task with a condition"),
        pytest.param(stage({"task": {"name": "read"}, "config": {"a": 1}}), "config", id="a task with a config"),
        pytest.param(
            stage({"task": {"name": "read"}, "retry": {"errorThreshold": 2}}), "retry", id="a task that is tried again"
        ),
        pytest.param(
            stage({"task": {"name": "read"}, "continueOnError": True}), "continueOnError", id="a task that may fail"
        ),
        pytest.param(stage({"as": "a"}), "exactly one", id="a step that uses nothing"),
        pytest.param(
            stage({"uses": "delete", "retry": {"timeout": "1d"}}), 'unknown unit "d"', id="a step's timeout in days"
        ),
        pytest.param(stage(vars=[{"name": "a-b", "value": "c"}]), "vars", id="a variable with a dash"),
        pytest.param(
            stage(verification={"args": [{"name": "a"}]}), "value", id="an argument of a verification without value"
        ),
        pytest.param(config(name="other"), "name", id="a config that is not called as its namespace"),
        pytest.param(
            config({"stage": "a", "stageSelector": {"name": "a"}}), "stage", id="a policy for a stage and a selector"
        ),
        pytest.param(config({"autoPromotionEnabled": True}), "stage", id="a policy for nothing"),
        pytest.param(config({"stageSelector": {"name": "like:a"}}), "like", id="an unknown pattern"),
        pytest.param(
            config({"stageSelector": {"name": "a"}}, {"stageSelector": {"name": "a"}}), "name", id="a name twice"
        ),
        pytest.param(
            config(webhookReceivers=[{"name": "a", "github": {"secretRef": {"name": "hook"}}}] * 2),
            "already defined",
            id="a receiver twice",
        ),
        pytest.param(task(), "steps", id="a task without steps"),
        pytest.param(task({"task": {"name": "other"}}), "uses", id="a task in a task"),
        pytest.param(
            kargo("Warehouse", "Web_1", spec={"subscriptions": [{"image": BASE}]}), "metadata.name", id="a name"
        ),
        pytest.param({**kargo("Project", "factory"), "spec": {"a": 1}}, "unknown field", id="a project with a spec"),
    ],
)
def test_what_kargo_refuses_is_refused(judge: Judge, document: dict[str, Any], reason: str) -> None:
    problems = judge.validate(document, EXISTING)

    assert any(reason in problem for problem in problems), problems


def test_a_namespace_that_is_no_project_s_is_refused(judge: Judge) -> None:
    plain = {**NAMESPACE, "metadata": {"name": "factory"}}

    assert any("not found" in problem for problem in judge.validate(image()))
    assert judge.validate(image(), [plain]) != []
    assert any("not labeled" in problem for problem in judge.validate(kargo("Project", "factory"), [plain]))


def test_a_resource_is_answered_as_it_is_stored(judge: Judge) -> None:
    stored = judge.ask("validate", object=image(), existing=EXISTING)["object"]

    assert stored["spec"]["interval"] == "5m0s"
    assert stored["spec"]["freightCreationPolicy"] == "Automatic"
    assert stored["spec"]["subscriptions"][0]["image"]["discoveryLimit"] == 20


def test_kubernetes_own_kinds_are_read_strictly(judge: Judge) -> None:
    job = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "a"}, "spec": {"schedule": "@daily"}}

    assert judge.validate(job) == []
    assert judge.validate({**job, "spec": {"shedule": "@daily"}}) != []
    assert judge.validate({**job, "spec": {"schedule": 5}}) != []
    assert judge.validate({**job, "apiVersion": "example.com/v1"}) != []
