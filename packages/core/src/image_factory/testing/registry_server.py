"""An embedded OCI registry: the real protocol on loopback, with a registry's limits and tempers.

Serves pulls, pushes (skopeo's and docker's included), tag pages, referrers, tokens and Docker Hub's
rate limit, from memory or from a folder; keeps a log of what it was asked; misbehaves on request.
Specification: OCI distribution-spec 1.1; distribution's token authentication; Docker Hub's
`ratelimit-*` headers. For tests, the demo and plugin authors, never for production: it binds
loopback only and speaks plain HTTP. What it stores is `testing.registry_storage`, how it answers
`testing.registry_answers`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

from image_factory.oci.reference import Digest
from image_factory.ports import Clock
from image_factory.shell.clock import SystemClock
from image_factory.testing.image_content import EPOCH, ImageContent, build_image, build_referrer, digest_of
from image_factory.testing.registry_storage import RegistryStorage


class Misbehavior(StrEnum):
    """What a registry in the world does wrong; each stays until it is taken away again."""

    HTML = "answers a web page to everything"
    ENDLESS = "never ends a body"
    GARBAGE = "answers JSON that is none"
    REDIRECT = "redirects reads to another host"
    REDIRECT_LOOP = "redirects reads to themselves"
    FOREIGN_REALM = "names a token realm on another host"
    WRONG_DIGEST = "claims a digest that its content has not"
    NO_DIGEST_HEADER = "sends no Docker-Content-Digest"
    HEAD_REFUSED = "answers 405 to HEAD"
    STRANGE_TAGS = "lists what is no tag"
    NULL_TAGS = "answers null for no tags"
    FOREIGN_LINK = "links to the next page on another host"
    LINK_LOOP = "links each page to itself"
    NO_REFERRERS = "knows no referrers API"
    REFUSES_N = "answers 400 where a page size is asked for"
    HIDES = "answers 401 for what does not exist"
    CUT_OFF = "closes the connection in the middle of a body"


@dataclass(frozen=True, slots=True)
class Access:
    """Who may read: `username` with `password`, through a token or Basic; anyone where anonymous.

    Pushing needs no credentials, so that a test can always fill the registry.
    """

    username: str = "robot"
    password: str = field(default="", repr=False)
    basic: bool = False
    """Basic on each request, in place of tokens."""
    anonymous: bool = False
    """Whether a token is given to whoever asks without credentials."""
    token_field: str = "token"  # noqa: S105 - the name of a field
    """`token` or `access_token`: registries differ."""
    expires_in: int | None = 300
    private: frozenset[str] = frozenset()
    """Repositories that an anonymous token does not open."""


@dataclass(frozen=True, slots=True)
class Quota:
    """Docker Hub's limit: `requests` manifest GETs in each `window`; HEADs do not count."""

    requests: int = 100
    window: timedelta = timedelta(hours=6)
    heads_count: bool = False
    retry_after: str | None = None
    """Sent with a 429 as it stands: seconds or an HTTP date; by default the seconds left."""
    headers: bool = True
    """Whether answers carry `ratelimit-limit` and `ratelimit-remaining` (paid plans: no)."""


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request as the registry saw it; `authorization` is the scheme alone, never the secret."""

    method: str
    path: str
    status: int
    authorization: str = ""
    accept: str = ""


@dataclass(slots=True)
class Failure:
    """Answers that go wrong before the registry is itself again."""

    status: int
    times: int
    headers: Mapping[str, str] = field(default_factory=dict)


class RegistryServer:
    """An OCI registry on loopback, as a context manager.

    Args:
        folder: where to keep content; a later server on the same folder goes on with it. None: memory.
        access: who may read; None opens it to all.
        quota: how many reads; None sets no limit.
        prefix: a path below which every repository lies, as on a mirror (`hub` → `/v2/hub/library/node`).
        page_size: the most tags that one answer holds.
        port: 0 takes a free one.
        clock: what tells the time for quotas and tokens.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        access: Access | None = None,
        quota: Quota | None = None,
        prefix: str = "",
        page_size: int = 1000,
        port: int = 0,
        clock: Clock | None = None,
    ) -> None:
        from image_factory.testing.registry_answers import Handler

        self.storage = RegistryStorage(folder)
        self.access = access
        self.quota = quota
        self.prefix = prefix.strip("/")
        self.page_size = page_size
        self.clock: Clock = clock or SystemClock()
        self.misbehaviors: set[Misbehavior] = set()
        self.redirect_to = ""
        """Where `REDIRECT`, `FOREIGN_LINK` and `FOREIGN_REALM` point: another server's URL."""
        self.failures: list[Failure] = []
        self.requests: list[LoggedRequest] = []
        self.tokens: dict[str, tuple[datetime, str]] = {}
        """Token → when it expires, and its scope."""
        self.spent: list[datetime] = []
        """When each counted read happened, oldest first."""
        self.lock = threading.RLock()
        self._server = _Server(("127.0.0.1", port), Handler)
        self._server.registry = self
        self._thread: threading.Thread | None = None

    @property
    def host(self) -> str:
        """`127.0.0.1:PORT`, the registry's name in references."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, the registry's endpoint."""
        return f"http://{self.host}"

    def start(self) -> RegistryServer:
        """Answer from now on, in a thread of its own."""
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True, name="registry"
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop answering and free the port; what a folder holds stays."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
        self._server.server_close()

    def __enter__(self) -> RegistryServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- filling it ---------------------------------------------------------------------------

    def push_image(
        self,
        repository: str,
        tag: str | Sequence[str],
        *,
        platforms: Sequence[str] = ("linux/amd64", "linux/arm64"),
        labels: Mapping[str, str] | None = None,
        created: datetime = EPOCH,
        seed: str = "",
        docker: bool = False,
        attestations: bool = False,
        index: bool | None = None,
    ) -> Digest:
        """Put a small valid image under one tag or several, and return the digest the tags point at.

        Another `seed`, another digest: pushing a tag again with a new seed moves it.
        """
        content = build_image(
            platforms=platforms,
            labels=labels,
            created=created,
            seed=seed or repository,
            docker=docker,
            attestations=attestations,
            index=index,
        )
        return self.push(repository, [tag] if isinstance(tag, str) else tag, content)

    def push(self, repository: str, tags: Sequence[str], content: ImageContent) -> Digest:
        """Put `content` under each of `tags`, or under its digest alone where there are none."""
        for blob in content.blobs:
            self.storage.put_blob(blob)
        for media_type, body in content.manifests[:-1]:
            self.storage.put_manifest(repository, str(digest_of(body)), media_type, body)
        media_type, body = content.manifests[-1]
        for tag in tags or [str(content.digest)]:
            self.storage.put_manifest(repository, tag, media_type, body)
        return content.digest

    def push_referrer(self, repository: str, subject: Digest, *, artifact_type: str, seed: str = "") -> Digest:
        """Put an artifact that refers to `subject`, such as a signature, and return its digest."""
        held = self.storage.manifest(repository, str(subject))
        size = len(held[2]) if held else 0
        return self.push(repository, [], build_referrer(subject, size, artifact_type=artifact_type, seed=seed))

    def delete(self, repository: str, reference: str) -> bool:
        """Take a tag (or a digest with its tags) away; return whether it was there."""
        return self.storage.delete(repository, reference)

    # --- making it misbehave ------------------------------------------------------------------

    @contextmanager
    def misbehaving(self, *misbehaviors: Misbehavior, redirect_to: str = "") -> Iterator[None]:
        """Do these things wrong inside the block."""
        before, target = set(self.misbehaviors), self.redirect_to
        self.misbehaviors |= set(misbehaviors)
        self.redirect_to = redirect_to or target
        try:
            yield
        finally:
            self.misbehaviors, self.redirect_to = before, target

    def fail_next(self, status: int, times: int = 1, headers: Mapping[str, str] | None = None) -> None:
        """Answer `status` to the next `times` requests, then carry on."""
        with self.lock:
            self.failures.append(Failure(status, times, dict(headers or {})))

    # --- asking what happened -----------------------------------------------------------------

    def count(self, method: str | None = None, containing: str = "") -> int:
        """Return how many logged requests had this method and this text in their path."""
        with self.lock:
            return sum((method is None or r.method == method) and containing in r.path for r in self.requests)

    def forget(self) -> None:
        """Empty the log of requests."""
        with self.lock:
            self.requests.clear()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A burst of pooled clients connects at once; the default backlog of 5 would reset some.
    request_queue_size = 128
    registry: RegistryServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing where a client went away; that is its right."""
