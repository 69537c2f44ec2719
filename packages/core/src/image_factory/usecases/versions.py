"""List what is published of an image: newest first, in pages, from a registry or from its last answer.

Gather: one listing, at most every five minutes. Decide: `decide.versions`. Act: for the shown page
alone, digests by HEAD and details by the images' own manifests, and the latter only where reading
them costs nobody's pulls.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from image_factory.decide.versions import VersionPage, VersionRow, choose_versions, join_tags, take_page
from image_factory.errors import ImageFactoryError, NotFound, ProtocolError, RateLimited, RemoteError, Unavailable
from image_factory.model.settings import RegistrySettings
from image_factory.oci.authentication import host_of
from image_factory.oci.platform import Platform
from image_factory.oci.reference import Digest, Reference, Repository, Tag
from image_factory.ports import Registry, Version
from image_factory.shell.folder import CACHE_FOLDER
from image_factory.shell.versions_cache import CachedListing, VersionDetail, VersionsCache
from image_factory.usecases.status import instant
from image_factory.usecases.workbench import Workbench

log = logging.getLogger("image_factory.versions")

MAX_VERSIONS = 100_000
"""Tags of one repository that are listed; beyond it we stop and say so. Docker Hub's largest have about 20,000."""
MAX_PAGE_SIZE = 100
"""Rows of one page: each may cost a HEAD and three GETs."""
_JOBS = 8

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class VersionQuery:
    """What is asked for."""

    page: int = 1
    page_size: int | None = 20
    """Rows of a page, at most `MAX_PAGE_SIZE`; None for all rows on one page, without details that cost a request."""
    semver_only: bool = True
    refresh: bool = False
    """Ask the registry, however fresh its last answer is."""


@dataclass(frozen=True, slots=True)
class VersionList:
    """One page of an image's versions."""

    repository: Repository
    page: VersionPage
    hidden: int
    """Versions that the semver filter left out."""
    fetched_at: datetime
    """When the registry gave the listing."""
    links: Mapping[str, str]
    """Tag → the page where a person looks at it."""
    failure: RemoteError | None = None
    """Why the registry could not be asked now: what is shown is its last answer. None where it is fresh."""

    @property
    def is_stale(self) -> bool:
        return self.failure is not None


def list_versions(bench: Workbench, image: str, query: VersionQuery | None = None) -> VersionList:
    """Return one page of the versions of an enrolled image, a base image, or the image that a reference names.

    Where a registry does not answer, or wants to be left alone, its last answer is given, however old.

    Raises:
        NotFound: no image has that name, and it is no reference.
        RemoteError: the registry cannot be asked, and there is no earlier answer.
    """
    query = query or VersionQuery()
    repository = find_repository(bench, image)
    registry = bench.plugins.registry_for(repository)
    cache = VersionsCache(bench.root / CACHE_FOLDER / "versions")
    name = cache.name(_identity(bench, registry, repository))
    known = cache.load(name)
    failure: RemoteError | None = None
    listing = known
    if listing is None or query.refresh or not listing.is_fresh(bench.clock.now()):
        try:
            listing = _fetch(registry, repository, known, bench.clock.now())
        except (Unavailable, RateLimited) as error:
            if known is None:
                raise
            # Missing access is no outage: what a login may no longer see is not shown from memory.
            failure, listing = error, known
            log.warning(
                "shown as of %s: %s",
                instant(known.fetched_at),
                error,
                extra={**_fields(image, repository), "hint": error.hint, "reported": True},
            )
    rows = join_tags(listing.versions)
    chosen = choose_versions(rows, semver_only=query.semver_only)
    page = take_page(chosen, number=query.page, size=query.page_size or max(1, len(chosen)))
    filling = _Filling(registry, repository, listing, asks=failure is None and query.page_size is not None)
    page = replace(page, rows=filling.fill(page.rows))
    if listing is not known or filling.has_learned:
        cache.save(name, filling.listing())
    return VersionList(
        repository=repository,
        page=page,
        hidden=len(rows) - len(chosen),
        fetched_at=listing.fetched_at,
        links={row.tag: url for row in page.rows if (url := row.url or registry.web_url(repository, row.tag))},
        failure=failure,
    )


def find_repository(bench: Workbench, image: str) -> Repository:
    """Return the repository of an enrolled image or a base image by name, else of a reference.

    A single word is a name: Docker Hub's own images are written `library/node` or `node:22`.

    Raises:
        NotFound: it is neither.
        InvalidReference: it has the look of a reference and is none.
    """
    for entry in bench.enrolled().enrollments:
        if entry.enrollment.name == image:
            return entry.enrollment.image
    base = bench.store.bases().records.get(image)
    if base is not None:
        return Repository(base.configuration.registry, base.configuration.repository)
    if any(sign in image for sign in "/:@."):
        return Reference.parse(image).repository
    raise NotFound(
        f"no enrolled image and no base image is called {image!r}",
        hint=f"image-factory status lists them; for Docker Hub's image write library/{image}",
    )


def to_json(found: VersionList) -> dict[str, Any]:
    """Return the page as JSON data, in the shape that the API answers with."""
    return {
        "versions": [_row_to_json(found, row) for row in found.page.rows],
        "totalCount": found.page.total,
        "page": found.page.number,
        "pageSize": found.page.size,
        "stale": found.is_stale,
    }


