"""Whole files that were right, each with one thing made wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from image_factory.errors import UserError
from image_factory_synth.checking import Finding, check, load_stream
from image_factory_synth.versions import KNOWN, KargoVersion

KARGO = "kargo.akuity.io/v1alpha1"
GOLDEN = Path(__file__).with_name("golden")


def named(kind: str, name: str, spec: Any = None, api: str = KARGO, **meta: Any) -> dict[str, Any]:
    document = {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "team", **meta}}
    return document if spec is None else {**document, "spec": spec}


def right() -> list[dict[str, Any]]:
    namespace = named("Namespace", "team", api="v1", labels={"kargo.akuity.io/project": "true"})
    del namespace["metadata"]["namespace"]
    project = named("Project", "team")
    del project["metadata"]["namespace"]
    policy = {"stageSelector": {"matchLabels": {"auto": "yes"}}, "autoPromotionEnabled": True}
    image = {
        "repoURL": "docker.io/library/node",
        "imageSelectionStrategy": "Digest",
        "constraint": "22",
        "discoveryLimit": 1,
    }
    git = {"repoURL": "https://git.example.com/a/b.git", "branch": "main"}
    steps = [
        {"uses": "git-clone", "as": "clone", "config": {"repoURL": "https://git.example.com/a/b.git"}},
        {"uses": "http", "if": "${{ success() && outputs.clone.commit != '' }}", "config": {"url": "https://a"}},
    ]
    return [
        namespace,
        project,
        named("ProjectConfig", "team", {"promotionPolicies": [policy]}),
        named("AnalysisTemplate", "analyze", {"args": [{"name": "image"}]}, api="argoproj.io/v1alpha1"),
        named(
            "Warehouse",
            "node",
            {
                "interval": "24h0m0s",
                "freightCreationPolicy": "Automatic",
                "subscriptions": [{"image": image}, {"git": git}],
            },
        ),
        named(
            "Stage",
            "build",
            {
                "requestedFreight": [{"origin": {"kind": "Warehouse", "name": "node"}, "sources": {"direct": True}}],
                "promotionTemplate": {"spec": {"steps": steps}},
                "verification": {
                    "analysisTemplates": [{"name": "analyze"}],
                    "args": [{"name": "image", "value": "web"}],
                },
            },
            labels={"auto": "yes"},
        ),
    ]


def found(resources: list[dict[str, Any]], version: KargoVersion = KNOWN[-1]) -> list[Finding]:
    return list(check(load_stream(yaml.safe_dump_all(resources, sort_keys=False)), version))


def changed(path: tuple[str | int, ...], value: Any) -> list[dict[str, Any]]:
    """Return the right resources with one place changed, or gone where the value is None."""
    resources = right()
    inner: Any = {f"{each['kind']}": each for each in resources}
    for part in path[:-1]:
        inner = inner[part]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return resources


def test_what_is_right_has_no_finding() -> None:
    only_template = [each for each in found(right()) if each.resource != "AnalysisTemplate/analyze"]

    assert only_template == []


@pytest.mark.parametrize("version", KNOWN, ids=str)
def test_what_we_write_has_no_finding(version: KargoVersion) -> None:
    text = (GOLDEN / f"cluster-{version}.yaml").read_text()
    resources = load_stream(text)

    assert len(resources) > 10
    assert list(check(resources, version)) == []


IMAGE: tuple[str | int, ...] = ("Warehouse", "spec", "subscriptions", 0, "image")
GIT: tuple[str | int, ...] = ("Warehouse", "spec", "subscriptions", 1, "git")
STEPS: tuple[str | int, ...] = ("Stage", "spec", "promotionTemplate", "spec", "steps")
FREIGHT: tuple[str | int, ...] = ("Stage", "spec", "requestedFreight", 0)
TWICE = [{"origin": {"kind": "Warehouse", "name": "node"}, "sources": {"direct": True}}] * 2
CASES: dict[str, tuple[tuple[str | int, ...], Any, str, str]] = {
    "days are no duration": (("Warehouse", "spec", "interval"), "1d", "Warehouse/node", "spec.interval"),
    "no interval": (("Warehouse", "spec", "interval"), None, "Warehouse/node", "spec.interval"),
    "two keys in a subscription": (
        ("Warehouse", "spec", "subscriptions", 0, "git"),
        {"repoURL": "https://a.example.com/b", "branch": "main"},
        "Warehouse/node",
        "spec.subscriptions",
    ),
    "a subscription of a kind that is unknown": (
        ("Warehouse", "spec", "subscriptions", 0),
        {"chart": {}},
        "Warehouse/node",
        "spec.subscriptions[0].chart",
    ),
    "a repository with a scheme": (
        (*IMAGE, "repoURL"),
        "https://a/b",
        "Warehouse/node",
        "spec.subscriptions[0].image.repoURL",
    ),
    "a repository with two hyphens": (
        (*IMAGE, "repoURL"),
        "a/b--c",
        "Warehouse/node",
        "spec.subscriptions[0].image.repoURL",
    ),
    "Digest without a tag": ((*IMAGE, "constraint"), None, "Warehouse/node", "spec"),
    "a pattern that is none": (
        (*IMAGE, "allowTagsRegexes"),
        ["("],
        "Warehouse/node",
        "spec",
    ),
    "a field that Kargo took away": (
        (*IMAGE, "allowTags"),
        "^1$",
        "Warehouse/node",
        "spec.subscriptions[0].image.allowTags",
    ),
    "a field that is misspelt": (
        (*IMAGE, "discoverLimit"),
        1,
        "Warehouse/node",
        "spec.subscriptions[0].image.discoverLimit",
    ),
    "too many discoveries": (
        (*IMAGE, "discoveryLimit"),
        101,
        "Warehouse/node",
        "spec.subscriptions[0].image.discoveryLimit",
    ),
    "a number for a text": ((*IMAGE, "constraint"), 22, "Warehouse/node", "spec.subscriptions[0].image.constraint"),
    "an unknown strategy": (
        (*IMAGE, "imageSelectionStrategy"),
        "Latest",
        "Warehouse/node",
        "spec.subscriptions[0].image.imageSelectionStrategy",
    ),
    "a branch with a space": ((*GIT, "branch"), "a b", "Warehouse/node", "spec.subscriptions[1].git.branch"),
    "a branch of 300 characters": ((*GIT, "branch"), "a" * 300, "Warehouse/node", "spec.subscriptions[1].git.branch"),
    "an expression in a branch": (
        (*GIT, "branch"),
        "${{ x }}",
        "Warehouse/node",
        "spec.subscriptions[1].git.branch",
    ),
    "a Warehouse that is not there": (
        (*FREIGHT, "origin", "name"),
        "python",
        "Stage/build",
        "spec.requestedFreight[0].origin.name",
    ),
    "a stage that is not there": (
        (*FREIGHT, "sources"),
        {"stages": ["test"]},
        "Stage/build",
        "spec.requestedFreight[0].sources.stages[0]",
    ),
    "no source of Freight": ((*FREIGHT, "sources"), {}, "Stage/build", "spec.requestedFreight[0].sources"),
    "one origin twice": (("Stage", "spec", "requestedFreight"), TWICE, "Stage/build", "spec.requestedFreight"),
    "a task that is not there": (
        (*STEPS, 1),
        {"task": {"name": "push"}},
        "Stage/build",
        "spec.promotionTemplate.spec.steps[1].task.name",
    ),
    "a task with a condition": (
        (*STEPS, 1),
        {"task": {"name": "push"}, "if": "${{ always() }}"},
        "Stage/build",
        "spec.promotionTemplate.spec.steps[1].if",
    ),
    "a step that Kargo has no more": (
        (*STEPS, 0, "uses"),
        "helm-update-image",
        "Stage/build",
        "spec.promotionTemplate.spec.steps[0].uses",
    ),
    "neither uses nor task": ((*STEPS, 1), {"as": "a"}, "Stage/build", "spec.promotionTemplate.spec.steps[1]"),
    "an alias that Kargo keeps": (
        (*STEPS, 0, "as"),
        "step-1",
        "Stage/build",
        "spec.promotionTemplate.spec.steps[0].as",
    ),
    "one alias twice": ((*STEPS, 1, "as"), "clone", "Stage/build", "spec.promotionTemplate.spec.steps[1].as"),
    "an output of no step": ((*STEPS, 0, "as"), "get", "Stage/build", "spec.promotionTemplate.spec.steps[1]"),
    "a template that is not there": (
        ("Stage", "spec", "verification", "analysisTemplates", 0, "name"),
        "scan",
        "Stage/build",
        "spec.verification.analysisTemplates[0].name",
    ),
    "an argument that no template declares": (
        ("Stage", "spec", "verification", "args", 0, "name"),
        "tag",
        "Stage/build",
        "spec.verification.args[0].name",
    ),
    "a policy that matches no stage": (
        ("Stage", "metadata", "labels"),
        {"auto": "no"},
        "ProjectConfig/team",
        "spec.promotionPolicies[0].stageSelector.matchLabels",
    ),
    "a namespace without its label": (("Namespace", "metadata", "labels"), None, "Namespace/team", "metadata.labels"),
    "another namespace than the Project's": (
        ("Stage", "metadata", "namespace"),
        "other",
        "Stage/build",
        "metadata.namespace",
    ),
    "a ProjectConfig of another name": (("ProjectConfig", "metadata", "name"), "x", "ProjectConfig/x", "metadata.name"),
    "a Project with a spec": (("Project", "spec"), {}, "Project/team", "spec"),
    "a name that is none": (("Warehouse", "metadata", "name"), "No Name", "Warehouse/No Name", "metadata.name"),
    "a metric with a long name": (
        ("AnalysisTemplate", "spec", "metrics"),
        [{"name": "analyze-dockerfile-metric"}],
        "AnalysisTemplate/analyze",
        "spec.metrics[0].name",
    ),
}


@pytest.mark.parametrize(("path", "value", "resource", "field"), CASES.values(), ids=CASES)
def test_what_is_wrong_is_found_with_its_resource_and_field(
    path: tuple[str | int, ...], value: Any, resource: str, field: str
) -> None:
    told = found(changed(path, value))

    places = [(each.resource, each.field) for each in told]
    assert (resource, field) in places or any(
        each.resource == resource and field == "spec" and each.field.startswith("spec") for each in told
    ), told


def test_a_finding_has_the_line_of_its_field() -> None:
    resources = changed((*IMAGE, "discoveryLimit"), 0)
    text = yaml.safe_dump_all(resources, sort_keys=False)

    (finding,) = (each for each in check(load_stream(text), KNOWN[-1]) if "discoveryLimit" in each.field)

    assert text.splitlines()[(finding.line or 0) - 1].strip() == "discoveryLimit: 0"


def test_a_resource_that_stands_twice_says_where_the_first_is() -> None:
    (finding,) = (each for each in found([*right(), right()[4]]) if each.resource == "Warehouse/node")

    assert "stands here twice; the first is on line" in finding.message


def test_a_field_of_a_later_kargo_is_found() -> None:
    resources = changed((*IMAGE, "semverConstraint"), ">=1")

    (finding,) = (each for each in found(resources, KargoVersion(1, 9)) if "semver" in each.field)

    assert "1.8 was the last to take it" in finding.message


@pytest.mark.parametrize("text", ["a: [", "- 1\n", "just words\n"])
def test_what_is_no_stream_of_resources_is_an_error(text: str) -> None:
    with pytest.raises(UserError, match=r"not YAML|not a resource"):
        load_stream(text)


@pytest.mark.parametrize(
    "text", ["{}", "kind: Stage\n", "metadata: 1\nkind: [a]\n", "kind: Stage\nspec: {promotionTemplate: []}\n"]
)
def test_what_is_hardly_a_resource_has_findings_and_no_crash(text: str) -> None:
    assert list(check(load_stream(text), KNOWN[-1])) != []
