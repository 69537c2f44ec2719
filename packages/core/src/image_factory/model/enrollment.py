"""What people ask for: the entries of images.yaml, as frozen records.

The field names are images.yaml's in snake_case, mechanically. Reading YAML, with lines, is
`image_factory.state.images_yaml`; this module holds the shapes and their own rules, and
`image_factory.model.field_types` what a single field takes. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator
from pydantic.alias_generators import to_camel

from image_factory.model.field_types import (
    MAX_LABEL,
    Constraint,
    DateText,
    DeclaredName,
    Duration,
    GitHost,
    GitRef,
    InnerPath,
    InputName,
    Label,
    Plain,
    PlatformName,
    Regex,
    RegistryHost,
    RepositoryPath,
    SourceRepository,
    StageName,
    TagName,
    Text,
    VariableName,
    WorkflowFile,
    wrong,
)
from image_factory.oci.reference import DOCKER_HUB, Reference, Repository

__all__ = [
    "DEFAULT_PROVIDER",
    "GIT_PROVIDER",
    "MAX_LABEL",
    "UPDATE_TYPES",
    "Broken",
    "Criticality",
    "DelayMode",
    "Duration",
    "Enrollment",
    "Exemption",
    "Kind",
    "Label",
    "Metadata",
    "Record",
    "SelectionStrategy",
    "Source",
    "Update",
    "find_broken_rules",
    "find_idle_keys",
    "one_tag",
    "tag_pattern",
]

DEFAULT_PROVIDER = "github"
GIT_PROVIDER = "git"
"""The built-in source, which takes any clone URL and any folder."""

UPDATE_TYPES = ("kustomize-set-image", "yaml-update", "helm-update-image")
"""The ways to edit a consumer's file that need no further plugin (`updates[].type`)."""

# `^16-alpine$`: anchored, and nothing in it but letters, digits, - _ and escaped dots.
_ONE_TAG = re.compile(r"\^((?:[A-Za-z0-9_-]|\\[.-])+)\$\Z")


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
    """How much waits on an image: what is more critical is rebuilt first."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    CRITICAL = "critical"


class Record(BaseModel):
    """The habits that all our records share: frozen, camelCase outside, unknown keys kept apart.

    What validates a record is made when it is first needed: a command needs few of them, and a default that
    is a record is made without (`model_construct`), of defaults alone.
    """

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        extra="allow",
        use_enum_values=False,
        defer_build=True,
    )


def _for_provider(value: str, info: ValidationInfo) -> str:
    """Let only the git provider take URLs and folders: another one's API would get them as a path."""
    provider = info.data.get("provider")
    parts = value.split("/")
    named = len(parts) > 1 and not {"", ".", ".."} & set(parts) and ":" not in value and "@" not in value
    if value and provider is not None and provider != GIT_PROVIDER and not named:
        raise wrong(f"not a repository of {provider}: {value!r}", "write owner/repository, or set provider: git")
    return value


class Source(Record):
    """Where a managed image is built from."""

    provider: Label = Field(default=DEFAULT_PROVIDER, examples=["github", "gitlab", "git"])
    """The source plugin that reads the repository: `github`, `gitlab`, or the built-in `git` for any other."""
    host: GitHost | None = Field(default=None, examples=["git.example.com"])
    """The provider's host where it is not its usual one: GitHub Enterprise, a GitLab of your own."""
    repo: Annotated[SourceRepository, AfterValidator(_for_provider)] = Field(default="", examples=["acme/web"])
    """`owner/repository`, of any depth at GitLab. With `provider: git` a clone URL without credentials, or a folder."""
    branch: GitRef = Field(default="main", examples=["main"])
    """The branch that is built."""
    dockerfile: InnerPath = Field(default="Dockerfile", examples=["apps/web/Dockerfile"])
    """The path of the Dockerfile in the repository."""
    context: InnerPath | None = Field(default=None, examples=["apps/web"])
    """The build context's path; where it is not given, the Dockerfile's folder counts as the image's own."""
    target: StageName | None = Field(default=None, examples=["runtime"])
    """The stage that is built; the last one where it is not given."""
    build_args: dict[VariableName, Plain] = Field(default_factory=dict, examples=['{NODE_VERSION: "22"}'])
    """Build arguments that the build sets. Analysis expands them in FROM lines."""
    platforms: tuple[PlatformName, ...] = Field(default=(), examples=["[linux/amd64, linux/arm64]"])
    """The platforms that are built. A base that moves on none of them starts no rebuild."""
    paths: tuple[InnerPath, ...] = Field(default=(), examples=["[libs/shared]"])
    """Further paths that belong to this image: a change below them is a change of the image."""
    workflow: WorkflowFile | None = Field(default=None, examples=["build.yml"])
    """GitHub: the file name of the workflow that builds the image, in .github/workflows."""
    pipeline: Plain | None = Field(default=None, examples=["build"])
    """GitLab: the pipeline that builds the image."""
    job: Plain | None = Field(default=None, examples=["build-image"])
    """GitLab: the job of that pipeline."""
    ref: GitRef | None = Field(default=None, examples=["main"])
    """GitLab: the branch or tag that the pipeline runs on, where it is not `branch`."""
    inputs: dict[InputName, DeclaredName] = Field(default_factory=dict, examples=["{base_images: bases}"])
    """Our inputs, and what the workflow calls them where it is otherwise; `""` for one that it does not declare."""


