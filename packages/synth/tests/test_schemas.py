from __future__ import annotations

import json
import os
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from image_factory.errors import NotFound
from image_factory.model.enrollment import SelectionStrategy, Source, Update
from image_factory.model.settings import KargoSettings, Settings
from image_factory_synth.charts import plan_charts
from image_factory_synth.data import ANY_TAG, Inventory, ManagedImage, Role, WatchedImage
from image_factory_synth.schemas import (
    Schemas,
    crd_schemas,
    json_schema,
    load_schemas,
    problems,
)
from image_factory_synth.versions import KNOWN, KargoVersion

pytest.importorskip("jsonschema", reason="jsonschema is not installed: pip install 'image-factory-synth[validate]'")

pytest.importorskip("image_factory_cli", reason="image_factory_cli is not installed")
pytest.importorskip("image_factory_github", reason="image_factory_github is not installed")
pytest.importorskip("image_factory_gitlab", reason="image_factory_gitlab is not installed")

from jsonschema import Draft202012Validator

from image_factory_cli.folder import workbench

PROVIDERS = workbench(Path(), Settings()).plugins
CLUSTER = KargoSettings(state_repository="https://git.example.com/state.git", job_image="ghcr.io/acme/tool:1")
CHECKOUT = Path(__file__).resolve().parents[3]
RELEASES = {KargoVersion(1, 9): "1.9.10", KargoVersion(1, 10): "1.10.10", KargoVersion(1, 11): "1.11.2"}


def schemas_folder() -> Path:
    named = os.environ.get("IMAGE_FACTORY_SCHEMAS")
    return Path(named) if named else CHECKOUT.parent / "shared" / "schemas"


@cache
def schemas_of(version: KargoVersion) -> Schemas:
    folder = schemas_folder()
    if not (folder / "kargo" / RELEASES[version]).is_dir():
        pytest.skip(f"no schemas of Kargo {version} in {folder}; IMAGE_FACTORY_SCHEMAS names another folder")
    kargo = load_schemas(folder / "kargo" / RELEASES[version])
    kinds = dict(kargo.kinds)
    for file in sorted((folder / "argo-rollouts").glob("*/*-template-crd.yaml")):
        kinds |= crd_schemas(file.read_bytes())
    return replace(kargo, kinds=kinds)


def documents(inventory: Inventory, version: KargoVersion) -> list[dict[str, Any]]:
    return [
        document
        for chart in plan_charts(inventory, CLUSTER, version, providers=PROVIDERS).charts
        for document in chart.documents
    ]


NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", fullmatch=True)
REPOSITORIES = st.from_regex(r"(docker\.io|ghcr\.io|localhost:5000)(/[a-z0-9]+([._-][a-z0-9]+)?){1,4}", fullmatch=True)
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,40}", fullmatch=True)
VERSIONS = st.one_of(st.none(), TAGS, st.from_regex(r"v?[0-9]{1,3}(\.[0-9]{1,3}){0,2}(-rc\.[0-9])?", fullmatch=True))
RANGES = st.sampled_from([None, "^1.2", ">=1.2.0 <2.0.0", "~3", "1.x", "1.0 - 2.0"])
PATTERNS = st.one_of(
    st.sampled_from([None, "", ANY_TAG, r"^v?\d+\.\d+$", "^22$", "-alpine$"]),
    TAGS.map(lambda tag: f"^{tag}$".replace(".", r"\.")),
)
SOURCES = st.builds(
    Source,
    provider=st.sampled_from(["github", "gitlab"]),
    repo=st.sampled_from(["acme/web", ""]),
    branch=st.sampled_from(["main", "release/1.2"]),
    dockerfile=st.sampled_from(["Dockerfile", "apps/web/Dockerfile", "image-factory/state/Dockerfile"]),
    paths=st.sampled_from([(), ("libs", "image-factory")]),
)
MANAGED = st.builds(
    ManagedImage,
    name=NAMES,
    repo_url=REPOSITORIES,
    current_version=VERSIONS,
    source=st.one_of(st.none(), SOURCES),
    auto_rebuild=st.booleans(),
)
WATCHED = st.builds(
    WatchedImage,
    name=NAMES,
    role=st.sampled_from([Role.EXTERNAL, Role.BASE]),
    repo_url=st.one_of(st.none(), REPOSITORIES),
    allow_tags=PATTERNS,
    strategy=st.one_of(st.none(), st.sampled_from(list(SelectionStrategy))),
    tag=st.one_of(st.none(), TAGS),
    constraint=RANGES,
    pinned=st.booleans(),
)


@st.composite
def inventories(draw: st.DrawFn) -> Inventory:
    images = draw(st.lists(st.one_of(MANAGED, WATCHED), max_size=25, unique_by=lambda image: image.name))
    return Inventory(
        tuple(image for image in images if isinstance(image, ManagedImage)),
        tuple(image for image in images if isinstance(image, WatchedImage)),
    )


@pytest.mark.parametrize("version", KNOWN, ids=str)
@settings(max_examples=60, deadline=None)
@given(inventory=inventories())
def test_whatever_is_enrolled_every_resource_fits_kargos_schemas(version: KargoVersion, inventory: Inventory) -> None:
    schemas = schemas_of(version)

    found = [problem for document in documents(inventory, version) for problem in problems(document, schemas)]

    assert found == []


