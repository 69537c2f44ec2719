"""Kargo takes whatever we generate: the shipped folder, the golden files, and what any enrollments come to.

Asked of Kargo's own code: schemas with their rules, admission webhooks, and the arguments of verifications.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kargo.judge import Judge, custom_resources

pytest.importorskip("image_factory_cli", reason="image_factory_cli is not installed")
pytest.importorskip("image_factory_synth", reason="image_factory_synth is not installed")
pytest.importorskip("image_factory_github", reason="image_factory_github is not installed")
pytest.importorskip("image_factory_gitlab", reason="image_factory_gitlab is not installed")
pytest.importorskip("image_factory_yaml", reason="image_factory_yaml is not installed")
pytest.importorskip("image_factory_kustomize", reason="image_factory_kustomize is not installed")
pytest.importorskip("image_factory_helm", reason="image_factory_helm is not installed")

from image_factory.model.enrollment import SelectionStrategy, Source, Update
from image_factory.model.settings import KargoSettings, Settings
from image_factory_cli.folder import workbench
from image_factory_synth.charts import plan_charts
from image_factory_synth.data import Inventory, ManagedImage, Role, WatchedImage
from image_factory_synth.versions import KargoVersion

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = Path(os.environ.get("IMAGE_FACTORY_SCHEMAS") or ROOT.parent / "shared" / "schemas")
RELEASES = {"1.9": "1.9.10", "1.10": "1.10.10", "1.11": "1.11.2"}
WRITTEN = sorted((ROOT / "image-factory" / "dist").glob("*.yaml")) + sorted(
    (ROOT / "packages/synth/tests/golden").glob("*.yaml")
)
PLUGINS = workbench(Path(), Settings()).plugins
NEWEST = KargoVersion(1, 11)
CLUSTER = KargoSettings(
    state_repository="https://git.example.com/state.git",
    job_image="ghcr.io/acme/tool:1",
    webhooks={"github": "github-webhook", "gitlab": "gitlab-webhook", "dockerhub": "hub-webhook"},
    registry_credentials={"ghcr.io": "ghcr-pull"},
)
DIGEST = "sha256:" + "0a" * 32
NOT_JUDGED = ("external-secrets.io", "kyverno.io")
"""Groups of what others' operators take."""
Document = dict[str, Any]


def definitions(version: str = "1.11") -> list[str] | None:
    """The folders of the custom resources of a version; None where the schemas are not to be had."""
    folders = [SCHEMAS / "kargo" / RELEASES[version] / "crds", SCHEMAS / "argo-rollouts"]
    return [str(folder) for folder in folders] if all(folder.is_dir() for folder in folders) else None


def problems(judge: Judge, documents: Sequence[Document], crds: list[str] | None) -> list[str]:
    """What Kargo says against these, applied one after the other as kubectl does."""
    namespaces = [each for each in documents if each["kind"] in ("Namespace", "Project")]
    found: list[str] = []
    for document in documents:
        group = document["apiVersion"].partition("/")[0]
        if group in NOT_JUDGED or (crds is None and group == "argoproj.io"):
            continue  # their definitions are not Kargo's; Argo's lie among the schemas
        before = [each for each in namespaces if each is not document]
        told = judge.validate(document, before, crds=crds or [str(custom_resources())])
        found += [f"{document['kind']} {document['metadata']['name']}: {problem}" for problem in told]
    return found


def read(file: Path) -> list[Document]:
    return [each for each in yaml.safe_load_all(file.read_text("utf-8")) if each]


@pytest.mark.parametrize("file", WRITTEN, ids=lambda file: file.name)
def test_kargo_takes_every_resource_that_lies_in_the_repository(judge: Judge, file: Path) -> None:
    """Where nothing is written there is nothing to take."""
    assert problems(judge, read(file), definitions()) == []


@pytest.mark.parametrize("version", RELEASES)
def test_kargo_takes_the_golden_cluster_of_each_version(judge: Judge, version: str) -> None:
    crds = definitions(version)
    if crds is None:
        pytest.skip(f"no schemas in {SCHEMAS}; IMAGE_FACTORY_SCHEMAS names another folder")
    documents = read(ROOT / f"packages/synth/tests/golden/cluster-{version}.yaml")

    assert {"Stage", "Warehouse", "ProjectConfig", "AnalysisTemplate"} <= {each["kind"] for each in documents}
    assert problems(judge, documents, crds) == []


NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
PATHS = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9 ._-]{0,20}(/[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}){0,3}", fullmatch=True)
BRANCHES = st.sampled_from(["main", "release/1.2", "1.2", "42", "true", "feat_x"])
TAGS = st.one_of(
    st.sampled_from(["22", "1.27", "1e5", "0x10", "true", "null", "1_000", "latest", "3.12-slim", "1.10", "08"]),
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,30}", fullmatch=True),
)
REPOSITORIES = st.from_regex(
    r"(docker\.io|ghcr\.io|localhost:5000|registry\.example\.com)(/[a-z0-9]+([._-][a-z0-9]+)?){1,4}", fullmatch=True
)
UPDATES = st.builds(
    Update,
    repo=st.from_regex(r"[a-z0-9]{1,8}/[a-z0-9]([a-zA-Z0-9_-]{0,40}[a-z0-9])?", fullmatch=True),
    path=PATHS,
    type=st.sampled_from(["yaml-update", "kustomize-set-image", "helm-update-image"]),
    key=st.sampled_from([None, "image.tag", "spec.0.a\\.b"]),
    mode=st.sampled_from(["push", "pr"]),
    branch=BRANCHES,
)
SOURCES = st.builds(
    Source,
    provider=st.sampled_from(["github", "gitlab"]),
    host=st.sampled_from([None, "git.example.com"]),
    repo=st.just("acme/web"),
    branch=BRANCHES,
    dockerfile=st.sampled_from(["Dockerfile", "apps/web/Dockerfile", "a b/Dockerfile.prod"]),
    workflow=st.sampled_from([None, "build_it-2.yml"]),
)
MANAGED = st.builds(
    ManagedImage,
    name=NAMES,
    repo_url=REPOSITORIES,
    current_version=st.one_of(st.none(), st.just("1.2.0")),
    source=st.one_of(st.none(), SOURCES),
    auto_rebuild=st.booleans(),
    updates=st.lists(UPDATES, max_size=3).map(tuple),
)
WATCHED = st.builds(
    WatchedImage,
    name=NAMES,
    role=st.sampled_from([Role.EXTERNAL, Role.BASE]),
    repo_url=REPOSITORIES,
    allow_tags=st.sampled_from([None, r"^v?\d+\.\d+$", "^22$", "-alpine$"]),
    strategy=st.one_of(st.none(), st.sampled_from(list(SelectionStrategy))),
    tag=st.one_of(st.none(), TAGS),
    constraint=st.sampled_from([None, "^1.2", ">=1.2.0 <2.0.0", "~3", "1.x"]),
)


@st.composite
def inventories(draw: st.DrawFn) -> Inventory:
    images = draw(st.lists(st.one_of(MANAGED, WATCHED), max_size=5, unique_by=lambda image: image.name))
    return Inventory(
        tuple(image for image in images if isinstance(image, ManagedImage)),
        tuple(image for image in images if isinstance(image, WatchedImage)),
    )


def generated(inventory: Inventory) -> list[Document]:
    charts = plan_charts(inventory, CLUSTER, NEWEST, providers=PLUGINS).charts
    return [dict(document) for chart in charts for document in chart.documents]


@settings(max_examples=40, deadline=None)
@given(inventories())
def test_whatever_is_enrolled_kargo_takes_every_resource(judge: Judge, inventory: Inventory) -> None:
    assert problems(judge, generated(inventory), definitions()) == []


def freight_of(warehouse: Document, tag: str) -> Document:
    """What a Warehouse would make of a new tag or commit."""
    images, commits = [], []
    for subscription in warehouse["spec"]["subscriptions"]:
        if "image" in subscription:
            images.append({"repoURL": subscription["image"]["repoURL"], "tag": tag, "digest": DIGEST})
        else:
            git = subscription["git"]
            commits.append({"repoURL": git["repoURL"], "id": "c0ffee" * 6, "branch": git.get("branch", "main")})
    name = warehouse["metadata"]["name"]
    origin = {"kind": "Warehouse", "name": name}
    return {"metadata": {"name": "f1"}, "origin": origin, "images": images, "commits": commits}


@settings(max_examples=40, deadline=None)
@given(inventories(), TAGS)
def test_whatever_is_published_a_verification_is_told_it_as_it_is(judge: Judge, inventory: Inventory, tag: str) -> None:
    """A tag that looks like a number would be none, and the verification an error."""
    documents = generated(inventory)
    warehouses = {each["metadata"]["name"]: each for each in documents if each["kind"] == "Warehouse"}
    templates = [each for each in documents if each["kind"] == "AnalysisTemplate"]

    for stage in (each for each in documents if each["kind"] == "Stage" and each["spec"].get("verification")):
        (requested,) = stage["spec"]["requestedFreight"]
        warehouse = warehouses[requested["origin"]["name"]]
        answer = judge.verify(stage, freight_of(warehouse, tag), templates=templates, warehouses=[warehouse])

        args = answer["args"]
        assert args.get("imageTag", tag) == tag
        assert {value for name, value in args.items() if name.lower().endswith("digest")} <= {DIGEST}
        declared = {each["name"] for template in templates for each in template["spec"].get("args", ())}
        assert {each["name"] for each in stage["spec"]["verification"]["args"]} <= declared
        assert all("${{" not in value and "{{" not in value for value in args.values())
