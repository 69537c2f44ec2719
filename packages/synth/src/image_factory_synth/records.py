"""Warehouses, and what all resources share, as frozen records, with what each version of Kargo takes.

From Kargo's CRDs and subscription schemas, 1.9 to 1.11 (docs/reference/kargo-resources.md). A record
says what is to be, in the order in which it is written; `image_factory_synth.fields` writes it. Pure.
"""

# ruff: noqa: RUF009 - `written` declares a field, as `dataclasses.field` does

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from typing import ClassVar

from image_factory.decide.semver import InvalidRange, Range
from image_factory.model.enrollment import MAX_LABEL, SelectionStrategy
from image_factory_synth.fields import Document, RefusedByKargo, document, written
from image_factory_synth.versions import KargoVersion

KARGO = "kargo.akuity.io/v1alpha1"
PROJECT_LABEL = "kargo.akuity.io/project"
"""A namespace that stands before its Project must carry it, or Kargo refuses the Project."""
MANAGED_BY = {"app.kubernetes.io/managed-by": "image-factory"}
ROLE_LABEL = "image-factory.io/role"
PULL_SECRET_ANNOTATION = "image-factory.io/pull-secret"  # noqa: S105 - the key of an annotation
"""Names the Secret by which Kargo reads the registry; for people, since Kargo finds it by the Secret's own label."""
REQUESTS_ROLE = "rebuild-requests"
"""The role of a Warehouse that watches an image's rebuild request."""
PROMOTION_LABEL = "image-factory.io/promotion"
"""Whether a stage takes new Freight by itself."""
AUTOMATIC, MANUAL = "automatic", "manual"
"""Its values; the promotion policy finds the stages that promote by themselves by the first."""

_NAME = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_REPO_URL = r"(\w+([.-]\w+)*(:\d+)?/)?(\w+([.-]\w+)*)(/\w+([.-]\w+)*)*"
_PLAIN_PATH = r"(?!glob:|regexp?:)[^\0]+"
_CLASS = re.compile(r"\\\\|\[\^?\]?(?:\\.|[^\]\\])*\]")
# What Python's patterns have and RE2, which Kargo uses, has not: look-around, backreferences, atomic
# groups, comments, conditions, \Z.
_NOT_RE2 = re.compile(r"\(\?(?![:imsU-]|P<)|\(\?P[=>]|\\[1-9Z]|[*+?}]\+")


def short_name(name: str, limit: int = MAX_LABEL) -> str:
    """Return `name`, or where it is longer than `limit`, its beginning and 8 hex digits of its hash."""
    if len(name) <= limit:
        return name
    digits = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: limit - 9].rstrip('-.')}-{digits}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectMeta:
    """`metadata` of a resource. Names stay within a label, so that labels and selectors match unhashed."""

    name: str = written("name", required=True, pattern=_NAME, max_length=MAX_LABEL)
    namespace: str | None = written("namespace", pattern=_NAME, max_length=MAX_LABEL)
    labels: dict[str, str] | None = written("labels")
    annotations: dict[str, str] | None = written("annotations")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretKey:
    """One key of a Secret of the same namespace."""

    name: str = written("name", required=True)
    key: str = written("key", required=True)
    optional: bool | None = written("optional")
    """Whether a container starts without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource of the output."""

    api_version: ClassVar[str]
    kind: ClassVar[str]
    metadata: ObjectMeta = written("metadata", required=True)

    def check(self, version: KargoVersion) -> None:
        """Refuse what no single field shows to be wrong.

        Raises:
            RefusedByKargo: Kargo would refuse it, or take it and then fail.
        """

    def document(self, version: KargoVersion) -> Document:
        """Return the resource as it is written for this version of Kargo.

        Raises:
            RefusedByKargo, UnsafeValue: as `image_factory_synth.fields.document`.
        """
        self.check(version)
        return {"apiVersion": self.api_version, "kind": self.kind, **document(self, version)}


