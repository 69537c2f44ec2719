"""What people ask for: the entries of images.yaml, as frozen records.

The field names are images.yaml's in snake_case, mechanically. Reading YAML, with lines, is
`image_factory.state.images_yaml`; this module holds the shapes and their own rules. Pure.
"""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator
from pydantic.alias_generators import to_camel

from image_factory.errors import ImageFactoryError
from image_factory.model.duration import format_duration, parse_duration
from image_factory.oci.platform import Platform
from image_factory.oci.reference import Reference, Repository

MAX_LABEL = 63
"""Characters of a DNS-1123 label (RFC 1123, section 2.1)."""
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")


class Kind(StrEnum):
    """What an enrolled image is to us."""

    MANAGED = "managed"
    """Its owner builds it: the enrollment has a source."""
    EXTERNAL = "external"
    """It is watched, not built."""


class SelectionStrategy(StrEnum):
    """How a version is picked among tags; Kargo's words."""

    DIGEST = "Digest"
    SEMVER = "SemVer"
    LEXICAL = "Lexical"
    NEWEST_BUILD = "NewestBuild"


class DelayMode(StrEnum):
    """From which instant a rebuild's delay counts (architecture, "Aged digest")."""

    AGED = "aged"
    FIRST_CHANGE = "first-change"


