"""Describe images.yaml and config.yaml for editors (JSON Schema 2020-12) and for readers (Markdown).

Both are made from the records of `image_factory.model`: keys, types and defaults from the fields,
words from the docstrings below them, examples from the fields. Reads the modules' own source text.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic import BaseModel

from image_factory.model.catalog import (
    PREFIX,
    Annotation,
    BaseImageEntity,
    BaseImageSpec,
    EntityMetadata,
    EntityPolicy,
    EntitySource,
    ManagedImageEntity,
    ManagedImageSpec,
    RebuildStatus,
    UpstreamImage,
)
from image_factory.model.cluster import CatalogSettings, ExternalSecretsSettings, KyvernoSettings, SecretSettings
from image_factory.model.enrollment import UPDATE_TYPES, Enrollment, Exemption, Metadata, Source, Update
from image_factory.model.settings import (
    CommitSettings,
    EmergencyRule,
    EmergencySettings,
    Freeze,
    KargoSettings,
    RegistrySettings,
    Settings,
    WatchSettings,
)
from image_factory.state.field_problems import fields_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"
BASE_URL = "https://raw.githubusercontent.com/craigedmunds/image-factory/main/docs/schema"
IMAGES_SCHEMA = "images.schema.json"
SETTINGS_SCHEMA = "config.schema.json"
CATALOG_SCHEMAS: Mapping[str, tuple[type[BaseModel], ...]] = {
    "managed-image.schema.json": (ManagedImageEntity, EntityMetadata, ManagedImageSpec, EntitySource, EntityPolicy),
    "base-image.schema.json": (BaseImageEntity, EntityMetadata, BaseImageSpec, UpstreamImage),
}
"""The records of each kind of catalog entity, itself first, by the name of its JSON Schema."""
_OLD_DIALECT = "http://json-schema.org/draft-07/schema#"
"""What Backstage's validators take."""

_IMAGE_RECORDS: tuple[type[BaseModel], ...] = (Enrollment, Source, Update, Metadata, Exemption)
_SETTINGS: dict[str, type[BaseModel]] = {
    "config.yaml": Settings,
    "registries.HOST": RegistrySettings,
    "freezes[]": Freeze,
    "watch": WatchSettings,
    "emergency": EmergencySettings,
    "emergency.rules[]": EmergencyRule,
    "commit": CommitSettings,
    "kargo": KargoSettings,
    "kargo.credentials.PROVIDER": SecretSettings,
    "kargo.externalSecrets": ExternalSecretsSettings,
    "kargo.kyverno": KyvernoSettings,
    "catalog": CatalogSettings,
}
"""The records of config.yaml, by where in it they stand."""
_TAG_KEYS = ("allowTags", "tag", "constraint")


def images_schema(update_types: Sequence[str] = UPDATE_TYPES) -> dict[str, Any]:
    """Return the JSON Schema of images.yaml.

    Args:
        update_types: what `updates[].type` may be: the installed file updaters.
    """
    definitions = _definitions(_IMAGE_RECORDS)
    definitions["Update"]["properties"]["type"] = {
        **definitions["Update"]["properties"]["type"],
        "enum": list(update_types),
    }
    entry = definitions["Enrollment"]
    entry["properties"]["enrollment"] = {
        "type": "object",
        "deprecated": True,
        "description": "The fields beside `name`, in the shape that state files hold. Write them flat instead.",
    }
    entry["if"] = {"required": ["enrollment"]}
    entry["then"] = {"required": ["name"]}
    entry["else"] = _required_by_kind(entry.pop("required"))
    definitions["Source"]["required"] = ["repo"]
    definitions["Source"]["properties"]["repo"]["minLength"] = 1
    return {
        "$schema": DIALECT,
        "$id": f"{BASE_URL}/{IMAGES_SCHEMA}",
        "title": "images.yaml",
        "description": "The images that Image Factory keeps current.",
        "type": ["array", "null"],
        "items": {"$ref": "#/$defs/Enrollment"},
        "$defs": definitions,
    }


def settings_schema() -> dict[str, Any]:
    """Return the JSON Schema of config.yaml."""
    definitions = _definitions(tuple(_SETTINGS.values()))
    return {
        "$schema": DIALECT,
        "$id": f"{BASE_URL}/{SETTINGS_SCHEMA}",
        "title": "config.yaml",
        **definitions.pop("Settings"),
        "type": ["object", "null"],
        "$defs": definitions,
    }


def catalog_schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of each kind of catalog entity, by file name.

    Backstage adds to what it was given: relations, a status, further metadata. An entity that it returns
    fits these, too.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, records in CATALOG_SCHEMAS.items():
        definitions = _definitions(records)
        entity = definitions.pop(records[0].__name__)
        metadata = definitions["EntityMetadata"]
        for grown in (entity, metadata):
            del grown["additionalProperties"]
        for of in (entity, *definitions.values()):
            named = of.get("required", [])
            always = [key for key, value in of["properties"].items() if "const" in value]
            of["required"] = [*always, *named]
        annotations = metadata["properties"]["annotations"]
        # As a pattern: Backstage's validator takes no property that fits a pattern, too.
        status = rf"^{PREFIX}{Annotation.REBUILD_STATUS}$".replace(".", r"\.")
        annotations["patternProperties"][status] = {"enum": [each.value for each in RebuildStatus]}
        annotations["additionalProperties"] = False
        found[name] = {
            "$schema": _OLD_DIALECT,
            "$id": f"{BASE_URL}/{name}",
            "title": entity["properties"]["kind"]["const"],
            **entity,
            "$defs": definitions,
        }
    return found


