"""The documents that were applied, by kind and name, and the little that is looked up in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any

import yaml

Document = Mapping[str, Any]

_LENGTH = re.compile(r"(\d+(?:\.\d+)?)(h|m|s)")
_UNITS = {"h": 3600, "m": 60, "s": 1}


def name_of(document: Document) -> str:
    return str(document["metadata"]["name"])


def labels_of(document: Document) -> Mapping[str, str]:
    labels: Mapping[str, str] = document["metadata"].get("labels") or {}
    return labels


def duration(text: str) -> timedelta:
    """Return what Go's `time.ParseDuration` makes of `5m28.3s`, as far as CRDs allow it."""
    parts = _LENGTH.findall(text)
    if "".join(number + unit for number, unit in parts) != text or not parts:
        raise ValueError(f"not a duration: {text!r}")
    return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))


@dataclass
class Resources:
    """What lies in the cluster's API; a document that was not applied again is taken away, as Argo CD prunes."""

    documents: dict[tuple[str, str], Document] = field(default_factory=dict)
    generations: dict[tuple[str, str], int] = field(default_factory=dict)
    """How often the spec of each changed."""

    def apply(self, text: str) -> None:
        """Take the documents of `text` for all there is."""
        told = {(str(each["kind"]), name_of(each)): each for each in yaml.safe_load_all(text) if each}
        for key, document in told.items():
            known = self.documents.get(key)
            if known is None or known.get("spec") != document.get("spec"):
                self.generations[key] = self.generations.get(key, 0) + 1
        self.documents = told

    def all(self, kind: str) -> Iterator[Document]:
        return (document for (each, _), document in self.documents.items() if each == kind)

    def find(self, kind: str, name: str) -> Document | None:
        return self.documents.get((kind, name))

    def get(self, kind: str, name: str) -> Document:
        found = self.find(kind, name)
        if found is None:
            raise LookupError(f"no {kind} is called {name!r}")
        return found

    def project(self) -> str:
        """Return the name of the one Project."""
        (project,) = self.all("Project")
        return name_of(project)

    def is_promoted_by_itself(self, stage: Document) -> bool:
        """Return whether auto-promotion is on, which the first policy that matches says (pkg/api/auto_promotion.go)."""
        project = self.project()
        config = self.find("ProjectConfig", project)
        policies = [] if config is None else (config.get("spec") or {}).get("promotionPolicies") or []
        for policy in policies:
            if _selects(policy.get("stageSelector") or {"name": policy["stage"]}, stage):
                return bool(policy.get("autoPromotionEnabled"))
        return False


def _selects(selector: Document, stage: Document) -> bool:
    named = selector.get("name")
    if named and not matches_name(named, name_of(stage)):
        return False
    labels = labels_of(stage)
    wanted = selector.get("matchLabels") or {}
    expressions = selector.get("matchExpressions") or []
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _expressed(each, labels) for each in expressions
    )


def _expressed(expression: Document, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or []
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def matches_name(pattern: str, name: str) -> bool:
    """Return whether a name is exactly the pattern, or what follows `glob:` or `regex:` (pkg/pattern/matcher.go)."""
    kind, _, rest = pattern.partition(":")
    if kind == "glob":
        return fnmatchcase(name, rest)
    if kind in ("regex", "regexp"):
        return re.search(rest, name) is not None
    return pattern == name
