"""Manifests, indexes and configurations: what a digest's bytes say.

Specifications: OCI image-spec 1.1, Docker's image manifest version 2, schema 2. The bytes come from
outside: whatever is wrong with them is a ProtocolError, and their size and depth are bounded. Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from image_factory.errors import InvalidReference, ProtocolError
from image_factory.oci.platform import Platform
from image_factory.oci.reference import Digest

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
ACCEPTED = (OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST)
"""The four media types that every request for a manifest accepts."""
MAX_MANIFEST = 4 * 1024 * 1024
"""Bytes of a manifest or a configuration (distribution-spec, "Pushing manifests": registries take at least 4 MiB)."""

_INDEXES = frozenset({OCI_INDEX, DOCKER_INDEX})
_MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
_SCHEMA_1 = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)
_UNKNOWN = Platform("unknown", "unknown")
"""What BuildKit says is the platform of an attestation."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A pointer to content: its type, digest and size in bytes (OCI image-spec, "Descriptors")."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """One platform's image."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)
    subject: Descriptor | None = None
    artifact_type: str | None = None


@dataclass(frozen=True, slots=True)
class Index:
    """Several manifests, one a platform."""

    media_type: str
    manifests: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)
    subject: Descriptor | None = None

    @property
    def platforms(self) -> Mapping[str, Digest]:
        """Platform (`linux/amd64`) → manifest digest, in the index's order.

        Attestations (`unknown/unknown`) and entries without a platform are left out. Of several for one
        platform (Windows versions) the first counts.
        """
        found: dict[str, Digest] = {}
        for entry in self.manifests:
            if entry.platform is not None and entry.platform != _UNKNOWN:
                found.setdefault(str(entry.platform), entry.digest)
        return found


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What an image's configuration says of it (image-spec, "OCI Image Configuration")."""

    platform: Platform | None
    created: datetime | None = None
    """When its publisher says it was made; never a measure of age."""
    labels: Mapping[str, str] = field(default_factory=dict)


def check_digest(content: bytes, digest: Digest) -> None:
    """Make sure that `content` is what `digest` names.

    Raises:
        ProtocolError: it is not.
    """
    found = hashlib.new(digest.algorithm, content).hexdigest()
    if found != digest.hex:
        raise ProtocolError(
            f"content of {digest} has the digest {digest.algorithm}:{found}",
            hint="the registry, or something between it and here, changed the content; do not use it",
        )


def parse_manifest(content: bytes, media_type: str = "") -> Manifest | Index:
    """Return the manifest or index that `content` is.

    Args:
        content: the bytes as they came.
        media_type: the answer's Content-Type, with or without parameters; where it is none of the
            four, the content's own `mediaType` decides, else its fields.

    Raises:
        ProtocolError: it is neither, is both (CVE-2021-41190), or is Docker's schema 1.
    """
    announced = media_type.partition(";")[0].strip().lower()
    body = parse_json_object(content, "a manifest")
    if announced in _SCHEMA_1 or body.get("schemaVersion") == 1:
        raise ProtocolError(
            "the image is in Docker's schema 1, which Docker itself no longer reads",
            hint="ask its publisher for an image in the OCI format, or push it again with a current client",
        )
    own = body.get("mediaType")
    if own is not None and not isinstance(own, str):
        raise ProtocolError(f"a manifest's mediaType is {_shown(own)}")
    kind = announced if announced in ACCEPTED else (own if own in ACCEPTED else None)
    if kind is None:
        kind = OCI_INDEX if "manifests" in body else OCI_MANIFEST
    if own in ACCEPTED and (own in _INDEXES) != (kind in _INDEXES):
        raise ProtocolError(f"a manifest is announced as {announced} and calls itself {own}")
    if "manifests" in body and ("layers" in body or "config" in body):
        raise ProtocolError("a manifest has the fields of an index and of an image, so nobody can say what it is")
    annotations = _texts(body.get("annotations"), "annotations")
    subject = None if body.get("subject") is None else _descriptor(body["subject"], "subject")
    if kind in _INDEXES:
        entries = tuple(_descriptor(entry, "manifests") for entry in _list(body, "manifests"))
        return Index(kind, entries, annotations, subject)
    artifact_type = body.get("artifactType")
    return Manifest(
        media_type=kind,
        config=_descriptor(body.get("config"), "config"),
        layers=tuple(_descriptor(entry, "layers") for entry in _list(body, "layers")),
        annotations=annotations,
        subject=subject,
        artifact_type=artifact_type if isinstance(artifact_type, str) else None,
    )