class Update(Record):
    """A consumer: a file in some repository that names this image and is carried to its new version."""

    repo: SourceRepository = Field(examples=["acme/deploy"])
    """The consumer's repository, `owner/repository`."""
    path: InnerPath = Field(examples=["apps/web/values.yaml"])
    """The file in it; for `kustomize-set-image` the kustomization's folder."""
    type: Label = Field(examples=["helm-update-image"])
    """How the file is edited: `kustomize-set-image`, `yaml-update`, `helm-update-image`, or a plugin's word."""
    branch: GitRef = Field(default="main", examples=["main"])
    """The branch that the change goes to."""
    key: Plain | None = Field(default=None, examples=["image.tag"])
    """The key that holds the version, its steps parted by dots."""
    keys: tuple[Plain, ...] = Field(default=(), examples=["[image.tag]"])
    """Several such keys."""
    provider: Label | None = Field(default=None, examples=["github"])
    """The source plugin of the consumer's repository; the image's own where it is not given."""
    mode: Literal["push", "pr"] = Field(default="push", examples=["pr"])
    """`push` commits to the branch, `pr` opens a pull request."""


class Metadata(Record):
    """What the catalog shows of an image."""

    title: Text | None = Field(default=None, examples=["Web"])
    """The image's name for people."""
    description: Text | None = Field(default=None, examples=["The shop's front end"])
    """What it is, in a sentence."""
    owner: Text | None = Field(default=None, examples=["team-web"])
    """Who answers for it."""
    system: Text | None = Field(default=None, examples=["shop"])
    """The system that it is a part of."""
    lifecycle: Text | None = Field(default=None, examples=["production"])
    """Where it is in its life, such as `experimental` or `production`."""


class Exemption(Record):
    """A policy set aside for one image by its owner, with a reason and an end."""

    owner: Text = Field(examples=["team-web"])
    """Who answers for it."""
    reason: Text = Field(examples=["fixed upstream, release expected in June"])
    """Why the policy is set aside."""
    expiry: DateText = Field(examples=["2027-06-30"])
    """The day on which it ends."""
    policy: Text | None = Field(default=None, examples=["no-critical-findings"])
    """The policy that is set aside."""


