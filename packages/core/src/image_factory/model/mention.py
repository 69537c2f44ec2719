"""Places in files that name an image, and what they are to name next: the values of file updaters. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from image_factory.oci.reference import Digest, Reference, Repository

FOLDER_TYPES = frozenset({"kustomize-set-image"})
"""The `updates[].type` whose path is a folder: the one file in it that the updater knows is meant."""


@dataclass(frozen=True, slots=True)
class Mention:
    """One place in a file that names an image."""

    reference: Reference
    """What the place means; its `written` is the text there, where one piece of text holds all of it."""
    line: int
    """From 1."""
    key: str | None = None
    """The path of keys that leads to it, such as `spec.containers.0.image`; None where there is none."""
    keys: tuple[str, ...] = ()
    """The `keys` of an `updates` entry that changes this place; empty where only one without keys does."""


@dataclass(frozen=True, slots=True)
class Target:
    """What an `updates` entry points at: an image in one file, or in one folder for kustomize."""

    repository: Repository
    path: str
    keys: tuple[str, ...] = ()
    """The paths of keys to change; empty changes every place that names the repository."""


@dataclass(frozen=True, slots=True)
class ImageVersion:
    """What an image is to be named by: its tag, its digest or both."""

    tag: str | None = None
    digest: Digest | None = None


class ImageField(StrEnum):
    """A part of the new version, in a step that is rendered before the version is known."""

    TAG = "tag"
    DIGEST = "digest"
    REFERENCE = "reference"
    """`repository:tag`, in full."""


@dataclass(frozen=True, slots=True)
class PromotionStep:
    """One promotion step of Kargo's that changes what the updater changes.

    A value of `config` is plain data, or an `ImageField` where the version goes.
    """

    uses: str
    config: Mapping[str, object] = field(default_factory=dict)