def _required_by_kind(always: list[str]) -> dict[str, Any]:
    """Say what an entry needs beside what all do: an image with a source its registry, one without its tags."""
    return {
        "required": always,
        "if": {"required": ["source"]},
        "then": {"required": ["registry"]},
        "else": {"anyOf": [{"required": [key]} for key in _TAG_KEYS]},
    }


def _definitions(records: Sequence[type[BaseModel]]) -> dict[str, Any]:
    generated: dict[str, Any] = {}
    for record in records:
        schema = record.model_json_schema(by_alias=True)
        inner = schema.pop("$defs", {})
        generated.update({name: each for name, each in inner.items() if name not in generated})
        generated[record.__name__] = schema
    for record in records:
        _describe(generated[record.__name__], record)
    return {name: _tidy(schema) for name, schema in generated.items()}


def _describe(schema: dict[str, Any], record: type[BaseModel]) -> None:
    """Add the docstrings, and forbid keys that no field has, so that an editor marks a misspelt one."""
    words = field_words(record)
    schema["description"] = (inspect.getdoc(record) or "").split("\n\n")[0]
    schema["additionalProperties"] = False
    for name, info in record.model_fields.items():
        described = schema["properties"][info.alias or name]
        if words.get(name):
            described["description"] = words[name]


def _tidy(schema: Any) -> Any:
    """Leave out what pydantic writes and no editor needs: titles, null beside a value, flow-style examples."""
    if isinstance(schema, list):
        return [_tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: item for key, item in schema.items() if key not in ("title", "examples") or isinstance(item, dict)}
    if kept.get("default", ...) is None:
        del kept["default"]
    options = kept.get("anyOf")
    if isinstance(options, list) and {"type": "null"} in options:
        others = [option for option in options if option != {"type": "null"}]
        del kept["anyOf"]
        kept = {**kept, **(others[0] if len(others) == 1 else {"anyOf": others})}
    return {key: _tidy(item) for key, item in kept.items()}


# --- words ------------------------------------------------------------------------------------------------


@cache
def field_words(record: type[BaseModel]) -> Mapping[str, str]:
    """Return the docstring below each field of a record, on one line."""
    tree = ast.parse(inspect.getsource(record))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    words = {}
    for field, below in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            text = below.value.value if isinstance(below.value, ast.Constant) else ""
            words[field.target.id] = " ".join(str(text).split())
    return words


def images_reference() -> str:
    """Return the reference page of images.yaml, as Markdown."""
    lines = [
        "# images.yaml",
        "",
        "A YAML list, one entry an image. People write it; the program only ever adds entries to it, when asked to",
        "(`image-factory enroll`). `image-factory validate` names everything that is wrong in it, with its line and",
        "what would be right. `image-factory schema` prints its JSON Schema, which",
        f"[lies here](../schema/{IMAGES_SCHEMA}) too.",
        "",
        "An image with a `source` is *managed* and needs a `registry`. One without is *external* and needs",
        '`allowTags`, `tag` or `constraint`. Numbers that are meant as text are quoted: `tag: "3.10"`.',
        "",
    ]
    for record, title in zip(
        _IMAGE_RECORDS, ("An entry", "source", "updates[]", "metadata", "exemptions[]"), strict=True
    ):
        lines += [f"## {title}", "", (inspect.getdoc(record) or "").split("\n\n")[0], "", *_table(record), ""]
    return "\n".join(lines)


def settings_reference() -> str:
    """Return the reference page of config.yaml and of the environment, as Markdown."""
    from image_factory.shell.settings import variables

    lines = [
        "# Settings",
        "",
        "Flags win over the environment, the environment over `config.yaml` in the image-factory folder, and that over",
        "the defaults. Paths in `config.yaml` start from the folder, those of flags and variables from the working",
        "directory. `image-factory schema --config` prints the JSON Schema of `config.yaml`, which",
        f"[lies here](../schema/{SETTINGS_SCHEMA}) too.",
        "",
        "## The folder",
        "",
        "The image-factory folder is the first of: `--image-factory-dir`, `IMAGE_FACTORY_DIR`, the working directory",
        "where it holds an images.yaml or a config.yaml, and its `image-factory` folder.",
        "",
    ]
    for title, record in _SETTINGS.items():
        lines += [f"## {title}", "", (inspect.getdoc(record) or "").split("\n\n")[0], "", *_table(record), ""]
    lines += [
        "## Environment",
        "",
        "Who may order emergencies is read from `config.yaml` alone, as it was committed.",
        "",
    ]
    lines += ["| Variable | Setting | Value |", "|---|---|---|"]
    for variable in variables():
        value = {"text": "text", "word": "as in YAML: true, 5", "list": "words parted by commas"}[variable.kind]
        lines.append(f"| `{variable.name}` | `{'.'.join(variable.path)}` | {value} |")
    return "\n".join([*lines, ""])


def _table(record: type[BaseModel]) -> Iterator[str]:
    yield "| Key | Default | Meaning | Example |"
    yield "|---|---|---|---|"
    words = field_words(record)
    shapes = fields_of(record)
    for (name, info), key in zip(record.model_fields.items(), shapes, strict=True):
        default = "required" if info.is_required() else _shown(info.get_default(call_default_factory=True))
        example = f"`{info.examples[0]}`" if info.examples else ""
        cells = (f"`{key}`", default, words.get(name, ""), example)
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _shown(value: object) -> str:
    from datetime import timedelta

    from image_factory.model.duration import format_duration

    if value is None or value in ((), {}, "") or isinstance(value, BaseModel):
        return ""
    if isinstance(value, timedelta):
        return f"`{format_duration(value)}`"
    if isinstance(value, Enum):
        return f"`{value.value}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