def parse_config(content: bytes) -> ImageConfig:
    """Return what an image's configuration says; what it leaves out, or says in no known form, is None.

    Raises:
        ProtocolError: it is no JSON object.
    """
    body = parse_json_object(content, "an image's configuration")
    inner = body.get("config")
    labels = inner.get("Labels") if isinstance(inner, dict) else None
    platform = _platform(body)
    return ImageConfig(
        platform=None if platform == _UNKNOWN else platform,
        created=parse_instant(body.get("created")),
        labels={k: v for k, v in labels.items() if isinstance(v, str)} if isinstance(labels, dict) else {},
    )


def parse_instant(value: object) -> datetime | None:
    """Return the instant of an RFC 3339 text in UTC, or None for anything else, Go's zero time included."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    try:
        instant = datetime.fromisoformat(value)
        instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return None if instant.year <= 1 else instant


def parse_json_object(content: bytes, what: str) -> Mapping[str, Any]:
    """Return the JSON object that `content` is; `what` names it in the error.

    Raises:
        ProtocolError: it is no JSON, no object, larger than `MAX_MANIFEST`, or too deep to read.
    """
    if len(content) > MAX_MANIFEST:
        raise ProtocolError(f"{what} has {len(content)} bytes; at most {MAX_MANIFEST} are read")
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        start = content.lstrip()[:1]
        hint = "the address answers web pages; is it a registry?" if start == b"<" else ""
        raise ProtocolError(f"{what} is no JSON: {_shown(content[:40])}", hint=hint) from error
    if not isinstance(body, dict):
        raise ProtocolError(f"{what} is no JSON object: {_shown(content[:40])}")
    return body


def _list(body: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = body.get(name)
    # Go writes null for an empty list.
    if value is None and name in body:
        return ()
    if not isinstance(value, list):
        raise ProtocolError(f"a manifest has no list of {name}: {_shown(value)}")
    return value


def _descriptor(value: object, where: str) -> Descriptor:
    if not isinstance(value, dict):
        raise ProtocolError(f"a manifest's {where} is no descriptor: {_shown(value)}")
    media_type, digest, size = value.get("mediaType"), value.get("digest"), value.get("size")
    if not isinstance(media_type, str) or not isinstance(digest, str):
        raise ProtocolError(f"a descriptor in {where} lacks its mediaType or digest: {_shown(value)}")
    # A bool is an int to Python.
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ProtocolError(f"a descriptor in {where} has the size {_shown(size)}")
    try:
        parsed = Digest.parse(digest)
    except InvalidReference as error:
        raise ProtocolError(f"a descriptor in {where} has the digest {_shown(digest)}") from error
    platform = value.get("platform")
    return Descriptor(
        media_type=media_type,
        digest=parsed,
        size=size,
        platform=_platform(platform) if isinstance(platform, dict) else None,
        annotations=_texts(value.get("annotations"), f"{where}' annotations"),
    )


def _platform(value: Mapping[str, Any]) -> Platform | None:
    parts = [value.get("os"), value.get("architecture"), value.get("variant") or None]
    if not isinstance(parts[0], str) or not isinstance(parts[1], str):
        return None
    try:
        return Platform.parse("/".join(part for part in parts if isinstance(part, str)))
    except InvalidReference:
        # One strange entry must not hide the others; it matches nothing that we build for.
        return None


def _texts(value: object, where: str) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ProtocolError(f"a manifest's {where} are no texts: {_shown(value)}")
    return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
