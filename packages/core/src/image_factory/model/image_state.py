"""State records: what is written to state/images and state/base-images.

Three classes of field, as types that a merge cannot confuse: *configuration* is rewritten from
images.yaml or the Dockerfile each time, *runtime* changes only when something was observed,
*history* only grows. In YAML they lie flat in one file, in the order that `state.codec` holds.
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from math import isfinite
from typing import Annotated, Any, Literal

from pydantic import Field, GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from image_factory.errors import ImageFactoryError
from image_factory.model.enrollment import Enrollment, Kind, Record, SelectionStrategy
from image_factory.model.field_types import wrong
from image_factory.oci.reference import Repository

MIN_UPDATE_HISTORY = 10
"""Digest changes that a base's history keeps at least; every unabsorbed one is kept beyond them."""


def format_time(instant: datetime) -> str:
    """Return an instant as RFC 3339 in UTC, such as 2024-01-31T12:00:00Z; parts of a second where there are any."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def parse_time(text: str) -> datetime:
    """Return the instant that an ISO 8601 date or time writes; without a zone it is UTC.

    Raises:
        ValueError: `text` is no such time.
    """
    try:
        instant = datetime.fromisoformat(text)
        return _in_utc(instant)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"not a time: {text!r}; write one such as 2024-01-31T12:00:00Z") from error


def _in_utc(instant: datetime) -> datetime:
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


_TIME_HINT = "write one such as 2024-01-31T12:00:00Z"


def _time(value: object) -> object:
    if isinstance(value, str):
        try:
            return parse_time(value)
        except ValueError as error:
            raise wrong(f"not a time: {_shown(value)}", _TIME_HINT) from error
    if isinstance(value, datetime):
        return value
    # pydantic would take a number for seconds since 1970, and `2024` for a morning of that year.
    raise wrong(f"not a time: {_shown(value)}", _TIME_HINT)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


class _Instant:
    """How pydantic reads a time: from values with care, from our own JSON (the cache's) at Rust's speed."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        read = core_schema.datetime_schema(tz_constraint="aware")
        return core_schema.json_or_python_schema(
            json_schema=read,
            python_schema=core_schema.no_info_after_validator_function(
                _in_utc, core_schema.no_info_before_validator_function(_time, core_schema.datetime_schema())
            ),
            serialization=core_schema.plain_serializer_function_ser_schema(
                format_time, return_schema=core_schema.str_schema(), when_used="json"
            ),
        )


Time = Annotated[datetime, _Instant]
"""An instant in UTC; in text RFC 3339 with Z."""


def _plain(value: object) -> Any:
    """Return what YAML and JSON both hold, so that a record that was written and read equals itself."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        if not isfinite(value):
            raise wrong(f"not a number that can be written: {value!r}", "write a finite number")
        return value
    if isinstance(value, datetime):
        return format_time(_in_utc(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    raise wrong(f"not a value that can be written: {_shown(value)}", "write text, numbers, lists and mappings")


class _PlainValues:
    """How pydantic reads a free map: from values with care; JSON holds nothing else."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        read = handler(source)
        return core_schema.json_or_python_schema(
            json_schema=read, python_schema=core_schema.no_info_before_validator_function(_plain, read)
        )


Values = Annotated[dict[str, Any], _PlainValues]
"""A free map of texts, numbers, booleans, nulls, lists and maps; times in it become texts."""


class _ByHand:
    """How pydantic reads a text: checked where a person may have edited it (the context `BY_HAND`)."""

    def __init__(self, check: Callable[[str], str]) -> None:
        self._check = check

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        text = core_schema.str_schema()
        return core_schema.json_or_python_schema(
            json_schema=text, python_schema=core_schema.with_info_after_validator_function(self._checked, text)
        )

    def _checked(self, value: str, info: ValidationInfo) -> str:
        return self._check(value) if info.context else value


# The grammar of OCI's image-spec, "Digests", whatever the algorithm: a job may hand over a shortened one.
_DIGEST = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[A-Za-z0-9=_-]{1,256}\Z")
_ROLES = ("final", "stage", "copy", "mount", "frontend", "onbuild")


def _digest(value: str) -> str:
    if not _DIGEST.match(value):
        raise wrong(f"not a digest: {_shown(value)}", "write one such as sha256: and 64 hexadecimal digits")
    return value


def _registry(value: str) -> str:
    try:
        Repository.parse(f"{value}/a/b")
    except ImageFactoryError as error:
        raise wrong(f"not a registry host: {_shown(value)}", "write a host such as docker.io") from error
    return value


def _repository(value: str) -> str:
    try:
        Repository.parse(f"registry.invalid/{value}")
    except ImageFactoryError as error:
        raise wrong(f"not a repository: {_shown(value)}", "write a lower-case path such as library/node") from error
    return value


def _role(value: str) -> str:
    if value not in _ROLES:
        raise wrong(f"{_shown(value)} is none of {', '.join(_ROLES)}", "write one of them")
    return value


DigestText = Annotated[str, _ByHand(_digest)]


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
    role: Annotated[str, _ByHand(_role)]
    """One of `image_factory.dockerfile.reading.Role`."""
    file: str
    line: Annotated[int, Field(ge=1, le=1_000_000_000)]
    reachable: bool = True
    platforms: tuple[str, ...] = ()


class Build(Record):
    """One recorded rebuild (`rebuildHistory`): when, why, by what, with which result."""

    at: Time
    reason: str
    trigger: str
    result: str
    """`requested`, `started`, or how it ended: `succeeded`, `failed`, `timed-out`, `cancelled`."""
    request_id: str | None = None
    run_id: str | None = None
    url: str | None = None
    digest: DigestText | None = None
    version: str | None = None
    finished_at: Time | None = None
    causes: tuple[Values, ...] = ()
    """Each with base, from, to and seenAt (`image_factory.model.request.RebuildCause`)."""
    problem: str | None = None
    """Why it failed."""
    cve: str | None = None
    """Of an emergency."""
    inputs: str | None = None
    """What two rebuilds share that have the same causes and the same source (`image_factory.decide.backoff`)."""


class ConsumerStatus(StrEnum):
    """How far a consumer's file has come."""

    PUSHED = "pushed"
    """The change is on its branch, as far as we know."""
    PROPOSED = "proposed"
    """A change request is open."""
    CURRENT = "current"
    """The branch was read, and holds what is wanted."""
    REVERTED = "reverted"
    """The change was made and taken back by somebody; it is not made again until there is another version."""
    DECLINED = "declined"
    """The change request was closed without being merged; none is opened again until there is another version."""
    FAILED = "failed"


class Consumer(Record):
    """One entry of `updates`, and what its file was last made to name."""

    repo: str
    path: str
    type: str
    branch: str
    keys: tuple[str, ...] = ()
    status: ConsumerStatus
    version: str | None = None
    digest: DigestText | None = None
    at: Time
    url: str | None = None
    """The change request's, or the commit's."""
    problem: str | None = None


class DigestUpdate(Record):
    """One observed move of a tag (`updateHistory`)."""

    at: Time
    old_digest: DigestText | None
    new_digest: DigestText
    source: str = "registry"
    platforms: Values | None = None
    """The new digest's, digest by platform, as far as they are known."""


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

    last_discovery: Time | None = None
    discovery_status: DiscoveryStatus = DiscoveryStatus.PENDING
    discovery_error: str | None = None
    current_version: str | None = None
    current_digest: DigestText | None = None
    previous_digest: DigestText | None = None
    last_built: Time | None = None
    last_updated: Time | None = None
    problem: str | None = None
    """Why an external image cannot be watched just now, such as a tag that vanished."""
    pending_rebuild: Values | None = None
    consumers: tuple[Consumer, ...] = ()
    """What each entry of `updates` was last made to name."""
    metadata: Values | None = None
    verification: Values | None = None
    cves: tuple[Values, ...] = ()


class ImageHistory(Record):
    """What only grows."""

    enrolled_at: Time | None = None
    update_history: tuple[DigestUpdate, ...] = ()
    rebuild_history: tuple[Build, ...] = ()


class ImageState(Record):
    """The file of one managed or external image."""

    configuration: ImageConfiguration
    runtime: ImageRuntime = ImageRuntime.model_construct()
    history: ImageHistory = ImageHistory.model_construct()
    unknown: Values = Field(default_factory=dict)
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
    registry: Annotated[str, _ByHand(_registry)]
    repository: Annotated[str, _ByHand(_repository)]
    tag: str | None = None
    digest: DigestText | None = None
    pinned: bool = False
    """Named by digest alone, so that there is nothing to watch."""
    managed_by: str | None = None
    """The managed image that publishes it, and that its dependents are built on; nothing is watched upstream then."""
    repo_url: str | None = Field(default=None, alias="repoURL")
    allow_tags: str | None = None
    image_selection_strategy: SelectionStrategy | None = None


class BaseRuntime(Record):
    """What was observed of a base image."""

    last_checked: Time | None = None
    """When what we know of it last changed; a check that learns nothing leaves it."""
    current_digest: DigestText | None = None
    previous_digest: DigestText | None = None
    last_updated: Time | None = None
    rebuild_eligible_at: dict[str, Time] = Field(default_factory=dict)
    """`default`, and one key a dependent."""
    metadata: Values | None = None
    """architecture, os, size in bytes, created, labels, platforms (digest by platform)."""
    problem: str | None = None
    """Why it cannot be watched just now, such as a tag that vanished."""
    cves: tuple[Values, ...] = ()


class BaseHistory(Record):
    """What only grows (the oldest absorbed updates past the tenth are dropped)."""

    first_discovered: Time | None = None
    enrolled_at: Time | None = None
    """When the managed image was enrolled that it was before; None where it never was one."""
    update_history: tuple[DigestUpdate, ...] = ()
    rebuild_history: tuple[Build, ...] = ()
    """Of the managed image that it was before."""


class BaseState(Record):
    """The file of one base image."""

    configuration: BaseConfiguration
    runtime: BaseRuntime = BaseRuntime.model_construct()
    history: BaseHistory = BaseHistory.model_construct()
    unknown: Values = Field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.configuration.name


StateFolder = Literal["images", "base-images", "rebuild-requests", "holds"]