def copy_forms(repository: Repository, row: VersionRow) -> tuple[str, str | None]:
    """Return what people copy: `repository:tag`, and `repository@digest` where the digest is known."""
    name = repository.familiar
    return f"{name}:{row.tag}", f"{name}@{row.digest}" if row.digest else None


def _row_to_json(found: VersionList, row: VersionRow) -> dict[str, Any]:
    by_tag, by_digest = copy_forms(found.repository, row)
    return {
        "tag": row.tag,
        "tags": list(row.tags),
        "digest": str(row.digest) if row.digest else None,
        "size": row.size,
        "publishedAt": instant(row.published_at),
        "platforms": [str(platform) for platform in row.platforms],
        "labels": dict(sorted(row.labels.items())),
        "reference": by_tag,
        "pinnedReference": by_digest,
        "url": found.links.get(row.tag),
    }


def _fetch(registry: Registry, repository: Repository, known: CachedListing | None, now: datetime) -> CachedListing:
    versions: list[Version] = []
    for version in registry.versions(repository):
        if len(versions) == MAX_VERSIONS:
            raise ProtocolError(f"{repository} has more than {MAX_VERSIONS} tags", hint="its old tags can be deleted")
        versions.append(version)
    # Of what was read before, the details of digests stay true; where a tag points does not.
    return CachedListing(now, tuple(versions), known.details if known else {})


def _identity(bench: Workbench, registry: Registry, repository: Repository) -> tuple[str, ...]:
    """Return everything that an answer depends on: the image, who is asked, and as whom."""
    settings = bench.settings.registries.get(repository.registry, RegistrySettings())
    plugin = bench.settings.plugins.get(registry.name, {})
    owners = [repository]
    if settings.endpoint:
        owners.append(Repository(host_of(settings.endpoint) or "", repository.path))
    secrets = []
    for owner in owners:
        try:
            found = bench.plugins.credentials(owner)
        except ImageFactoryError:
            # The registry says so itself, if it asks for credentials at all.
            found = None
        secrets += [found.username, found.password] if found else ["", ""]
    return (
        registry.name,
        str(repository),
        settings.model_dump_json(),
        json.dumps(plugin, sort_keys=True, default=str),
        *secrets,
    )


def _fields(image: str | None, asked: object) -> dict[str, object]:
    return {"image": image if image is not None else str(asked), "op": "versions", "input": str(asked)}


class _Filling:
    """What is learned of the rows of one page, from memory first."""

    def __init__(self, registry: Registry, repository: Repository, listing: CachedListing, *, asks: bool) -> None:
        self._registry = registry
        self._repository = repository
        self._listing = listing
        self._asks = asks
        self._lock = threading.Lock()
        """Turned off by the first sign that the registry cannot be asked now: the other rows would learn the same."""
        self._details = dict(listing.details)
        self._resolved = dict(listing.resolved)
        self.has_learned = False

    def fill(self, rows: tuple[VersionRow, ...]) -> tuple[VersionRow, ...]:
        """Return the rows with digests and details; one that cannot be asked keeps what is known of it."""
        # Where a quota counts manifests and not HEADs, people's pulls need it more than a table does.
        profile = self._registry.rate_profile(self._repository) if self._asks else None
        reads = self._asks and not (profile is not None and profile.heads_are_free)
        with ThreadPoolExecutor(max_workers=_JOBS) as pool:
            return tuple(pool.map(lambda row: self._filled(row, reads=reads), rows))

    def listing(self) -> CachedListing:
        """Return the listing with what was learned, and with nothing of digests that it no longer names."""
        named = {version.digest for version in self._listing.versions} | set(self._resolved.values())
        details = {digest: detail for digest, detail in self._details.items() if digest in named}
        return replace(self._listing, details=details, resolved=self._resolved)

    def _filled(self, row: VersionRow, *, reads: bool) -> VersionRow:
        digest = row.digest or self._resolved.get(row.tag)
        if digest is None and self._asks:
            digest = self._learn(row, lambda: self._registry.resolve(Tag(self._repository, row.tag)))
            if digest is not None:
                self._resolved[row.tag] = digest
        if digest is None:
            return row
        detail = self._details.get(digest)
        if (
            detail is None
            and reads
            and self._asks
            and not (row.size and row.published_at and row.platforms and row.labels)
        ):
            detail = self._learn(row, lambda: self._read(digest))
            if detail is not None:
                self._details[digest] = detail
        detail = detail or VersionDetail()
        return replace(
            row,
            digest=digest,
            size=row.size if row.size is not None else detail.size,
            published_at=row.published_at or detail.created_at,
            platforms=row.platforms or detail.platforms,
            labels=row.labels or detail.labels,
        )

    def _read(self, digest: Digest) -> VersionDetail:
        found = self._registry.metadata(self._repository, digest)
        platforms = tuple(Platform.parse(name) for name in sorted(found.platforms))
        return VersionDetail(found.size, found.created, platforms, dict(found.labels))

    def _learn(self, row: VersionRow, ask: Callable[[], Answer]) -> Answer | None:
        try:
            answer = ask()
        except (Unavailable, RateLimited) as error:
            with self._lock:
                is_first, self._asks = self._asks, False
            if is_first:
                log.warning("details are missing: %s", error, extra=_fields(None, self._repository))
            return None
        except ImageFactoryError as error:
            log.warning("no details: %s", error, extra=_fields(None, f"{self._repository}:{row.tag}"))
            return None
        self.has_learned = True
        return answer
