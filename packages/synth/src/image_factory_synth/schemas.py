"""Resources against the schemas of a Kargo release: its CRDs, its subscriptions' and its steps'. I/O: reads files.

A CRD is a structural schema, not quite JSON Schema: a field with a default may be left out though
it is required, `x-kubernetes-preserve-unknown-fields` takes anything, and any other unknown field is
dropped by the API server, which for us means a mistake. The CRD of a Warehouse leaves subscriptions
free, so each is checked against its own schema too. That of a Stage leaves its steps' configuration free:
Kargo checks it when it runs the step, with each expression evaluated, so that one may stand for any value here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from image_factory.errors import NotFound, UnknownPlugin
from image_factory_synth.checking import steps_of
from image_factory_synth.read_back import path_of

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

EXTRA = "image-factory-synth[validate]"
_UNCHECKED = frozenset(
    {
        ("v1", "Namespace"),
        ("v1", "ConfigMap"),
        ("v1", "ServiceAccount"),
        ("rbac.authorization.k8s.io/v1", "Role"),
        ("rbac.authorization.k8s.io/v1", "RoleBinding"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole"),
        ("batch/v1", "CronJob"),
        ("argoproj.io/v1alpha1", "AnalysisTemplate"),
        ("external-secrets.io/v1", "ExternalSecret"),
        ("kyverno.io/v1", "ClusterPolicy"),
    }
)
"""Resources of Kubernetes itself, which no CRD describes, and of other projects: checked where their CRDs lie there."""
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_EXPRESSION = re.compile(r"\$\{[{%]")
_STEP_FILE = "-config.json"


@dataclass(frozen=True, slots=True)
class Schemas:
    """What a release takes."""

    kinds: Mapping[tuple[str, str], Mapping[str, Any]]
    """JSON Schemas by apiVersion and kind."""
    subscriptions: Mapping[str, Mapping[str, Any]]
    """JSON Schemas of a Warehouse's subscriptions, by their key."""
    steps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """JSON Schemas of promotion steps, by the name of their file; none where steps are not checked."""


def load_schemas(folder: Path) -> Schemas:
    """Return the schemas below a folder: `crds/*.yaml`, `subscriptions/*.json` and `steps/*.json`.

    Raises:
        NotFound: there are no CRDs.
    """
    kinds: dict[tuple[str, str], Mapping[str, Any]] = {}
    for file in sorted((folder / "crds").glob("*.yaml")):
        kinds |= crd_schemas(file.read_bytes())
    if not kinds:
        raise NotFound(f"no CustomResourceDefinition in {folder / 'crds'}", hint="give the folder of one Kargo release")
    subscriptions = {
        file.stem: json.loads(file.read_bytes()) for file in sorted((folder / "subscriptions").glob("*.json"))
    }
    steps = {file.name: json.loads(file.read_bytes()) for file in sorted((folder / "steps").glob("*.json"))}
    return Schemas(kinds, subscriptions, steps)


def crd_schemas(text: bytes) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Return the JSON Schemas of a YAML stream's CustomResourceDefinitions, by apiVersion and kind."""
    kinds: dict[tuple[str, str], Mapping[str, Any]] = {}
    for crd in yaml.load_all(text, _Loader):
        if isinstance(crd, dict) and crd.get("kind") == "CustomResourceDefinition":
            kinds.update(_kinds(crd["spec"]))
    return kinds


def _kinds(spec: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Mapping[str, Any]]]:
    for version in spec["versions"]:
        schema = version.get("schema", {}).get("openAPIV3Schema")
        if schema is not None:
            yield (
                (f"{spec['group']}/{version['name']}", spec["names"]["kind"]),
                _with_free_metadata(json_schema(schema)),
            )