class Enrollment(Record):
    """One entry of images.yaml. It is managed if it has a source with a repository, else external."""

    name: Label = Field(examples=["web"])
    """The image's name, unique in the file. It names the state file, the Warehouse and the stages."""
    registry: RegistryHost = Field(default=DOCKER_HUB, examples=["ghcr.io"])
    """The registry's host, with its port if it has one. Required for managed images."""
    repository: RepositoryPath = Field(examples=["acme/web"])
    """The image's path at its registry, without host and tag."""
    source: Source | None = Field(default=None, examples=["{repo: acme/web}"])
    """Where the image is built from. An image with a source is managed, one without is external."""
    rebuild_delay: Duration = Field(default=timedelta(days=7), examples=["7d"])
    """How old a base image's new digest must be before this image is rebuilt on it."""
    delay_mode: DelayMode = Field(default=DelayMode.AGED, examples=["aged"])
    """`aged` takes the newest digest that is itself old enough; `first-change` counts from the first change."""
    auto_rebuild: bool = Field(default=True, examples=["true"])
    """Whether rebuilds start by themselves."""
    criticality: Criticality = Field(default=Criticality.NORMAL, examples=["high"])
    """Which image is rebuilt first where not all can be at once."""
    group: Label | None = Field(default=None, examples=["shop"])
    """Images of one group are rebuilt together, at the longest of their delays."""
    allow_tags: Regex | None = Field(default=None, examples=["^16-alpine$"])
    """A regular expression: the tags of an external image that are watched."""
    tag: TagName | None = Field(default=None, examples=["16-alpine"])
    """The one tag of an external image that is watched."""
    constraint: Constraint | None = Field(default=None, examples=["^16.0.0"])
    """A range of versions: the tags of an external image that are watched."""
    image_selection_strategy: SelectionStrategy | None = Field(default=None, examples=["SemVer"])
    """How one of several tags is picked; not given: for one tag `Digest`, for a constraint `SemVer`, else `Lexical`."""
    updates: tuple[Update, ...] = Field(default=(), examples=["[{repo: acme/deploy, path: web, type: yaml-update}]"])
    """The files that name this image and follow its version."""
    verification: dict[str, Any] | None = None
    """What a build must prove before it is used."""
    policy: dict[str, Any] | None = None
    """The policies that hold for this image."""
    exemptions: tuple[Exemption, ...] = ()
    """Policies that are set aside for this image for a while."""
    metadata: Metadata | None = Field(default=None, examples=["{owner: team-web}"])
    """What the catalog shows of the image."""

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
    def only_tag(self) -> str | None:
        """The one tag that is watched: `tag`, or the only one that `allowTags` can match; None for several."""
        if self.tag is not None or self.allow_tags is None or self.constraint is not None:
            return self.tag
        return one_tag(self.allow_tags)

    @property
    def strategy(self) -> SelectionStrategy:
        """The strategy chosen, else the one that what is given implies: one tag Digest, a constraint SemVer."""
        if self.image_selection_strategy is not None:
            return self.image_selection_strategy
        if self.only_tag is not None:
            return SelectionStrategy.DIGEST
        return SelectionStrategy.SEMVER if self.constraint is not None else SelectionStrategy.LEXICAL

    @property
    def reference(self) -> Reference | None:
        """The one reference that an image with one tag is watched by; None otherwise."""
        return None if self.only_tag is None else Reference.parse(f"{self.image}:{self.only_tag}")


def one_tag(pattern: str) -> str | None:
    """Return the only tag that a regular expression can match, such as that of `^16-alpine$`, or None."""
    match = _ONE_TAG.match(pattern)
    return None if match is None else match[1].replace("\\", "")


def tag_pattern(tag: str) -> str:
    """Return the anchored pattern that matches this tag alone, in Python and in Go."""
    # Of the characters that a tag may have, only the dot means something else in a pattern.
    return f"^{tag.replace('.', chr(92) + '.')}$"


# --- rules over several fields ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that an entry breaks, and where in it."""

    path: tuple[str, ...]
    problem: str
    hint: str


def find_broken_rules(entry: Mapping[str, Any]) -> tuple[Broken, ...]:
    """Return what an entry lacks for its kind, or contradicts itself in.

    It takes images.yaml's own mapping, since a record no longer tells a default from a choice, and
    so that these are found beside what is wrong with single fields.
    """
    source = entry.get("source")
    if "source" in entry and (source is None or (isinstance(source, Mapping) and source.get("repo") in (None, ""))):
        hint = "write the repository, such as repo: acme/web; or remove source to only watch the image"
        return (Broken(("source", "repo"), "missing", hint),)
    if source is not None:
        if "registry" not in entry:
            hint = "write where the image is published, such as registry: ghcr.io"
            return (Broken(("registry",), "missing, and required beside a source", hint),)
        return ()
    if all(entry.get(key) is None for key in ("allowTags", "tag", "constraint")):
        hint = "write the tags to watch, such as allowTags: ^16-alpine$; or a source, if you build the image yourself"
        return (Broken(("allowTags",), "missing, as are tag, constraint and source", hint),)
    return _broken_choice(entry)


def _broken_choice(entry: Mapping[str, Any]) -> tuple[Broken, ...]:
    chosen = entry.get("imageSelectionStrategy")
    allowed = entry.get("allowTags")
    path = ("imageSelectionStrategy",)
    names_one = entry.get("tag") is not None or (isinstance(allowed, str) and one_tag(allowed) is not None)
    if chosen == SelectionStrategy.DIGEST and not names_one:
        return (Broken(path, "Digest watches one tag, and none is given", "write it, such as tag: 16-alpine"),)
    return ()


_MANAGED_ONLY = ("rebuildDelay", "delayMode", "autoRebuild", "group", "updates")


def find_idle_keys(entry: Mapping[str, Any]) -> tuple[Broken, ...]:
    """Return the keys of an entry that say nothing for an image of its kind."""
    if entry.get("source") is None:
        hint = "remove it; or add a source, if you build the image yourself"
        return tuple(
            Broken((key,), "says nothing for an external image", hint) for key in _MANAGED_ONLY if key in entry
        )
    return ()