class Criticality(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    CRITICAL = "critical"


def _duration(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return value
    try:
        return parse_duration(str(value))
    except ImageFactoryError as error:
        raise ValueError(f"{error.message}; {error.hint}") from error


def _label(value: str) -> str:
    if len(value) > MAX_LABEL or not _DNS_LABEL.match(value):
        raise ValueError(
            f"not a name: {value!r}; write at most {MAX_LABEL} lower-case letters, digits and inner hyphens"
        )
    return value


def _git_ref(value: str) -> str:
    """Accept a branch or tag name that git takes (git-check-ref-format) and that is no option of git's."""
    bad = value.startswith(("-", "/", ".")) or value.endswith(("/", ".", ".lock")) or ".." in value
    if bad or not value or len(value) > 255 or re.search(r"[\s~^:?*\[\\\x00-\x1f\x7f]|@\{|//|\$\{\{|/\.", value):
        raise ValueError(f"not a branch: {value!r}; write a branch or tag name such as main or release/1.2")
    return value


def _inner_path(value: str) -> str:
    """Accept a relative path that stays inside its folder."""
    parts = value.split("/")
    if value.startswith(("/", "-", "~")) or ".." in parts or re.search(r"[\x00-\x1f\x7f\\]|\$\{\{", value):
        raise ValueError(f"not a path inside the repository: {value!r}; write one such as apps/web/Dockerfile")
    if not value:
        raise ValueError("the path is empty; write one such as apps/web/Dockerfile")
    return value


def _plain(value: str) -> str:
    """Accept text that can become neither an expression of Kargo's nor a second line."""
    if "${{" in value or "${%" in value or re.search(r"[\x00-\x1f\x7f]", value):
        raise ValueError(f"{value!r} holds an expression or a control character; write plain text")
    return value


def _host(value: str) -> str:
    try:
        return Repository.parse(f"{value}/a/b").registry
    except ImageFactoryError as error:
        raise ValueError(
            f"not a registry host: {value!r}; write a host such as ghcr.io, with :port if it has one"
        ) from error


def _repository(value: str) -> str:
    try:
        Repository.parse(f"registry.invalid/{value}")
    except ImageFactoryError as error:
        raise ValueError(
            f"not a repository: {value!r}; write a lower-case path without tag, such as acme/web"
        ) from error
    return value


_OWNER_AND_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.~/-]*\Z")
_CLONE_URL = re.compile(
    r"(?:(?:https?|ssh|git|file)://|[A-Za-z0-9_.-]+@[A-Za-z0-9.-]+:|/|\./|\.\./)[A-Za-z0-9_.~/:@%+\[\]-]*\Z"
)


def _source_repository(value: str) -> str:
    """Accept `owner/repository`, and for the git provider a clone URL or a folder; never an option or a transport."""
    if value and not _OWNER_AND_NAME.match(value) and not _CLONE_URL.match(value):
        raise ValueError(
            f"not a source repository: {value!r}; write owner/repository, or a clone URL with provider: git"
        )
    return value


def _git_host(value: str) -> str:
    if not re.fullmatch(r"(https?://)?[A-Za-z0-9.-]+(:\d+)?(/[A-Za-z0-9._~/-]*)?|\[[0-9a-fA-F:]+\](:\d+)?", value):
        raise ValueError(f"not a host: {value!r}; write a host name such as git.example.com")
    return value


def _platform(value: str) -> str:
    try:
        return str(Platform.parse(value))
    except ImageFactoryError as error:
        raise ValueError(f"{error.message}; {error.hint}") from error


def _regex(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"not a regular expression: {value!r} ({error}); write one such as ^16-alpine$") from error
    return _plain(value)


Duration = Annotated[timedelta, BeforeValidator(_duration), PlainSerializer(format_duration, return_type=str)]
Label = Annotated[str, AfterValidator(_label)]
GitRef = Annotated[str, AfterValidator(_git_ref)]
InnerPath = Annotated[str, AfterValidator(_inner_path)]
Plain = Annotated[str, AfterValidator(_plain)]


class Record(BaseModel):
    """The habits that all our records share: frozen, camelCase outside, unknown keys kept apart."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, extra="allow", use_enum_values=False
    )


class Source(Record):
    """Where a managed image is built from."""

    provider: Label = "github"
    host: Annotated[str, AfterValidator(_git_host)] | None = None
    repo: Annotated[str, AfterValidator(_source_repository)] = ""
    branch: GitRef = "main"
    dockerfile: InnerPath = "Dockerfile"
    context: InnerPath | None = None
    target: Plain | None = None
    build_args: dict[str, Plain] = Field(default_factory=dict)
    platforms: tuple[Annotated[str, AfterValidator(_platform)], ...] = ()
    paths: tuple[InnerPath, ...] = ()
    workflow: Plain | None = None
    pipeline: Plain | None = None
    job: Plain | None = None
    ref: GitRef | None = None
    inputs: dict[str, Plain] = Field(default_factory=dict)


class Update(Record):
    """A consumer: a file in some repository that names this image."""

    repo: Annotated[str, AfterValidator(_source_repository)]
    path: InnerPath
    type: Label
    branch: GitRef = "main"
    key: Plain | None = None
    keys: tuple[Plain, ...] = ()
    provider: Label | None = None
    mode: str = Field(default="push", pattern="^(push|pr)$")


class Metadata(Record):
    """What the catalog shows of an image."""

    title: str | None = None
    description: str | None = None
    owner: str | None = None
    system: str | None = None
    lifecycle: str | None = None


class Exemption(Record):
    """A policy set aside for one image by its owner, with a reason and an end."""

    owner: str
    reason: str
    expiry: str
    policy: str | None = None


class Enrollment(Record):
    """One entry of images.yaml. It is managed if it has a source with a repository, else external."""

    name: Label
    registry: Annotated[str, AfterValidator(_host)] = "docker.io"
    repository: Annotated[str, AfterValidator(_repository)]
    source: Source | None = None
    rebuild_delay: Duration = timedelta(days=7)
    delay_mode: DelayMode = DelayMode.AGED
    auto_rebuild: bool = True
    criticality: Criticality = Criticality.NORMAL
    group: Label | None = None
    allow_tags: Annotated[str, AfterValidator(_regex)] | None = None
    tag: Plain | None = None
    constraint: Plain | None = None
    image_selection_strategy: SelectionStrategy | None = None
    updates: tuple[Update, ...] = ()
    verification: dict[str, Any] | None = None
    policy: dict[str, Any] | None = None
    exemptions: tuple[Exemption, ...] = ()
    metadata: Metadata | None = None

    @model_validator(mode="before")
    @classmethod
    def _flatten(cls, value: Any) -> Any:
        """Take the nested shape too: `{name, enrollment: {source: …}}` (requirements, P3)."""
        if isinstance(value, dict) and isinstance(value.get("enrollment"), dict):
            return {**value["enrollment"], **{key: item for key, item in value.items() if key != "enrollment"}}
        return value

    @property
    def kind(self) -> Kind:
        return Kind.MANAGED if self.source is not None and self.source.repo else Kind.EXTERNAL

    @property
    def image(self) -> Repository:
        """The image's repository, canonical: what it is published to, or where it is watched."""
        return Repository.parse(f"{self.registry}/{self.repository}")

    @property
    def strategy(self) -> SelectionStrategy:
        """The strategy chosen, else the one that what is given implies: a tag Digest, a constraint SemVer."""
        if self.image_selection_strategy is not None:
            return self.image_selection_strategy
        if self.tag is not None:
            return SelectionStrategy.DIGEST
        return SelectionStrategy.SEMVER if self.constraint is not None else SelectionStrategy.LEXICAL

    @property
    def reference(self) -> Reference | None:
        """The one reference that an external image with a tag is watched by; None otherwise."""
        return None if self.tag is None else Reference.parse(f"{self.image}:{self.tag}")