def json_schema(structural: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema that accepts what the API server does, unknown fields aside."""
    schema: dict[str, Any] = {
        key: value for key, value in structural.items() if not key.startswith("x-") and key not in _NOT_JSON_SCHEMA
    }
    properties = structural.get("properties")
    if properties is not None:
        schema["properties"] = {name: json_schema(of) for name, of in properties.items()}
        # The API server fills defaults in before it validates.
        required = [name for name in structural.get("required", ()) if "default" not in properties.get(name, {})]
        schema.pop("required", None)
        if required:
            schema["required"] = required
        if not _takes_unknown(structural) and "additionalProperties" not in structural:
            schema["additionalProperties"] = False
    for key in ("items", "additionalProperties", "not"):
        if isinstance(structural.get(key), Mapping):
            schema[key] = json_schema(structural[key])
    for key in ("allOf", "anyOf", "oneOf"):
        if key in structural:
            # Parts of a structural schema only narrow: they name no fields of their own.
            schema[key] = [
                {k: v for k, v in json_schema(of).items() if k != "additionalProperties"} for of in structural[key]
            ]
    if structural.get("x-kubernetes-int-or-string"):
        schema.pop("type", None)
        schema.setdefault("anyOf", [{"type": "integer"}, {"type": "string"}])
    if structural.get("nullable") and "type" in schema:
        schema["type"] = [schema["type"], "null"]
    return schema


_NOT_JSON_SCHEMA = frozenset({"default", "nullable", "example", "externalDocs", "description", "title"})


def _takes_unknown(structural: Mapping[str, Any]) -> bool:
    return bool(
        structural.get("x-kubernetes-preserve-unknown-fields") or structural.get("x-kubernetes-embedded-resource")
    )


def problems(document: Mapping[str, Any], schemas: Schemas) -> Iterator[str]:
    """Yield what is wrong with one resource, each with its path; raises what `violations` raises."""
    for at, message in violations(document, schemas):
        yield f"{path_of(at) or 'the resource'}: {message}"


def violations(document: Mapping[str, Any], schemas: Schemas) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield what is wrong with one resource, each with the place where it is.

    Raises:
        UnknownPlugin: the library that checks is not installed.
    """
    kind = (str(document.get("apiVersion")), str(document.get("kind")))
    schema = schemas.kinds.get(kind)
    if schema is None:
        if kind not in _UNCHECKED:
            yield (), f"no schema of {kind[0]} {kind[1]}"
        return
    # `metadata` is Kubernetes' own; a CRD says no more of it than that it is an object.
    yield from _fit(_validator(_Same(schema)), document, ())
    spec = document.get("spec")
    if kind[1] == "Warehouse" and isinstance(spec, Mapping):
        for number, item in enumerate(spec.get("subscriptions") or ()):
            at: tuple[str | int, ...] = ("spec", "subscriptions", number)
            if not isinstance(item, Mapping) or len(item) != 1 or next(iter(item)) not in schemas.subscriptions:
                yield at, f"not one of {', '.join(sorted(schemas.subscriptions))}"
                continue
            ((key, value),) = item.items()
            yield from _fit(_validator(_Same(schemas.subscriptions[key])), value, (*at, key))
    if schemas.steps and kind[1] in ("Stage", "PromotionTask"):
        yield from _step_violations(document, schemas)


def _step_violations(document: Mapping[str, Any], schemas: Schemas) -> Iterator[tuple[tuple[str | int, ...], str]]:
    at, steps = steps_of(document)
    for number, step in enumerate(steps):
        if not isinstance(step, Mapping) or "uses" not in step:
            continue
        file = f"{step['uses']}{_STEP_FILE}"
        if file not in schemas.steps:
            yield (*at, number, "uses"), f"no step of Kargo's: {step['uses']!r}"
            continue
        validator = _validator(_Same(schemas.steps[file]), _Same(schemas.steps))
        yield from _fit(validator, step.get("config") or {}, (*at, number, "config"), with_expressions=True)


def _fit(
    validator: Validator, value: Any, at: tuple[str | int, ...], *, with_expressions: bool = False
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for error in validator.iter_errors(value):
        if not (with_expressions and _is_open(error)):
            yield (*at, *error.absolute_path), error.message


def _is_open(error: ValidationError) -> bool:
    """Whether an expression may become a value that fits."""
    if isinstance(error.instance, str) and _EXPRESSION.search(error.instance):
        return True
    branches: dict[object, list[ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(inner.schema_path[0], []).append(inner)
    return any(all(map(_is_open, branch)) for branch in branches.values())


class _Same:
    """Something that is looked up by what it is, not by what it holds."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


@cache
def _validator(schema: _Same, beside: _Same | None = None) -> Validator:
    try:
        from jsonschema import Draft202012Validator
        from referencing import Registry, Resource
        from referencing.jsonschema import DRAFT202012
    except ModuleNotFoundError as missing:
        raise UnknownPlugin("schemas cannot be checked here", hint=f"pip install '{EXTRA}'") from missing
    others = {} if beside is None else beside.value
    registry: Any = Registry().with_resources(
        (name, Resource.from_contents(of, default_specification=DRAFT202012)) for name, of in others.items()
    )
    return Draft202012Validator(schema.value, registry=registry)


def _with_free_metadata(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {**schema, "properties": {**schema.get("properties", {}), "metadata": {"type": "object"}}}
