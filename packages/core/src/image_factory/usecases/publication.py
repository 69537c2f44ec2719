"""Find what a build published, at its image's registry. Asks; writes nothing.

What to look at is bounded, the newest first: a few tags whose digests are new, and the tag that is
followed. The label that our build workflows set makes it certain; else it is decided by
`decide.settlement`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from image_factory.decide.semver import SemanticVersion
from image_factory.decide.settlement import (
    LATEST,
    REQUEST_ID_LABEL,
    Candidate,
    choose_publication,
    known_before,
    recorded_since,
)
from image_factory.decide.versions import VersionRow, choose_versions, join_tags
from image_factory.errors import ProtocolError, RemoteNotFound
from image_factory.model.enrollment import Enrollment
from image_factory.model.image_state import ImageState
from image_factory.model.request import RebuildRequest
from image_factory.oci.reference import Digest, Repository, Tag
from image_factory.ports import Registry
from image_factory.usecases.workbench import Workbench

MAX_TAGS = 10_000
"""Tags that are listed at most."""
MAX_LOOKED_AT = 12
"""New digests whose labels are read at most; each costs GETs."""
MAX_RESOLVED = 48
"""Tags that are resolved at most, where the registry's list has no digests; each costs a HEAD."""


@dataclass(frozen=True, slots=True)
class _Shelf:
    """An image at its registry, each tag and digest asked once."""

    registry: Registry
    repository: Repository

    def resolve(self, row: VersionRow) -> str | None:
        if row.digest is not None:
            return str(row.digest)
        try:
            return str(self.registry.resolve(Tag(self.repository, row.tag)))
        except RemoteNotFound:
            return None  # deleted since the list was made

    def candidate(self, row: VersionRow, digest: str) -> Candidate:
        labels = row.labels
        if not labels:
            try:
                labels = self.registry.metadata(self.repository, Digest.parse(digest)).labels
            except (RemoteNotFound, ProtocolError):
                labels = {}  # an artifact that is no image has none
        return Candidate(digest, row.tags, dict(labels), row.published_at)


def find_publication(
    bench: Workbench, enrollment: Enrollment, state: ImageState | None, request: RebuildRequest, since: datetime
) -> Candidate | None:
    """Return what the build of `request` published, or None where nothing of it is seen yet.

    Args:
        state: what is known of the image; None where nothing is.
        since: when the build was started.

    Raises:
        RemoteError: the registry cannot be asked.
        ConflictingClaims: two registries claim the image.
    """
    repository = enrollment.image
    shelf = _Shelf(bench.plugins.registry_for(repository), repository)
    rows = _rows(shelf)
    known = known_before(state, request, since) if state is not None else frozenset()
    recorded = recorded_since(state, since) if state is not None else None
    # What analysis was told of since is no version from before the build.
    current = state.runtime.current_version if state is not None and recorded is None else None
    found: dict[str, Candidate] = {}
    for row in islice(_likely_first(rows, current), MAX_RESOLVED):
        digest = shelf.resolve(row)
        if digest is None or digest in known:
            continue
        if digest in found:
            found[digest] = replace(found[digest], tags=(*found[digest].tags, *row.tags))
            continue
        found[digest] = candidate = shelf.candidate(row, digest)
        if candidate.labels.get(REQUEST_ID_LABEL) == request.request_id:
            return candidate
        if len(found) == MAX_LOOKED_AT:
            break
    if recorded is not None and REQUEST_ID_LABEL not in (found[recorded].labels if recorded in found else {}):
        # Analysis was told of it already, with its version: that is what is to be agreed with.
        assert state is not None
        version, seen = state.runtime.current_version, found.get(recorded, Candidate(recorded, ()))
        return Candidate(recorded, (version,) if version else seen.tags, seen.labels)
    candidates = tuple(found.values())
    tags = {tag for row in rows for tag in row.tags}
    followed = tags if len(tags) == 1 else {LATEST}
    return choose_publication(candidates, request, current_version=current, since=since, followed=followed)


def _rows(shelf: _Shelf) -> tuple[VersionRow, ...]:
    try:
        published = list(islice(shelf.registry.versions(shelf.repository), MAX_TAGS))
    except RemoteNotFound:
        return ()  # nothing was ever published
    return choose_versions(join_tags(published), semver_only=False)


def _likely_first(rows: tuple[VersionRow, ...], current: str | None) -> Iterable[VersionRow]:
    """Yield the rows in which a new build is looked for: versions from the current one on, `latest`, and the rest."""
    least = SemanticVersion.parse(current) if current else None
    likely: list[VersionRow] = []
    rest: list[VersionRow] = []
    for row in rows:
        version = SemanticVersion.parse(row.tag)
        is_newer = version is not None and (least is None or version.precedence >= least.precedence)
        (likely if is_newer else rest).append(row)
    followed = [row for row in rest if LATEST in row.tags]
    yield from likely
    yield from followed
    yield from (row for row in rest if row not in followed)