@cache
def step_schema(version: KargoVersion, uses: str) -> Any:
    return Draft202012Validator(
        json.loads((schemas_folder() / "kargo" / RELEASES[version] / "steps" / f"{uses}-config.json").read_text())
    )


@pytest.mark.parametrize("version", KNOWN, ids=str)
@pytest.mark.parametrize("provider", ["github", "gitlab"])
def test_every_step_s_configuration_fits_kargos_schema(version: KargoVersion, provider: str) -> None:
    schemas_of(version)
    image = ManagedImage(
        name="web",
        repo_url="ghcr.io/acme/web",
        source=Source(provider=provider, repo="acme/web"),
        updates=(
            Update(repo="acme/a", path="apps/web", type="kustomize-set-image", mode="pr"),
            Update(repo="acme/a", path="v.yaml", type="yaml-update", key="image.tag"),
        ),
    )

    written = documents(Inventory((image,)), version)

    tasks = {one["metadata"]["name"]: one["spec"]["steps"] for one in written if one["kind"] == "PromotionTask"}
    steps = [
        each
        for stage in written
        if stage["kind"] == "Stage"
        for step in stage["spec"]["promotionTemplate"]["spec"]["steps"]
        for each in (tasks_steps(step, tasks) if "task" in step else [step])
    ]
    assert [step["uses"] for step in steps] == [
        *("compose-output", "git-clone", "yaml-parse", "compose-output", "http"),
        *("git-clone", "kustomize-set-image", "git-commit", "git-push", "git-open-pr"),
        *("git-clone", "yaml-update", "yaml-parse", "git-commit", "git-push"),
    ]
    for step in steps:
        assert list(step_schema(version, step["uses"]).iter_errors(step["config"])) == []


def tasks_steps(step: dict[str, Any], tasks: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The steps of the task that a step is, with the variables that it is given."""
    text = json.dumps(tasks[step["task"]["name"]])
    for variable in step["vars"]:
        value = json.dumps(variable["value"])[1:-1]
        text = text.replace(f"${{{{ quote(vars.{variable['name']}) }}}}", value)
        text = text.replace(f"${{{{ vars.{variable['name']} }}}}", value)
    found: list[dict[str, Any]] = json.loads(text)
    return found


def full() -> list[dict[str, Any]]:
    base = WatchedImage(name="node", role=Role.BASE, repo_url="docker.io/library/node", allow_tags="^22$", tag="22")
    made = documents(Inventory((ManagedImage(name="web", repo_url="ghcr.io/acme/web"),), (base,)), KargoVersion(1, 11))
    return sorted(made, key=lambda document: document["kind"] == "Warehouse")


def mutate(document: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    copy: Any = yaml.safe_load(yaml.safe_dump(document))
    inner = copy
    for part in path[:-1]:
        inner = inner[part]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    assert isinstance(copy, dict)
    return copy


IMAGE: tuple[str | int, ...] = ("spec", "subscriptions", 0, "image")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "interval"), "1d"),
        (("spec", "freightCreationPolicy"), "Sometimes"),
        (("spec", "subscriptions"), []),
        (("spec", "subscriptions"), None),
        (("spec", "unknown"), "x"),
        (("spec", "subscriptions", 0), {"image": {"repoURL": "a"}, "git": {"repoURL": "https://a/b"}}),
        (("spec", "subscriptions", 0), {"oci": {}}),
        ((*IMAGE, "repoURL"), "https://a/b"),
        ((*IMAGE, "repoURL"), None),
        ((*IMAGE, "discoveryLimit"), 101),
        ((*IMAGE, "semverConstraint"), ">=1"),
        ((*IMAGE, "imageSelectionStrategy"), "Latest"),
        (("kind",), "Wharehouse"),
    ],
    ids=str,
)
def test_a_resource_that_does_not_fit_is_found(path: tuple[str | int, ...], value: Any) -> None:
    schemas = schemas_of(KargoVersion(1, 11))
    warehouse = full()[-1]

    assert list(problems(warehouse, schemas)) == []
    assert list(problems(mutate(warehouse, path, value), schemas)) != []


def test_a_field_with_a_default_may_be_left_out_though_it_is_required() -> None:
    without_interval = mutate(full()[-1], ("spec", "interval"), None)

    assert list(problems(without_interval, schemas_of(KargoVersion(1, 11)))) == []


def test_a_project_with_a_spec_is_found() -> None:
    project = {**full()[1], "spec": {}}

    assert list(problems(project, schemas_of(KargoVersion(1, 11)))) != []


def test_a_folder_without_crds_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no CustomResourceDefinition"):
        load_schemas(tmp_path)


def test_a_structural_schema_becomes_json_schema_with_its_extensions() -> None:
    structural = {
        "type": "object",
        "required": ["a", "b"],
        "properties": {
            "a": {"type": "string", "default": "x", "description": "…"},
            "b": {"x-kubernetes-int-or-string": True},
            "c": {"type": "object", "properties": {}, "x-kubernetes-preserve-unknown-fields": True},
            "d": {"type": "string", "nullable": True},
        },
    }

    assert json_schema(structural) == {
        "type": "object",
        "required": ["b"],
        "properties": {
            "a": {"type": "string"},
            "b": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
            "c": {"type": "object", "properties": {}},
            "d": {"type": ["string", "null"]},
        },
        "additionalProperties": False,
    }
