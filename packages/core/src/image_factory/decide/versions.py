"""Decide which published versions are shown, in which order, and on which page.

Pure: what a registry told of its tags comes in, rows come out. A version is a digest with all of its
tags; where a registry tells no digests, each tag is a version. Specification: semver.org 2.0.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from image_factory.decide.semver import SemanticVersion
from image_factory.oci.platform import Platform
from image_factory.oci.reference import Digest

# All three numbers: `1` and `1.2` move from version to version, and `20260301` is a date.
_WHOLE_VERSION = re.compile(r"v?[0-9]+\.[0-9]+\.[0-9]+(?:[-+]|\Z)")
_EARLIEST = datetime.min.replace(tzinfo=UTC)


class PublishedTag(Protocol):
    """What is read of a tag; `image_factory.ports.Version` has it all."""

    @property
    def tag(self) -> str: ...
    @property
    def digest(self) -> Digest | None: ...
    @property
    def size(self) -> int | None: ...
    @property
    def published_at(self) -> datetime | None: ...
    @property
    def platforms(self) -> tuple[Platform, ...]: ...
    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def url(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version: a digest under the most telling of its tags."""

    tag: str
    tags: tuple[str, ...]
    """All of its tags that are known, the most telling first."""
    digest: Digest | None = None
    size: int | None = None
    """Bytes of the compressed layers."""
    published_at: datetime | None = None
    platforms: tuple[Platform, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    url: str | None = None


@dataclass(frozen=True, slots=True)
class VersionPage:
    """One page of rows, and what it is a page of."""

    rows: tuple[VersionRow, ...]
    total: int
    """All rows that the filter leaves, on whichever page."""
    number: int
    """From 1; a page behind the last one is empty."""
    size: int

    @property
    def pages(self) -> int:
        """How many pages there are; one where there is nothing."""
        return max(1, -(-self.total // self.size))


def is_whole_version(tag: str) -> bool:
    """Whether a tag is a semantic version of three numbers, with or without `v`."""
    return _WHOLE_VERSION.match(tag) is not None and SemanticVersion.parse(tag) is not None


def looks_pinned(tag: str) -> bool:
    """Whether people expect that a tag stands still: it is a whole version."""
    return is_whole_version(tag)


def join_tags(published: Iterable[PublishedTag]) -> tuple[VersionRow, ...]:
    """Return one row a digest, with every tag of it; one a tag where no digest is told."""
    groups: dict[object, list[PublishedTag]] = {}
    for one in published:
        groups.setdefault(one.digest or one.tag, []).append(one)
    return tuple(_joined(group) for group in groups.values())


def choose_versions(rows: Iterable[VersionRow], *, semver_only: bool) -> tuple[VersionRow, ...]:
    """Return the rows to show, newest first.

    Rows whose date is known come first; those of one instant, or of none, are ordered by version
    and then by name, the highest first.

    Args:
        semver_only: leave out what has no whole version among all of its tags.
    """
    kept = (row for row in rows if not semver_only or any(is_whole_version(tag) for tag in row.tags))
    return tuple(sorted(kept, key=_newness, reverse=True))


def take_page(rows: Sequence[VersionRow], *, number: int, size: int) -> VersionPage:
    """Return page `number`, from 1, of `size` rows each."""
    start = (number - 1) * size
    return VersionPage(tuple(rows[start : start + size]), len(rows), number, size)


def _joined(group: Sequence[PublishedTag]) -> VersionRow:
    ranked = sorted(group, key=lambda one: _telling(one.tag), reverse=True)
    first = ranked[0]
    # A tag may be put on a digest long after that was published: its first date is the version's.
    dates = [one.published_at for one in ranked if one.published_at is not None]
    return VersionRow(
        tag=first.tag,
        tags=tuple(dict.fromkeys(one.tag for one in ranked)),
        digest=first.digest,
        size=next((one.size for one in ranked if one.size is not None), None),
        published_at=min(dates, default=None),
        platforms=next((one.platforms for one in ranked if one.platforms), ()),
        labels=next((one.labels for one in ranked if one.labels), {}),
        url=next((one.url for one in ranked if one.url), None),
    )


def _telling(tag: str) -> tuple[object, ...]:
    """Return the key by which 1.2.3 tells more than 1.2, that more than stable, and all more than latest."""
    version = SemanticVersion.parse(tag)
    precedence = version.precedence if version else ()
    return (is_whole_version(tag), version is not None, tag.count("."), tag != "latest", precedence, -len(tag), tag)


def _newness(row: VersionRow) -> tuple[object, ...]:
    version = SemanticVersion.parse(row.tag)
    precedence = version.precedence if version else ()
    return (row.published_at is not None, row.published_at or _EARLIEST, version is not None, precedence, row.tag)
