"""What registries told of published versions, kept on disk for a few minutes. I/O.

A file a listing, named by a keyed hash of what the answer depends on, credentials included: no name
and no content tells a secret, and nobody is shown what another login saw. The key lies beside the
files, both readable by their owner alone. Files are replaced whole; a damaged one is no cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from image_factory.errors import InvalidReference
from image_factory.oci.platform import Platform
from image_factory.oci.reference import Digest, is_tag
from image_factory.ports import Version

FORMAT = 1
FRESH = timedelta(minutes=5)
"""How long an answer is given again without asking (requirements, row 193)."""
MAX_FILES = 200
MAX_FILE = 16 * 1024 * 1024
"""Bytes of one listing; 10,000 tags take about 2 MB. A larger one is not kept."""
MAX_BYTES = 64 * 1024 * 1024
"""Bytes of all listings together; the ones that were written longest ago go first."""

_KEY_FILE = "key"


@dataclass(frozen=True, slots=True)
class VersionDetail:
    """What an image says of itself; never changes, since a digest names its content."""

    size: int | None = None
    created_at: datetime | None = None
    platforms: tuple[Platform, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CachedListing:
    """A registry's answer: when it was given, every tag, and what was read of single digests since."""

    fetched_at: datetime
    versions: tuple[Version, ...]
    details: Mapping[Digest, VersionDetail] = field(default_factory=dict)
    resolved: Mapping[str, Digest] = field(default_factory=dict)
    """Tag → digest, where the listing itself told none."""

    def is_fresh(self, now: datetime) -> bool:
        """Whether it may be given again; one from the future, after a clock was set back, may not."""
        return timedelta() <= now - self.fetched_at < FRESH


class VersionsCache:
    """The listings of one folder.

    Args:
        folder: where they lie; made when the first one is saved. What cannot be written is not kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def name(self, parts: Iterable[str]) -> str:
        """Return the name of the listing that depends on `parts`, which may be secrets."""
        key = self._key()
        digest = hashlib.blake2b(key=key, digest_size=20)
        for part in parts:
            encoded = part.encode("utf-8", "surrogatepass")
            # With its length before it, no two lists of parts are one text.
            digest.update(b"%d:%s" % (len(encoded), encoded))
        return digest.hexdigest()

    def load(self, name: str) -> CachedListing | None:
        """Return the listing of that name, fresh or not, or None where there is none that can be read."""
        try:
            content = (self._folder / f"{name}.json").read_bytes()
            return _decoded(json.loads(content))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, InvalidReference, RecursionError):
            return None

    def save(self, name: str, listing: CachedListing) -> None:
        """Keep a listing; one that is too large or cannot be written is not kept, which only costs time."""
        content = json.dumps(_encoded(listing), separators=(",", ":")).encode()
        if len(content) > MAX_FILE:
            content = b""
        with contextlib.suppress(OSError):
            file = self._folder / f"{name}.json"
            if not content:
                file.unlink(missing_ok=True)
                return
            self._make_folder()
            _replace(file, content)
            self._prune(keep=file)

    def _key(self) -> bytes:
        """Return the folder's own key, made the first time; one for this run alone where it cannot be kept."""
        file = self._folder / _KEY_FILE
        with contextlib.suppress(OSError):
            key = file.read_bytes()
            if len(key) == 32:
                return key
        key = secrets.token_bytes(32)
        with contextlib.suppress(OSError):
            self._make_folder()
            _replace(file, key)
        return key

    def _make_folder(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        # What a login may see is for nobody else on this machine.
        self._folder.chmod(0o700)

    def _prune(self, keep: Path) -> None:
        found = []
        for file in self._folder.glob("*.json"):
            with contextlib.suppress(OSError):
                status = file.stat()
                found.append((file != keep, -status.st_mtime_ns, status.st_size, file))
        total = 0
        for count, (_, _, size, file) in enumerate(sorted(found), start=1):
            total += size
            if count > MAX_FILES or total > MAX_BYTES:
                with contextlib.suppress(OSError):
                    file.unlink()


def _replace(file: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(".tmp", f".{file.name}.", file.parent)  # readable by its owner alone
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        Path(name).replace(file)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _encoded(listing: CachedListing) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "fetchedAt": listing.fetched_at.isoformat(),
        "versions": [
            [one.tag, _text(one.digest), *_facts(one.size, one.published_at, one.platforms, one.labels), one.url]
            for one in listing.versions
        ],
        "details": {
            str(digest): _facts(one.size, one.created_at, one.platforms, one.labels)
            for digest, one in listing.details.items()
        },
        "resolved": {tag: str(digest) for tag, digest in listing.resolved.items()},
    }


def _facts(
    size: int | None, at: datetime | None, platforms: Iterable[Platform], labels: Mapping[str, str]
) -> list[object]:
    return [size, at.isoformat() if at else None, [str(platform) for platform in platforms], dict(labels)]


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _decoded(data: Any) -> CachedListing | None:
    if data["format"] != FORMAT:
        return None
    versions = []
    for tag, digest, size, at, platforms, labels, url in data["versions"]:
        if not is_tag(tag):
            raise ValueError("not a tag")
        known = Digest.parse(digest) if digest is not None else None
        versions.append(Version(tag, known, *_read_facts(size, at, platforms, labels), url=_checked(url, str)))
    return CachedListing(
        fetched_at=_instant(data["fetchedAt"]),
        versions=tuple(versions),
        details={Digest.parse(text): VersionDetail(*_read_facts(*facts)) for text, facts in data["details"].items()},
        resolved={tag: Digest.parse(text) for tag, text in data["resolved"].items()},
    )


def _read_facts(
    size: object, at: object, platforms: Any, labels: Any
) -> tuple[int | None, datetime | None, tuple[Platform, ...], dict[str, str]]:
    if not all(isinstance(text, str) for text in labels.values()):
        raise ValueError("labels are texts")
    instant = None if at is None else _instant(at)
    return _checked(size, int), instant, tuple(Platform.parse(text) for text in platforms), dict(labels)


def _checked(value: Any, kind: type) -> Any:
    if value is not None and not isinstance(value, kind):
        raise ValueError(f"not {kind.__name__}")
    return value


def _instant(text: Any) -> datetime:
    instant = datetime.fromisoformat(text)
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
