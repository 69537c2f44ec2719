"""Backstage entities of images: what a developer portal shows of them. Pure.

The kinds are ours (`image-factory.io/v1alpha1`); their envelope is Backstage's (its ADR 2 and the package
catalog-model). References are entity references as Backstage writes them, `kind:namespace/name` in
lower case. JSON Schemas are made of these records (`image_factory.usecases.schema`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from image_factory.model.cluster import ENTITY_LABEL, ENTITY_NAME, REFERENCE
from image_factory.model.enrollment import Record

API_VERSION: Literal["image-factory.io/v1alpha1"] = "image-factory.io/v1alpha1"
ENTITY_NAMESPACE = "default"
PREFIX = "image-factory.io/"
"""Of our annotations."""

EntityName = Annotated[str, Field(pattern=rf"^{ENTITY_NAME}$")]
EntityRef = Annotated[str, Field(pattern=rf"^{REFERENCE}$")]
AnnotationKey = Annotated[str, Field(pattern=rf"^({ENTITY_LABEL}(\.{ENTITY_LABEL})*/)?{ENTITY_NAME}$")]
Word = Annotated[str, Field(min_length=1)]


class Annotation(StrEnum):
    """Our annotations of an entity, without `PREFIX`; what is not known is not there."""

    REGISTRY = "registry"
    REPOSITORY = "repository"
    TAG = "tag"
    DIGEST = "digest"
    PREVIOUS_DIGEST = "previous-digest"
    LAST_BUILT = "last-built"
    LAST_UPDATED = "last-updated"
    REBUILD_STATUS = "rebuild-status"
    REBUILD_ELIGIBLE_AT = "rebuild-eligible-at"
    ENROLLED_AT = "enrolled-at"
    DISCOVERY_STATUS = "discovery-status"
    LAST_DISCOVERY = "last-discovery"


class RebuildStatus(StrEnum):
    """How an image stands to what it is built on."""

    UP_TO_DATE = "up-to-date"
    PENDING = "pending"
    """Something that it is built on has moved, and its build is not started yet."""
    REBUILDING = "rebuilding"
    FAILED = "failed"


class EntityMetadata(Record):
    """What Backstage knows of any entity."""

    name: EntityName
    """Unique among the entities of its kind and namespace."""
    namespace: Word = ENTITY_NAMESPACE
    """Backstage's, not Kubernetes'."""
    title: Word | None = None
    """Its name for people."""
    description: Word | None = None
    """What it is, on one line."""
    annotations: dict[AnnotationKey, str] = Field(default_factory=dict)
    """What is known of it, times as RFC 3339 in UTC."""


class EntitySource(Record):
    """Where a managed image is built from."""

    provider: Word
    """The source plugin."""
    host: Word | None = None
    """The provider's host where it is not its usual one."""
    repo: Word
    """The repository, as the provider names it."""
    branch: Word
    """The branch that is built."""
    dockerfile: Word
    """The Dockerfile's path."""
    workflow: Word | None = None
    """The workflow that builds the image, where there is one of a name."""


class EntityPolicy(Record):
    """When a managed image is rebuilt."""

    delay: Word
    """How old a base image's new digest must be, such as `7d`."""
    delay_mode: Literal["aged", "first-change"]
    """From which instant the delay counts."""
    auto_rebuild: bool
    """Whether rebuilds start by themselves."""
    criticality: Literal["low", "normal", "high", "critical"]
    """Which image is rebuilt first where not all can be at once."""
    group: Word | None = None
    """Images of one group are rebuilt together."""


class ManagedImageSpec(Record):
    """What a managed image is."""

    type: Literal["managed-image"] = "managed-image"
    """The kind's only type."""
    lifecycle: Word
    """Where it is in its life."""
    owner: EntityRef
    """Who answers for it."""
    system: EntityRef | None = None
    """The system that it is a part of."""
    source: EntitySource
    """Where it is built from."""
    rebuild_policy: EntityPolicy
    """When it is rebuilt."""
    depends_on: tuple[EntityRef, ...] = ()
    """What it is built on."""
    dependents: tuple[EntityRef, ...] = ()
    """What is built on it."""


class UpstreamImage(Record):
    """Where a base image comes from."""

    registry: Word
    """The registry's host."""
    repository: Word
    """The path there."""
    tag: Word | None = None
    """The tag that is followed, where it is one."""


class BaseImageSpec(Record):
    """What a base image is."""

    type: Literal["base-image"] = "base-image"
    """The kind's only type."""
    lifecycle: Word
    """Where it is in its life."""
    owner: EntityRef
    """Who answers for it: `upstream`."""
    upstream: UpstreamImage
    """Where it comes from."""
    dependents: tuple[EntityRef, ...] = ()
    """What is built on it."""


class ManagedImageEntity(Record):
    """An image that its owner builds."""

    api_version: Literal["image-factory.io/v1alpha1"] = API_VERSION
    """The version of this kind."""
    kind: Literal["ManagedImage"] = "ManagedImage"
    """The kind."""
    metadata: EntityMetadata
    """What Backstage knows of any entity."""
    spec: ManagedImageSpec
    """What it is."""


class BaseImageEntity(Record):
    """An image of somebody else's, that images are built on or that is only watched."""

    api_version: Literal["image-factory.io/v1alpha1"] = API_VERSION
    """The version of this kind."""
    kind: Literal["BaseImage"] = "BaseImage"
    """The kind."""
    metadata: EntityMetadata
    """What Backstage knows of any entity."""
    spec: BaseImageSpec
    """What it is."""


Entity = ManagedImageEntity | BaseImageEntity


def entity_ref(kind: Literal["ManagedImage", "BaseImage"], name: str) -> str:
    """Return the reference to an entity of ours, in the form in which Backstage compares them."""
    return f"{kind.lower()}:{ENTITY_NAMESPACE}/{name.lower()}"
