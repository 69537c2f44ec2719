"""State records: what is written to state/images and state/base-images.

Three classes of field, as types that a merge cannot confuse: *configuration* is rewritten from
images.yaml or the Dockerfile each time, *runtime* changes only when something was observed,
*history* only grows. In YAML they lie flat in one file, in the order that `state.codec` holds.
Pure.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from image_factory.model.enrollment import Enrollment, Kind, Record, SelectionStrategy

MIN_UPDATE_HISTORY = 10
"""Digest changes that a base's history keeps at least; every unabsorbed one is kept beyond them."""


class DiscoveryStatus(StrEnum):
    PENDING = "pending"
    SUCCESS = "success"
    FAILED = "failed"
    EXTERNAL = "external"


class BaseSite(Record):
    """One place in a Dockerfile that names a base image."""

    name: str
    """The base image's state name, or the managed image's where it is one of ours."""
    reference: str
    """Canonical."""
    written: str | None = None
    """The word in the Dockerfile, where it differs from `reference`."""
    role: str
    """One of `image_factory.dockerfile.reading.Role`."""
    file: str
    line: int
    reachable: bool = True
    platforms: tuple[str, ...] = ()


class Build(Record):
    """One recorded rebuild (`rebuildHistory`): when, why, by what, with which result."""

    at: datetime
    reason: str
    trigger: str
    result: str
    request_id: str | None = None
    run_id: str | None = None
    digest: str | None = None
    finished_at: datetime | None = None
    causes: tuple[dict[str, Any], ...] = ()


class DigestUpdate(Record):
    """One observed move of a tag (`updateHistory`)."""

    at: datetime
    old_digest: str | None
    new_digest: str
    source: str = "registry"


class ImageConfiguration(Record):
    """What images.yaml and the Dockerfile say of a managed or external image."""

    name: str
    enrollment: Enrollment
    repo_url: str | None = Field(default=None, alias="repoURL")
    allow_tags: str | None = None
    image_selection_strategy: SelectionStrategy | None = None
    constraint: str | None = None
    base_images: tuple[str, ...] = ()
    """Names of the images of all FROM lines, sorted."""
    secondary_images: tuple[str, ...] = ()
    """Names of the images that only COPY --from and RUN --mount use, sorted."""
    references: tuple[BaseSite, ...] = ()
    """Roles and sites of them all, in the order of the file."""


class ImageRuntime(Record):
    """What was observed of a managed or external image."""

    last_discovery: datetime | None = None
    discovery_status: DiscoveryStatus = DiscoveryStatus.PENDING
    discovery_error: str | None = None
    current_version: str | None = None
    current_digest: str | None = None
    previous_digest: str | None = None
    last_built: datetime | None = None
    last_updated: datetime | None = None
    pending_rebuild: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    verification: dict[str, Any] | None = None
    cves: tuple[dict[str, Any], ...] = ()


class ImageHistory(Record):
    """What only grows."""

    enrolled_at: datetime | None = None
    update_history: tuple[DigestUpdate, ...] = ()
    rebuild_history: tuple[Build, ...] = ()


class ImageState(Record):
    """The file of one managed or external image."""

    configuration: ImageConfiguration
    runtime: ImageRuntime = ImageRuntime()
    history: ImageHistory = ImageHistory()
    unknown: dict[str, Any] = Field(default_factory=dict)
    """Keys of the file that are no field of ours, kept through every read and write."""

    @property
    def name(self) -> str:
        return self.configuration.name

    @property
    def kind(self) -> Kind:
        return self.configuration.enrollment.kind


class BaseConfiguration(Record):
    """What Dockerfiles say of a base image."""

    name: str
    full_image: str
    """The canonical reference that is watched."""
    aliases: tuple[str, ...] = ()
    """Other spellings met in Dockerfiles, sorted."""
    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None
    pinned: bool = False
    """Named by digest alone, so that there is nothing to watch."""
    repo_url: str | None = Field(default=None, alias="repoURL")
    allow_tags: str | None = None
    image_selection_strategy: SelectionStrategy | None = None


class BaseRuntime(Record):
    """What was observed of a base image."""

    last_checked: datetime | None = None
    """When what we know of it last changed; a check that learns nothing leaves it."""
    current_digest: str | None = None
    previous_digest: str | None = None
    last_updated: datetime | None = None
    rebuild_eligible_at: dict[str, datetime] = Field(default_factory=dict)
    """`default`, and one key a dependent."""
    metadata: dict[str, Any] | None = None
    """architecture, os, size in bytes, created, labels, platforms (digest by platform)."""
    problem: str | None = None
    """Why it cannot be watched just now, such as a tag that vanished."""
    cves: tuple[dict[str, Any], ...] = ()


class BaseHistory(Record):
    """What only grows (the oldest absorbed updates past the tenth are dropped)."""

    first_discovered: datetime | None = None
    update_history: tuple[DigestUpdate, ...] = ()


class BaseState(Record):
    """The file of one base image."""

    configuration: BaseConfiguration
    runtime: BaseRuntime = BaseRuntime()
    history: BaseHistory = BaseHistory()
    unknown: dict[str, Any] = Field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.configuration.name


StateFolder = Literal["images", "base-images"]