class FreightCreationPolicy(StrEnum):
    AUTOMATIC = "Automatic"
    MANUAL = "Manual"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSubscription:
    """What a Warehouse watches in one image repository (Kargo's `subscriptions/image.json`)."""

    repo_url: str = written(
        "repoURL",
        required=True,
        pattern=_REPO_URL,
        hint="Kargo takes letters, digits, _ and single dots or hyphens between them in each part of a repository",
    )
    image_selection_strategy: SelectionStrategy = written("imageSelectionStrategy", required=True)
    constraint: str | None = written("constraint", first=(1, 7))
    semver_constraint: str | None = written(
        "semverConstraint", last=(1, 8), hint="write it as constraint: since 1.9 Kargo drops it without a word"
    )
    strict_semvers: bool | None = written("strictSemvers", first=(1, 2))
    allow_tags: str | None = written(
        "allowTags", last=(1, 10), hint="write it as allowTagsRegexes: Kargo 1.11 takes it and then finds nothing"
    )
    allow_tags_regexes: tuple[str, ...] | None = written("allowTagsRegexes", first=(1, 9))
    ignore_tags: tuple[str, ...] | None = written("ignoreTags", last=(1, 10), hint="write it as ignoreTagsRegexes")
    ignore_tags_regexes: tuple[str, ...] | None = written("ignoreTagsRegexes", first=(1, 9))
    platform: str | None = written("platform", pattern=r"\w+/\w+", hint="Kargo takes os/architecture, no variant")
    insecure_skip_tls_verify: bool | None = written("insecureSkipTLSVerify")
    discovery_limit: int | None = written("discoveryLimit", minimum=1, maximum=100)

    def check(self) -> None:
        """Refuse what Kargo would take and then fail at, or find nothing with."""
        strategy = self.image_selection_strategy
        if strategy is SelectionStrategy.DIGEST and not self.constraint:
            raise RefusedByKargo(
                "Digest has no tag to watch", field="constraint", hint="give the tag, or choose another strategy"
            )
        if strategy is SelectionStrategy.SEMVER and self.constraint:
            _check_range(self.constraint)
        for pattern in (*(self.allow_tags_regexes or ()), *(self.ignore_tags_regexes or ())):
            _check_pattern(pattern)


@dataclass(frozen=True, slots=True, kw_only=True)
class GitSubscription:
    """What a Warehouse watches in one git repository (Kargo's `subscriptions/git.json`)."""

    repo_url: str = written(
        "repoURL",
        required=True,
        pattern=r"(https?://|ssh://([\w-]+@)?)[\w-]+(\.[\w-]+)*(:\d{1,5})?/.*",
        hint="give an https URL without user name and token",
    )
    branch: str = written(
        "branch",
        required=True,
        pattern=r"[a-zA-Z0-9]([a-zA-Z0-9._/-]*[a-zA-Z0-9_-])?",
        max_length=255,
        hint="Kargo takes letters, digits and . _ - / in a branch",
    )
    include_paths: tuple[str, ...] | None = written("includePaths", pattern=_PLAIN_PATH)
    exclude_paths: tuple[str, ...] | None = written("excludePaths", pattern=_PLAIN_PATH)
    discovery_limit: int | None = written("discoveryLimit", minimum=1, maximum=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One item of a Warehouse's subscriptions: a map of exactly one key."""

    image: ImageSubscription | None = written("image")
    git: GitSubscription | None = written("git")


@dataclass(frozen=True, slots=True, kw_only=True)
class WarehouseSpec:
    interval: timedelta = written("interval", required=True)
    freight_creation_policy: FreightCreationPolicy = written("freightCreationPolicy", required=True)
    subscriptions: tuple[Subscription, ...] = written("subscriptions", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Warehouse(Resource):
    """Watches repositories and makes Freight of what it finds."""

    api_version: ClassVar[str] = KARGO
    kind: ClassVar[str] = "Warehouse"
    spec: WarehouseSpec = written("spec", required=True)

    def check(self, version: KargoVersion) -> None:
        watched = [
            subscription.repo_url
            for item in self.spec.subscriptions
            for subscription in (item.image, item.git)
            if subscription is not None
        ]
        if any((item.image is None) == (item.git is None) for item in self.spec.subscriptions):
            raise RefusedByKargo("a subscription is of an image or of git", field="subscriptions")
        if not watched:
            raise RefusedByKargo("a Warehouse without a subscription", field="subscriptions")
        if len(set(watched)) < len(watched):
            # Kargo 1.9 to 1.11 admit it by mistake; discovery then sticks (akuity/kargo#5729).
            raise RefusedByKargo(
                f"two subscriptions of one repository: {sorted(watched)}",
                field="subscriptions",
                hint="give each tag a Warehouse of its own",
            )
        for item in self.spec.subscriptions:
            if item.image is not None:
                item.image.check()


@lru_cache(maxsize=1024)
def _check_range(constraint: str) -> None:
    try:
        Range.parse(constraint)
    except InvalidRange as error:
        raise RefusedByKargo(
            f"not a range of versions: {constraint!r}",
            field="constraint",
            hint="write one such as >=1.2.0 <2.0.0 or ^1.2",
        ) from error


def _check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
        understood = _NOT_RE2.search(_CLASS.sub("x", pattern)) is None
    except re.error:
        understood = False
    if not understood:
        raise RefusedByKargo(
            f"not a pattern that Kargo can read: {pattern!r}",
            field="allowTags",
            hint="write it without look-around and backreferences, as Go's regexp takes it",
        )
