"""Freight: what a Warehouse found, under a name that is what was found.

From pkg/api/freight.go, pkg/api/warehouse.go and pkg/api/stage.go of Kargo 1.11.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from tests.kargo.simulator.resources import Document


@dataclass(frozen=True, slots=True)
class Image:
    """One image of a Freight."""

    repo_url: str
    tag: str
    digest: str


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit of a Freight."""

    repo_url: str
    id: str
    branch: str
    message: str = ""


@dataclass
class Freight:
    """One combination of what a Warehouse's subscriptions found; only its status changes."""

    warehouse: str
    images: Sequence[Image]
    commits: Sequence[Commit]
    discovered_at: datetime
    verified_in: dict[str, datetime] = field(default_factory=dict)
    approved_for: set[str] = field(default_factory=set)
    currently_in: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        """The SHA-1 of origin and artifacts: a tag that moves back brings the old name (GenerateFreightID)."""
        parts = [f"{normalized_git(commit.repo_url)}:{commit.id}" for commit in self.commits]
        parts += [f"{image.repo_url}:{image.tag}@{image.digest}" for image in self.images]
        told = f"Warehouse/{self.warehouse}:{'|'.join(sorted(parts))}"
        return hashlib.sha1(told.encode(), usedforsecurity=False).hexdigest()

    def document(self, namespace: str) -> dict[str, Any]:
        """Return it as the API server would."""
        return {
            "apiVersion": "kargo.akuity.io/v1alpha1",
            "kind": "Freight",
            "metadata": {"name": self.name, "namespace": namespace},
            "alias": f"freight-{self.name[:7]}",
            "origin": {"kind": "Warehouse", "name": self.warehouse},
            "images": [{"repoURL": each.repo_url, "tag": each.tag, "digest": each.digest} for each in self.images],
            "commits": [
                {"repoURL": each.repo_url, "id": each.id, "branch": each.branch, "message": each.message}
                for each in self.commits
            ],
            "status": {
                "verifiedIn": {
                    stage: {"verifiedAt": f"{at:%Y-%m-%dT%H:%M:%SZ}"} for stage, at in self.verified_in.items()
                },
                "approvedFor": {stage: {} for stage in self.approved_for},
                "currentlyIn": {stage: {} for stage in self.currently_in},
            },
        }


def normalized_git(url: str) -> str:
    """Return a clone URL in the one spelling that Kargo compares (pkg/urls/git.go)."""
    parts = urlsplit(url.strip().lower())
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"written with http or https in these manifests: {url}")
    return urlunsplit(
        parts._replace(netloc=parts.netloc.rpartition("@")[2], path=parts.path.rstrip("/").removesuffix(".git"))
    )


def available(stage: Document, name: str, freight: Iterable[Freight]) -> list[Freight]:
    """Return what a stage may take (ListFreightAvailableToStage, ListFreightFromWarehouse).

    Directly from a Warehouse all of it; else what any of the stages before it has verified, and what is
    approved for it. Soaking and the strategy All are not simulated: no manifest of ours asks for them.
    """
    found: dict[str, Freight] = {}
    for request in stage["spec"]["requestedFreight"]:
        sources = request["sources"]
        if unknown := set(sources) - {"direct", "stages"}:
            raise NotImplementedError(f"what the simulator does not know: {sorted(unknown)}")
        for each in freight:
            if each.warehouse != request["origin"]["name"]:
                continue
            is_verified = any(before in each.verified_in for before in sources.get("stages") or ())
            if sources.get("direct") or is_verified or name in each.approved_for:
                found[each.name] = each
    return list(found.values())


def candidates(stage: Document, there: Iterable[Freight]) -> Mapping[str, Freight]:
    """Return the newest of each origin, the higher name where two are as new (SelectAutoPromotionCandidates)."""
    newest: dict[str, Freight] = {}
    for each in sorted(there, key=lambda each: (each.discovered_at, each.name)):
        newest[each.warehouse] = each
    return {
        request["origin"]["name"]: newest[request["origin"]["name"]]
        for request in stage["spec"]["requestedFreight"]
        if request["origin"]["name"] in newest
    }
