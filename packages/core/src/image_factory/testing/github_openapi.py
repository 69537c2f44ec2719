"""GitHub's published OpenAPI description, and whether an exchange keeps to it.

The description is npm's `@octokit/openapi` (MIT), 12 MB, which we do not ship: it is looked for, and
fetched with npm where there is npm. It says what requests may hold and what answers must; it does
not say which errors come when, so an undeclared error status is held to the shape of an error alone.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from image_factory.errors import ImageFactoryError
from image_factory.shell.process import run_tool
from image_factory.testing.rest_server import Exchange

PACKAGE = "@octokit/openapi@23.0.2"
FILE = "api.github.com.json"
VARIABLE = "IMAGE_FACTORY_GITHUB_OPENAPI"
"""The environment variable that says where the file lies."""
WEBHOOKS_PACKAGE = "@octokit/openapi-webhooks@12.1.0"
WEBHOOKS_VARIABLE = "IMAGE_FACTORY_GITHUB_WEBHOOKS"
"""The same for the description of webhooks, a package and a file of its own."""

Json = Mapping[str, Any]


def find_description(
    cache: Path | None = None, *, package: str = PACKAGE, variable: str = VARIABLE
) -> tuple[Path | None, str]:
    """Return where the description lies, or None with the reason why there is none.

    Args:
        cache: where it is kept once it was fetched; the user's cache folder where it is None.
        package: npm's package with its version; `WEBHOOKS_PACKAGE` for that of webhooks.
        variable: the environment variable that names the file instead.
    """
    named = os.environ.get(variable)
    if named:
        return (Path(named), "") if Path(named).is_file() else (None, f"${variable} names no file: {named}")
    name, _, version = package.rpartition("@")
    base = os.environ.get("XDG_CACHE_HOME", "")
    folder = cache or (Path(base) if base else Path.home() / ".cache") / "image-factory" / "openapi"
    kept = folder / (f"{version}-{FILE}" if package == PACKAGE else f"{name.rpartition('/')[2]}-{version}-{FILE}")
    if kept.is_file():
        return kept, ""
    npm = shutil.which("npm")
    if npm is None:
        return None, f"GitHub's OpenAPI description is not here (${variable}), and npm, which would fetch it, neither"
    with tempfile.TemporaryDirectory(prefix="image-factory-openapi-") as work:
        words = ["install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", work, package]
        try:
            # npm needs its own configuration, which may name a registry.
            fetched = run_tool([npm, *words], environment=dict(os.environ), timeout=timedelta(minutes=3))
        except ImageFactoryError as error:
            return None, f"npm cannot fetch GitHub's OpenAPI description: {error}"
        found = Path(work) / "node_modules" / name / "generated" / FILE
        if not fetched.is_ok or not found.is_file():
            return None, f"npm cannot fetch GitHub's OpenAPI description: {fetched.complaint()}"
        folder.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(f".{os.getpid()}.part")
        shutil.copyfile(found, part)
        part.replace(kept)
    return kept, ""


class Description:
    """The description, read once."""

    def __init__(self, path: Path) -> None:
        self._whole: Json = json.loads(path.read_text(encoding="utf-8"))

    def problems(self, exchange: Exchange) -> list[str]:
        """Return what in a request or its answer the description does not allow, one line each."""
        at = f"{exchange.method} {exchange.path}"
        operation = self._operation(exchange.method.lower(), exchange.path)
        if operation is None:
            return [f"{at}: no such operation"]
        found = [
            f"{at}: no such parameter: {name}"
            for name in exchange.request.query
            if name not in self._queries(operation)
        ]
        found += [f"{at}: request: {problem}" for problem in self._request_problems(operation, exchange)]
        found += [f"{at}: {exchange.status}: {problem}" for problem in self._answer_problems(operation, exchange)]
        return found

    def webhook_problems(self, event: str, body: bytes) -> list[str]:
        """Return what in a delivery the description of webhooks does not allow, one line each."""
        told = json.loads(body)
        action = str(told.get("action", "")).replace("_", "-")
        name = event.replace("_", "-") + (f"-{action}" if action else "")
        if name not in self._whole.get("webhooks", {}):
            return [f"no such event: {name}"]
        content = self._whole["webhooks"][name]["post"]["requestBody"]["content"]
        schema = self._resolved(content["application/json"]["schema"])
        unknown = [key for key in told if schema.get("properties") and key not in schema["properties"]]
        return [f"{name}: {problem}" for problem in self._invalid(told, schema)] + [
            f"{name}: no such field: {key}" for key in unknown
        ]

    # --- inner ---------------------------------------------------------------------------------------

    @cached_property
    def _paths(self) -> list[tuple[int, re.Pattern[str], Json]]:
        table = []
        for template, operations in self._whole["paths"].items():
            parts = template.split("/")
            # The last parameter of a path, such as a ref or a file, may hold slashes.
            words = [
                (".+" if number == len(parts) - 1 else "[^/]+") if part.startswith("{") else re.escape(part)
                for number, part in enumerate(parts)
            ]
            literal = sum(not part.startswith("{") for part in parts)
            table.append((literal, re.compile("/".join(words)), operations))
        return sorted(table, key=lambda row: -row[0])

    def _operation(self, method: str, path: str) -> Json | None:
        for _, pattern, operations in self._paths:
            if method in operations and pattern.fullmatch(path):
                return dict(operations[method])
        return None

    def _queries(self, operation: Json) -> set[str]:
        parameters = [self._resolved(parameter) for parameter in operation.get("parameters", ())]
        return {parameter["name"] for parameter in parameters if parameter["in"] == "query"}

    def _request_problems(self, operation: Json, exchange: Exchange) -> Iterator[str]:
        if "requestBody" not in operation:
            if exchange.request.body not in (b"", b"null"):
                yield "a body where there is none"
            return
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        sent = json.loads(exchange.request.body or b"{}")
        yield from self._invalid(sent, schema)
        known = self._resolved(schema).get("properties", {})
        yield from (f"no such field: {name}" for name in sent if known and name not in known)

    def _answer_problems(self, operation: Json, exchange: Exchange) -> Iterator[str]:
        declared = operation["responses"].get(str(exchange.status))
        if declared is None:
            if exchange.status < 400:
                yield "no such status"
                return
            declared = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/basic-error"}}}}
        contents = self._resolved(declared).get("content", {})
        if not contents:
            if exchange.reply.body:
                yield "a body where there is none"
            return
        kind = exchange.reply.headers.get("Content-Type", "").partition(";")[0]
        if kind not in contents:
            yield f"no such media type: {kind}"
        elif kind == "application/json":
            yield from self._invalid(json.loads(exchange.reply.body), contents[kind]["schema"])

    def _resolved(self, item: Json) -> Json:
        while "$ref" in item:
            inner: Any = self._whole
            for word in item["$ref"].removeprefix("#/").split("/"):
                inner = inner[word]
            item = inner
        return item

    @cached_property
    def _schemas(self) -> Json:
        return {"schemas": _with_nulls(self._whole["components"]["schemas"])}

    def _invalid(self, value: object, schema: Json) -> list[str]:
        from jsonschema import Draft202012Validator

        validator = Draft202012Validator({**_with_nulls(schema), "components": self._schemas})
        return [f"{error.json_path}: {error.message[:160]}" for error in validator.iter_errors(value)][:5]


def _with_nulls(schema: Any) -> Any:
    """Return an OpenAPI 3.0 schema as JSON Schema has it: `nullable` becomes one more type."""
    if isinstance(schema, list):
        return [_with_nulls(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {
        key: _with_nulls(value) for key, value in schema.items() if key not in ("nullable", "example", "examples")
    }
    if schema.get("nullable") is not True:
        return changed
    return {"anyOf": [changed, {"type": "null"}]}
