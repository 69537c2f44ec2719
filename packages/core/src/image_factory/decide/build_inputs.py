"""Decide what a build is told: our inputs, and the names under which a workflow takes them. Pure.

`base_images` is one JSON text, a list of `{"reference", "digest", "role"}`: the references as the
Dockerfile's bases are written canonically, and the digest to build each with. The generated workflows
(`image_factory/workflows`) read it, and hand the pairs to BuildKit as named contexts.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from image_factory.errors import UserError
from image_factory.oci.reference import Digest, Reference

REQUEST_ID = "request_id"
BASE_IMAGES = "base_images"
BASE_IMAGE = "base_image"
VERSION_BUMP = "version_bump"
TRIGGERED_BY = "triggered_by"
IMAGE = "image"
INPUTS = (REQUEST_ID, BASE_IMAGES, VERSION_BUMP, TRIGGERED_BY, BASE_IMAGE, IMAGE)
"""Our inputs."""
COURTESIES = (BASE_IMAGE, IMAGE)
"""Inputs that nobody misses: the one reference that moved, for a workflow that takes no list, and the image's
name, by which a GitLab project with several images tells whose job is to run."""
BUMPS = ("patch", "minor", "major")
"""What `version_bump` may say."""


@dataclass(frozen=True, slots=True)
class PinnedBase:
    """A base image and the digest to build with."""

    reference: str
    """Canonical."""
    digest: str
    role: str = ""
    """One of `image_factory.dockerfile.reading.Role`; `final` is the base that the image is labeled with."""


@dataclass(frozen=True, slots=True)
class Told:
    """Inputs under the workflow's names, and those of ours that it does not declare."""

    inputs: Mapping[str, str]
    left_out: tuple[str, ...] = ()


def build_inputs(
    bases: Sequence[PinnedBase],
    *,
    image: str,
    request_id: str,
    version_bump: str,
    triggered_by: str,
    moved: Sequence[str] = (),
) -> Mapping[str, str]:
    """Return what a build is told, under our own names.

    Args:
        moved: the references whose moves cause the build; the first is `base_image`.

    Raises:
        UserError: `version_bump` is none of `BUMPS`.
    """
    if version_bump not in BUMPS:
        raise UserError(f"not a version bump: {version_bump[:40]!r}", hint=f"write one of {', '.join(BUMPS)}")
    inputs = {
        REQUEST_ID: request_id,
        BASE_IMAGES: format_base_images(bases),
        VERSION_BUMP: version_bump,
        TRIGGERED_BY: triggered_by,
        IMAGE: image,
    }
    return {**inputs, BASE_IMAGE: moved[0]} if moved else inputs


def format_base_images(bases: Sequence[PinnedBase]) -> str:
    """Return the text of `base_images`, each reference once, sorted.

    Raises:
        InvalidReference: a reference or digest is none.
    """
    pairs: dict[str, dict[str, str]] = {}
    for base in sorted(bases, key=lambda each: (each.reference, each.role != "final")):
        reference, digest = Reference.parse(base.reference).canonical, str(Digest.parse(base.digest))
        entry = {"reference": reference, "digest": digest}
        pairs.setdefault(reference, {**entry, "role": base.role} if base.role else entry)
    return json.dumps(list(pairs.values()), separators=(",", ":"))


def name_inputs(inputs: Mapping[str, str], names: Mapping[str, str], declared: Collection[str] | None) -> Told:
    """Return `inputs` under the names that `names` gives them, without those that a workflow does not declare.

    Args:
        names: ours → the workflow's (`source.inputs`); one that is not there keeps its name, one without a name
            is not told.
        declared: what the workflow declares; None where it may take any.

    Raises:
        UserError: two inputs get one name.
    """
    told: dict[str, str] = {}
    left_out: list[str] = []
    for name, value in inputs.items():
        theirs = names.get(name, name)
        if not theirs:
            continue
        if declared is not None and theirs not in declared:
            left_out += [name] if name not in COURTESIES or name in names else []
            continue
        if theirs in told:
            raise UserError(f"two inputs are called {theirs!r}", hint="give them different names in source.inputs")
        told[theirs] = value
    return Told(told, tuple(left_out))
