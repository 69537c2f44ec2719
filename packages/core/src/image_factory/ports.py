"""Ports: what the core asks of the world, one Protocol each.

A plugin registers objects of these shapes through the hooks of `image_factory.hookspecs`. Domain
types only; every method says which errors of `image_factory.errors` it raises, and no other
exception may cross it. The contract suites in `image_factory.testing` hold each implementation to
what is promised here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, runtime_checkable

from image_factory.model.event import Event
from image_factory.model.mention import ImageVersion, Mention, PromotionStep, Target
from image_factory.model.selection import Candidate, Selection
from image_factory.oci.exchange import HttpRequest as HttpRequest  # noqa: PLC0414 - offered here
from image_factory.oci.exchange import HttpResponse as HttpResponse  # noqa: PLC0414 - offered here
from image_factory.oci.manifest import Index, Manifest
from image_factory.oci.platform import Platform
from image_factory.oci.reference import Digest, Repository, Tag

# --- the network, and time -----------------------------------------------------------------------


@runtime_checkable
class Http(Protocol):
    """A bounded HTTP client."""

    def send(self, request: HttpRequest, *, max_bytes: int = 4 * 1024 * 1024) -> HttpResponse:
        """Return the answer, whatever its status, after following same-scheme redirects.

        `Authorization` and cookies never follow a redirect to another origin. 429 and 5xx are
        retried with backoff and `Retry-After` within a budget before they are returned.

        Raises:
            Unavailable: no connection, or no whole answer in time.
            ProtocolError: the body is larger than `max_bytes`, or redirects run in a circle.
        """
        ...


@runtime_checkable
class Clock(Protocol):
    def now(self) -> datetime:
        """Return the present instant, in UTC."""
        ...

    def sleep(self, duration: timedelta) -> None: ...


# --- registries ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and password, or a bare token where `username` is empty. `repr` is redacted."""

    username: str = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RateProfile:
    """What a registry allows: `requests` in each `window`. None in place of a profile: no stated limit."""

    requests: int
    window: timedelta
    heads_are_free: bool = False
    """Whether HEADs do not count (Docker Hub)."""

    @property
    def per_day(self) -> int:
        return int(self.requests * (timedelta(days=1) / self.window))


