from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from image_factory.model.enrollment import Enrollment, Source, Update
from image_factory.model.settings import CommitSettings, KargoSettings, RegistrySettings, Settings
from image_factory.state.images_yaml import read_images
from image_factory.usecases.schema import (
    catalog_schemas,
    field_words,
    images_reference,
    images_schema,
    settings_reference,
    settings_schema,
)

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")

ROOT = Path(__file__).resolve().parents[4]
MANAGED = "- name: web\n  registry: ghcr.io\n  repository: acme/web\n  source: {repo: acme/web}\n"
EXTERNAL = "- name: pg\n  repository: library/postgres\n  tag: 16-alpine\n"


def accepts(schema: dict[str, Any], text: str) -> bool:
    """As an editor's YAML server does it: dates stay text."""
    value = json.loads(json.dumps(yaml.safe_load(text), default=str))
    return bool(jsonschema.Draft202012Validator(schema).is_valid(value))


@pytest.mark.parametrize("schema", [images_schema(), settings_schema()])
def test_a_schema_is_one_of_its_dialect(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="an empty file"),
        pytest.param(MANAGED + EXTERNAL, id="a managed and an external image"),
        pytest.param(f"{MANAGED}  rebuildDelay: 0\n", id="no delay at all"),
        pytest.param(f"{MANAGED}  rebuildDelay: 1w2d\n", id="a delay that is a sum"),
        pytest.param(EXTERNAL.replace("tag: 16-alpine", "allowTags: ^16.*$"), id="a pattern"),
        pytest.param(EXTERNAL.replace("tag: 16-alpine", "constraint: ^16.0.0"), id="a range"),
        pytest.param(
            f"{MANAGED}  updates:\n"
            + "".join(
                f"    - {{repo: a/b, path: x, type: {kind}}}\n"
                for kind in ("kustomize-set-image", "yaml-update", "helm-update-image")
            ),
            id="the three ways to update a file",
        ),
        pytest.param(f"{MANAGED}  exemptions:\n    - {{owner: a, reason: b, expiry: 2027-01-31}}\n", id="a date"),
        pytest.param(
            "- name: web\n  enrollment: {registry: ghcr.io, repository: acme/web, source: {repo: acme/web}}\n",
            id="the nested shape",
        ),
    ],
)
def test_what_the_program_takes_the_schema_takes(text: str) -> None:
    assert read_images(text, "images.yaml").problems == ()
    assert accepts(images_schema(), text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(MANAGED.replace("  registry: ghcr.io\n", ""), id="managed without a registry"),
        pytest.param(EXTERNAL.replace("  tag: 16-alpine\n", ""), id="external without tags"),
        pytest.param(MANAGED.replace("name: web", "name: Web"), id="a name in capitals"),
        pytest.param(MANAGED.replace("- name: web\n ", "-"), id="no name"),
        pytest.param(f"{MANAGED}  rebuildDelay: 7x\n", id="a delay that is none"),
        pytest.param(EXTERNAL.replace("16-alpine", "3.10"), id="a number for a tag"),
        pytest.param(MANAGED.replace("{repo: acme/web}", "{}"), id="a source without a repository"),
        pytest.param(MANAGED.replace("{repo", "{branch: --upload-pack=x, repo"), id="a branch that is an option"),
        pytest.param(MANAGED.replace("{repo", "{dockerfile: /etc/passwd, repo"), id="a path from the root"),
        pytest.param(f"{MANAGED}  criticality: most\n", id="a word of no list"),
        pytest.param("name: web\n", id="no list"),
    ],
)
def test_what_the_program_refuses_the_schema_refuses(text: str) -> None:
    assert read_images(text, "images.yaml").problems
    assert not accepts(images_schema(), text)


def test_another_update_type_is_refused_with_the_path_of_its_field() -> None:
    text = f"{MANAGED}  updates:\n    - {{repo: a/b, path: x, type: sed}}\n"

    (error,) = jsonschema.Draft202012Validator(images_schema()).iter_errors(yaml.safe_load(text))

    assert list(error.absolute_path) == [0, "updates", 0, "type"]
    assert accepts(images_schema(update_types=["sed"]), text)


def test_a_misspelt_key_is_marked_in_an_editor() -> None:
    assert not accepts(images_schema(), f"{MANAGED}  rebuildDely: 3d\n")
    assert not accepts(settings_schema(), "kargo: {namespce: x}\n")


