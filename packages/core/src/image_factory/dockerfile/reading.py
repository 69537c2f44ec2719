"""What reading a Dockerfile gives: image references with their sites, stages and diagnostics.

Frozen values only; `image_factory.dockerfile.read` makes them. Pure, and free of heavy imports,
since `inspect` reads ten thousand files with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from image_factory.oci.platform import Platform
from image_factory.oci.reference import Reference


class Role(StrEnum):
    """What a build does with an image."""

    FINAL = "final"
    """The image at the root of the built stage's FROM chain."""
    STAGE = "stage"
    """Any other FROM's image, reached by the built stage or not."""
    COPY = "copy"
    """`COPY --from=`."""
    MOUNT = "mount"
    """`RUN --mount=…from=`."""
    FRONTEND = "frontend"
    """`# syntax=`."""
    ONBUILD = "onbuild"
    """Deferred to the builds of images that are built on this one."""


class Category(StrEnum):
    """Why something in a Dockerfile could not be read."""

    UNRESOLVED_ARG = "unresolved-arg"
    TEMPLATE = "template"
    EXPANSION_NOT_ALLOWED = "expansion-not-allowed"
    INVALID_REFERENCE = "invalid-reference"
    SYNTAX = "syntax"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range of characters in the decoded text: where an edit of a reference goes."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ImageReference:
    """One image that a build would pull, at one site."""

    written: str
    """The word as it stands in the file, variables and all."""
    reference: Reference
    """What the word means, after expansion."""
    role: Role
    line: int
    end_line: int
    stage: str | None
    """The stage it stands in: its name, else its index as a word; None for a frontend."""
    reachable: bool
    """Whether the built target needs this image."""
    platforms: tuple[Platform, ...]
    """The platforms for which the image is pulled."""
    span: Span | None
    """The reference's text in the file; None where it is composed from several places."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """Something that could not be read, with its line; never a guess in its place."""

    category: Category
    line: int
    message: str


@dataclass(frozen=True, slots=True)
class Stage:
    """One build stage: what it is built on, by its index where that is a stage."""

    index: int
    name: str | None
    line: int
    parent: int | None
    reachable: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """All that a Dockerfile says of images, in the order of the file."""

    references: tuple[ImageReference, ...]
    diagnostics: tuple[Diagnostic, ...]
    stages: tuple[Stage, ...]


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What a build is given beside its Dockerfile."""

    build_args: Mapping[str, str]
    target: str | None = None
    platforms: tuple[Platform, ...] = ()
    """Empty means linux/amd64."""
    contexts: Mapping[str, str] | None = None
    """Named contexts (`--build-context`): a name, and `docker-image://ref` or a path."""