@dataclass(frozen=True, slots=True)
class ImageMetadata:
    """What an image says of itself; `size` in bytes, of its compressed layers."""

    digest: Digest
    platforms: Mapping[str, Digest]
    """Platform (`linux/amd64`) → manifest digest; attestations left out."""
    architecture: str | None = None
    os: str | None = None
    size: int | None = None
    created: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Version:
    """One published tag; what a registry does not tell is None or empty."""

    tag: str
    digest: Digest | None = None
    size: int | None = None
    published_at: datetime | None = None
    platforms: tuple[Platform, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    url: str | None = None
    """The page where a person looks at it, where the registry's own answer names one."""


@dataclass(frozen=True, slots=True)
class WebhookReceiver:
    """How Kargo is told of a push to this registry: the receiver's kind and its secret's key."""

    kind: str
    secret_key: str


@runtime_checkable
class Registry(Protocol):
    """An OCI registry, or several that work alike.

    Every method that asks the network raises Unavailable, RateLimited, AuthenticationRequired
    (which includes "missing or no access"), RemoteNotFound or ProtocolError.
    """

    @property
    def name(self) -> str:
        """The plugin's word, such as `ghcr`."""
        ...

    def claims(self, repository: Repository) -> bool:
        """Whether this registry answers for `repository`. Two that claim one are an error naming both."""
        ...

    def resolve(self, tag: Tag) -> Digest:
        """Return the digest that a tag points at now (an index's where it is one), with one HEAD."""
        ...

    def tags(self, repository: Repository) -> Iterator[Tag]:
        """Yield every tag, page by page, in the registry's order, which means nothing."""
        ...

    def manifest(self, repository: Repository, digest: Digest) -> Manifest | Index:
        """Return the content of `digest`, checked against it."""
        ...

    def metadata(self, repository: Repository, digest: Digest) -> ImageMetadata:
        """Return platforms, size, creation time and labels of `digest`; costs GETs."""
        ...

    def versions(self, repository: Repository) -> Iterator[Version]:
        """Yield every published tag with what the registry tells of it cheaply; newest first where dates are known."""
        ...

    def rate_profile(self, repository: Repository) -> RateProfile | None:
        """Return the limit that applies to us there, or None where none is stated."""
        ...

    def web_url(self, repository: Repository, tag: str | None = None) -> str | None:
        """Return the page where a person looks at the repository or one tag of it, if there is one."""
        ...

    def webhook_receiver(self) -> WebhookReceiver | None:
        """Return how pushes are announced to Kargo, or None."""
        ...


# --- sources and builds -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SourceRepository:
    """A repository of source files: its provider's plugin name, its host, and its path there."""

    provider: str
    host: str | None
    path: str
    """`owner/repository`; GitLab: any depth; the built-in git: a URL or a folder."""

    def __str__(self) -> str:
        return f"{self.host}/{self.path}" if self.host else self.path


@dataclass(frozen=True, slots=True)
class FileEdit:
    """The whole new text of one file."""

    path: str
    content: bytes


@dataclass(frozen=True, slots=True)
class ChangeProposal:
    """A change to open for review: one branch, one commit, one request."""

    branch: str
    """The new branch; an open request for it is reused."""
    base: str
    """The branch it goes to."""
    title: str
    body: str
    message: str
    edits: tuple[FileEdit, ...]
    trailer: str | None = None
    """A trailer of `message` by which our branches are known: one that is left over, its last commit bearing the
    trailer and no request open for it, is begun anew."""


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """A pull request or merge request that was opened."""

    url: str
    number: int
    branch: str
    is_open: bool = True
    is_merged: bool = False
    body: str = field(default="", repr=False, compare=False)
    """What its text says now, where the provider was asked."""


@runtime_checkable
class Source(Protocol):
    """Where Dockerfiles come from: a git host with its API, or git itself.

    Every method that asks the network raises Unavailable, RateLimited, AuthenticationRequired,
    RemoteNotFound (repository, revision or file), RemoteRefused or ProtocolError.
    """

    @property
    def name(self) -> str:
        """The word for `source.provider`, such as `github`."""
        ...

    def claims(self, url: str) -> bool:
        """Whether a clone or web URL belongs to this provider, such as https://github.com/acme/web."""
        ...

    def clone_url(self, repository: SourceRepository) -> str:
        """Return the URL to clone from, without credentials."""
        ...

    def credentials(self, repository: SourceRepository) -> Credentials | None:
        """Return what git must be given to reach it, or None for an anonymous clone."""
        ...

    def revision(self, repository: SourceRepository, ref: str) -> str:
        """Return the full commit id that a branch, tag or commit names now."""
        ...

    def references(self, repository: SourceRepository) -> Mapping[str, str]:
        """Return all branches and tags (`refs/heads/main`, `refs/tags/v1`) and their commit ids."""
        ...

    def read(self, repository: SourceRepository, revision: str, path: str) -> bytes:
        """Return a file's content at a commit id; a symbolic link inside the repository is followed."""
        ...

    def files(self, repository: SourceRepository, revision: str, prefix: str = "") -> Sequence[str]:
        """Return the paths of all files below `prefix` at a commit id, sorted."""
        ...

    def open_change_request(self, repository: SourceRepository, proposal: ChangeProposal) -> ChangeRequest:
        """Open `proposal`, or let the request already open for its branch hold it; clean up the branch on failure."""
        ...

    def change_request(self, repository: SourceRepository, branch: str, base: str) -> ChangeRequest | None:
        """Return the newest request from `branch` to `base`, open, merged or closed; None where there is none."""
        ...

    def web_url(self, repository: SourceRepository, revision: str | None = None, path: str | None = None) -> str | None:
        """Return the page where a person looks at the repository, or at a file of it."""
        ...


@runtime_checkable
class CatalogSource(Protocol):
    """What a `Source` may be beside: one whose repositories a developer portal has pages for."""

    def catalog_annotations(self, repository: SourceRepository, workflow: str) -> Mapping[str, str]:
        """Return the annotations by which Backstage finds the repository and the runs of its workflow.

        `workflow` is a file's name, or empty where builds have none. Asks no network.
        """
        ...


class RunStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """A build to start: where, and with which inputs under our own names."""

    repository: SourceRepository
    ref: str
    workflow: str
    """GitHub: the workflow's file name. GitLab: unused."""
    request_id: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Our inputs already renamed to what the workflow declares."""


@dataclass(frozen=True, slots=True)
class BuildRun:
    """One run of a build workflow."""

    id: str
    status: RunStatus
    url: str
    ref: str
    sha: str
    title: str
    created_at: datetime
    updated_at: datetime | None = None
    message: str = ""
    """The provider's word for what it came to; empty where it succeeded."""
    commit_title: str = ""
    """The first line of the built commit's message; empty where the provider does not tell it."""


@dataclass(frozen=True, slots=True)
class SecretHeader:
    """A header whose value holds a secret that its performer fills in: `prefix` and then the token."""

    name: str
    prefix: str
    """Such as `Bearer `."""


@dataclass(frozen=True, slots=True)
class TriggerCall:
    """The HTTP call that starts a build, described: the embedded engine performs it, synth renders it."""

    method: str
    url: str
    headers: Mapping[str, str]
    json: Mapping[str, object]
    secret: SecretHeader | None
    """Where the token goes as a header; None where `secret_field` names a field of the body."""
    secret_field: str | None
    accepted: tuple[int, ...]
    """Statuses that mean that the build was started."""


@runtime_checkable
class BuildTrigger(Protocol):
    """Starts builds in the owner's CI and finds them again. Raises what `Source` raises."""

    @property
    def name(self) -> str: ...

    def call(self, request: BuildRequest) -> TriggerCall:
        """Return the call that starts `request`; asks no network."""
        ...

    def start(self, request: BuildRequest) -> str | None:
        """Perform the call; return the run's id where the provider tells it, else None."""
        ...

    def declared_inputs(self, request: BuildRequest) -> frozenset[str] | None:
        """Return the inputs that the workflow declares, or None where it may take any."""
        ...

    def find_run(self, request: BuildRequest) -> BuildRun | None:
        """Return the run that carries the request's id, or None while there is none."""
        ...

    def run(self, request: BuildRequest, run_id: str) -> BuildRun:
        """Return a run as it is now."""
        ...

    def runs(self, request: BuildRequest, *, page: int = 1, page_size: int = 20) -> Sequence[BuildRun]:
        """Return one page of the runs of that workflow only, newest first."""
        ...

    def rerun(self, request: BuildRequest, run_id: str) -> None:
        """Start a finished run again."""
        ...


# --- consumers --------------------------------------------------------------------------------------


@runtime_checkable
class FileUpdater(Protocol):
    """Finds and replaces references to images in one kind of file. Pure: functions of text.

    What is replaced is the reference and nothing else: comments, order, quotes, anchors, line ends,
    document separators and indentation stay, byte for byte.
    """

    @property
    def name(self) -> str:
        """The word for `updates[].type`, such as `yaml-update`."""
        ...

    def matches(self, path: str) -> bool:
        """Whether a file of this path is of its kind, such as `kustomization.yaml`; cheap, asked of whole trees."""
        ...

    def mentions(self, path: str, text: str) -> Sequence[Mention]:
        """Return every place that names an image, in the order of the file; none of a file that it cannot read."""
        ...

    def replace(self, text: str, target: Target, version: ImageVersion) -> str:
        """Return `text` with the target's references naming `version`; the same text where they do.

        Raises:
            UserError: the text cannot be read, a key leads nowhere or to no scalar, or the file does
                not name the image; it says where and what to do.
        """
        ...

    def promotion_steps(self, target: Target) -> Sequence[PromotionStep]:
        """Return the promotion steps of Kargo's that do what `replace` does, in order.

        Raises:
            UserError: no step can, such as where a step needs keys and the target has none.
        """
        ...


# --- notices --------------------------------------------------------------------------------------------


@runtime_checkable
class Notifier(Protocol):
    """Tells people what happened."""

    @property
    def name(self) -> str:
        """The plugin's word, such as `slack`."""
        ...

    def deliver(self, events: Sequence[Event]) -> None:
        """Deliver `events` together, in as few messages as the medium takes.

        Raises:
            Unavailable, RateLimited: not now; the caller may try again.
            AuthenticationRequired, RemoteRefused, RemoteNotFound, InvalidSettings: not ever, as it is set up.
        """
        ...


# --- choice among tags --------------------------------------------------------------------------------


@runtime_checkable
class TagStrategy(Protocol):
    """Picks one tag among candidates. Pure: no network, no clock; the order of the candidates means nothing."""

    @property
    def name(self) -> str:
        """`digest`, `semver`, `newest-build`, `lexical`, or a plugin's own word."""
        ...

    def select(self, candidates: Sequence[Candidate], constraint: str | None) -> Selection:
        """Return one of `candidates`, or none of them, with the reason."""
        ...
