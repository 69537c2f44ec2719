"""What an embedded registry holds: blobs by digest, manifests and tags by repository.

In memory, or in a folder where a person can look: `blobs/sha256-<hex>` and `repositories.json`.
A folder survives a restart. Thread-safe. Knows no HTTP.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

from image_factory.testing.image_content import digest_of

_MAX_CACHED = 1024 * 1024
"""Bytes up to which a folder's blob is also kept in memory."""


@dataclass(slots=True)
class _Repository:
    manifests: dict[str, str] = field(default_factory=dict)
    """Digest → media type."""
    tags: dict[str, str] = field(default_factory=dict)
    """Tag → digest, the first pushed first."""


class RegistryStorage:
    """The content of an embedded registry."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._blobs: dict[str, bytes] = {}
        self._repositories: dict[str, _Repository] = {}
        if folder is not None:
            (folder / "blobs").mkdir(parents=True, exist_ok=True)
            index = folder / "repositories.json"
            if index.exists():
                for name, held in json.loads(index.read_text("utf-8")).items():
                    self._repositories[name] = _Repository(held["manifests"], held["tags"])

    def put_blob(self, content: bytes, digest: str | None = None) -> str:
        """Keep `content` and return its digest."""
        digest = digest or str(digest_of(content))
        with self._lock:
            if self._folder is None:
                self._blobs[digest] = content
            elif not self._path(digest).exists():
                _write(self._path(digest), content)
        return digest

    def drop_blob(self, digest: str) -> None:
        """Forget a blob, such as an upload that has ended."""
        with self._lock:
            self._blobs.pop(digest, None)
            if self._folder is not None:
                self._path(digest).unlink(missing_ok=True)

    def blob(self, digest: str) -> bytes | None:
        """Return the content of `digest`, or None."""
        with self._lock:
            if self._folder is None:
                return self._blobs.get(digest)
            if digest not in self._blobs:
                try:
                    content = self._path(digest).read_bytes()
                except FileNotFoundError:
                    return None
                if len(content) > _MAX_CACHED:
                    return content
                self._blobs[digest] = content
            return self._blobs[digest]

    def put_manifest(self, repository: str, reference: str, media_type: str, content: bytes) -> str:
        """Keep a manifest under a tag or under its digest, and return its digest."""
        algorithm = reference.partition(":")[0] if ":" in reference else "sha256"
        digest = str(digest_of(content, algorithm))
        with self._lock:
            self.put_blob(content, digest)
            held = self._repositories.setdefault(repository, _Repository())
            held.manifests[digest] = media_type
            if ":" not in reference:
                held.tags[reference] = digest
            self._save()
        return digest

    def manifest(self, repository: str, reference: str) -> tuple[str, str, bytes] | None:
        """Return media type, digest and bytes of what a tag or digest names, or None."""
        with self._lock:
            held = self._repositories.get(repository)
            if held is None:
                return None
            digest = held.tags.get(reference, reference)
            media_type = held.manifests.get(digest)
            content = self.blob(digest)
            return None if media_type is None or content is None else (media_type, digest, content)

    def delete(self, repository: str, reference: str) -> bool:
        """Forget a tag, or a digest and every tag of it; return whether it was there."""
        with self._lock:
            held = self._repositories.get(repository)
            if held is None:
                return False
            if ":" not in reference:
                found = held.tags.pop(reference, None) is not None
            else:
                found = held.manifests.pop(reference, None) is not None
                held.tags = {tag: digest for tag, digest in held.tags.items() if digest != reference}
            self._save()
            return found

    def tags(self, repository: str) -> list[str] | None:
        """Return the tags in lexical order, as distribution-spec asks, or None for no such repository."""
        with self._lock:
            held = self._repositories.get(repository)
            return None if held is None else sorted(held.tags)

    def repositories(self) -> list[str]:
        """Return the names of all repositories, sorted."""
        with self._lock:
            return sorted(self._repositories)

    def referrers(self, repository: str, digest: str) -> list[dict[str, object]]:
        """Return a descriptor for each manifest whose subject is `digest`."""
        found: list[dict[str, object]] = []
        with self._lock:
            held = self._repositories.get(repository, _Repository())
            for name, media_type in held.manifests.items():
                content = self.blob(name)
                body = json.loads(content) if content else {}
                if body.get("subject", {}).get("digest") == digest:
                    described = {
                        "mediaType": media_type,
                        "digest": name,
                        "size": len(content or b""),
                        "artifactType": body.get("artifactType") or body.get("config", {}).get("mediaType"),
                        "annotations": body.get("annotations", {}),
                    }
                    found.append(described)
        return found

    def _path(self, digest: str) -> Path:
        if self._folder is None:
            raise ValueError("this registry keeps its content in memory")
        return self._folder / "blobs" / digest.replace(":", "-")

    def _save(self) -> None:
        if self._folder is not None:
            listed = {
                name: {"tags": held.tags, "manifests": held.manifests} for name, held in self._repositories.items()
            }
            _write(self._folder / "repositories.json", json.dumps(listed, indent=1, sort_keys=False).encode())


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(path)
