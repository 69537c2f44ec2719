"""Small valid images as bytes: layers, configurations, manifests and indexes, made from a seed.

The same arguments give the same digests, on every machine. Specification: OCI image-spec 1.1 and
Docker's schema 2. Holds no server and no storage.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from image_factory.oci.manifest import DOCKER_INDEX, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from image_factory.oci.platform import Platform
from image_factory.oci.reference import Digest

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""When an image says it was made, where its maker says nothing."""

_CONFIG = {
    OCI_MANIFEST: "application/vnd.oci.image.config.v1+json",
    DOCKER_MANIFEST: "application/vnd.docker.container.image.v1+json",
}
_LAYER = {
    OCI_MANIFEST: "application/vnd.oci.image.layer.v1.tar+gzip",
    DOCKER_MANIFEST: "application/vnd.docker.image.rootfs.diff.tar.gzip",
}


@dataclass(frozen=True, slots=True)
class ImageContent:
    """The bytes of one image: what its digest names comes last among `manifests`."""

    digest: Digest
    manifests: Sequence[tuple[str, bytes]]
    """Media type and bytes; children before the index that names them."""
    blobs: Sequence[bytes]
    platforms: Mapping[str, Digest] = field(default_factory=dict)


def digest_of(content: bytes, algorithm: str = "sha256") -> Digest:
    """Return the digest of `content`."""
    return Digest(algorithm, hashlib.new(algorithm, content).hexdigest())


def build_image(
    *,
    platforms: Sequence[str] = ("linux/amd64", "linux/arm64"),
    labels: Mapping[str, str] | None = None,
    created: datetime = EPOCH,
    seed: str = "",
    docker: bool = False,
    attestations: bool = False,
    index: bool | None = None,
) -> ImageContent:
    """Return an image of one small layer a platform.

    Args:
        platforms: one manifest each.
        labels: the configuration's labels.
        created: what the configuration says of its making.
        seed: another seed, another digest.
        docker: Docker's media types in place of OCI's.
        attestations: add an `unknown/unknown` manifest a platform, as BuildKit does.
        index: whether an index stands above; by default where there is more than one manifest.
    """
    manifest_type, index_type = (DOCKER_MANIFEST, DOCKER_INDEX) if docker else (OCI_MANIFEST, OCI_INDEX)
    blobs: list[bytes] = []
    manifests: list[tuple[str, bytes]] = []
    descriptors: list[dict[str, object]] = []
    digests: dict[str, Digest] = {}
    for text in platforms:
        platform = Platform.parse(text)
        content, layers = _manifest(platform, labels or {}, created, seed, manifest_type)
        blobs += layers
        manifests.append((manifest_type, content))
        digests[str(platform)] = digest_of(content)
        descriptors.append(_descriptor(manifest_type, content) | {"platform": _platform(platform)})
    if attestations:
        for text, described in list(zip(platforms, list(descriptors), strict=True)):
            content, layers = _attestation(f"{seed}/{text}")
            blobs += layers
            manifests.append((OCI_MANIFEST, content))
            descriptors.append(
                _descriptor(OCI_MANIFEST, content)
                | {
                    "platform": {"architecture": "unknown", "os": "unknown"},
                    "annotations": {
                        "vnd.docker.reference.digest": described["digest"],
                        "vnd.docker.reference.type": "attestation-manifest",
                    },
                }
            )
    if index is None:
        index = len(manifests) > 1
    if index:
        top = _json({"schemaVersion": 2, "mediaType": index_type, "manifests": descriptors})
        manifests.append((index_type, top))
    return ImageContent(digest_of(manifests[-1][1]), manifests, blobs, digests)


def build_referrer(subject: Digest, subject_size: int, *, artifact_type: str, seed: str = "") -> ImageContent:
    """Return an artifact manifest that points at `subject` (image-spec, "subject")."""
    empty = b"{}"
    body = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": _descriptor("application/vnd.oci.empty.v1+json", empty),
        "layers": [_descriptor("application/vnd.oci.empty.v1+json", empty)],
        "subject": {"mediaType": OCI_INDEX, "digest": str(subject), "size": subject_size},
        "annotations": {"seed": seed},
    }
    content = _json(body)
    return ImageContent(digest_of(content), [(OCI_MANIFEST, content)], [empty])


def _manifest(
    platform: Platform, labels: Mapping[str, str], created: datetime, seed: str, media_type: str
) -> tuple[bytes, list[bytes]]:
    tar = _tar(f"{seed}\n{platform}\n".encode())
    layer = gzip.compress(tar, mtime=0)
    stamp = created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    config = _json(
        _platform(platform)
        | {
            "created": stamp,
            "config": {"Labels": dict(labels)},
            "rootfs": {"type": "layers", "diff_ids": [str(digest_of(tar))]},
            "history": [{"created": stamp, "created_by": f"seed {seed}"}],
        }
    )
    body = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": _descriptor(_CONFIG[media_type], config),
        "layers": [_descriptor(_LAYER[media_type], layer)],
    }
    return _json(body), [config, layer]


def _attestation(seed: str) -> tuple[bytes, list[bytes]]:
    statement = _json({"_type": "https://in-toto.io/Statement/v0.1", "seed": seed})
    config = _json({"architecture": "unknown", "os": "unknown", "config": {}, "rootfs": {"type": "layers"}})
    body = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _descriptor(_CONFIG[OCI_MANIFEST], config),
        "layers": [_descriptor("application/vnd.in-toto+json", statement)],
    }
    return _json(body), [config, statement]


def _platform(platform: Platform) -> dict[str, object]:
    value: dict[str, object] = {"architecture": platform.architecture, "os": platform.os}
    return value | {"variant": platform.variant} if platform.variant else value


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(digest_of(content)), "size": len(content)}


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _tar(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        entry = tarfile.TarInfo("etc/image")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