def test_a_config_is_described_too() -> None:
    text = (ROOT / "image-factory" / "config.yaml").read_text(encoding="utf-8")

    assert accepts(settings_schema(), text)
    assert accepts(settings_schema(), "plugins: {github: {anything: [1]}}\nregistries: {ghcr.io: {plainHttp: true}}\n")
    assert not accepts(settings_schema(), "kargo: {version: 1.10}\n")


@pytest.mark.parametrize(
    "record", [Enrollment, Source, Update, Settings, RegistrySettings, CommitSettings, KargoSettings]
)
def test_every_field_is_described(record: Any) -> None:
    described = field_words(record)

    assert [name for name in record.model_fields if not described.get(name)] == []


@pytest.mark.parametrize(
    ("file", "schema"),
    [
        ("images.schema.json", images_schema()),
        ("config.schema.json", settings_schema()),
        *catalog_schemas().items(),
    ],
)
def test_the_schema_that_is_checked_in_is_that_of_the_code(file: str, schema: dict[str, Any]) -> None:
    """To renew it: hatch run docs."""
    checked_in = json.loads((ROOT / "docs" / "schema" / file).read_text(encoding="utf-8"))

    assert checked_in == schema


ENTITY: dict[str, Any] = {
    "apiVersion": "image-factory.io/v1alpha1",
    "kind": "BaseImage",
    "metadata": {"name": "node", "annotations": {"image-factory.io/rebuild-status": "pending"}},
    "spec": {
        "type": "base-image",
        "lifecycle": "production",
        "owner": "upstream",
        "upstream": {"registry": "docker.io", "repository": "library/node"},
    },
}


def test_an_entity_fits_with_what_backstage_adds_to_it() -> None:
    schema = jsonschema.Draft7Validator(catalog_schemas()["base-image.schema.json"])
    returned = {**ENTITY, "relations": [], "status": {}, "metadata": {**ENTITY["metadata"], "uid": "1", "etag": "2"}}

    assert schema.is_valid(ENTITY)
    assert schema.is_valid(returned)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param({"kind": "ManagedImage"}, id="of another kind"),
        pytest.param({"apiVersion": "backstage.io/v1alpha1"}, id="of another version"),
        pytest.param({"spec": {**ENTITY["spec"], "onwer": "x"}}, id="a misspelt key"),
        pytest.param({"spec": {"type": "base-image"}}, id="without an owner"),
        pytest.param({"metadata": {"name": "a b"}}, id="a name with a blank"),
        pytest.param({"metadata": {"name": "a", "annotations": {"a b": "x"}}}, id="an annotation with a blank"),
        pytest.param(
            {"metadata": {"name": "a", "annotations": {"image-factory.io/rebuild-status": "soon"}}},
            id="a status that there is not",
        ),
    ],
)
def test_what_is_no_entity_does_not_fit(broken: dict[str, Any]) -> None:
    schema = jsonschema.Draft7Validator(catalog_schemas()["base-image.schema.json"])

    assert not schema.is_valid({**ENTITY, **broken})


def test_the_schemas_of_entities_are_of_the_dialect_that_they_name() -> None:
    for schema in catalog_schemas().values():
        jsonschema.Draft7Validator.check_schema(schema)


def nested(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nested(inner)


def test_a_validator_that_is_strict_takes_the_schemas_of_entities() -> None:
    """Backstage's is: no property may fit a pattern beside it, and patterns are ECMAScript's with the flag `u`."""
    for schema in catalog_schemas().values():
        for each in nested(schema):
            patterns = [*each.get("patternProperties", ()), *([each["pattern"]] if "pattern" in each else [])]
            assert not any(re.search(r"\\[^.]", pattern) for pattern in patterns)
            assert not any(re.search(pattern, key) for pattern in patterns for key in each.get("properties", ()))


def test_the_reference_pages_name_every_key_and_every_variable() -> None:
    images, settings = images_reference(), settings_reference()

    for key in ("`rebuildDelay`", "`buildArgs`", "`allowTags`", "`expiry`", "`lifecycle`", "`mode`"):
        assert f"| {key} |" in images
    for word in (
        "`stateDir`",
        "`baseInterval`",
        "`requestsPerDay`",
        "`IMAGE_FACTORY_KARGO_NAMESPACE`",
        "`IMAGES_YAML`",
    ):
        assert f"| {word} |" in settings
