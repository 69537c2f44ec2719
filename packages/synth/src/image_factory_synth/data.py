"""Enrollments and state as one inventory: what is to be watched, and what is known of it.

images.yaml wins for what is asked for, state for what was observed. An image that was enrolled a
moment ago has no state and is there all the same; one that is gone from images.yaml is not there,
although its files linger. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from image_factory.errors import Conflict
from image_factory.model.enrollment import Enrollment, Kind, SelectionStrategy, Source, Update, tag_pattern
from image_factory.model.image_state import BaseState, ImageState

ANY_TAG = ".*"
"""The allowed tags of an image that a range of versions alone limits."""


class Role(StrEnum):
    """What an entry of the inventory is to us; in the order in which they are written."""

    MANAGED = "managed"
    EXTERNAL = "external"
    BASE = "base"


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedImage:
    """An image that its owner builds, watched where it is published to."""

    name: str
    repo_url: str
    current_version: str | None = None
    """The version seen last; None until one is published."""
    allow_tags: str | None = None
    strategy: SelectionStrategy | None = None
    """Only where the enrollment chooses one."""
    tag: str | None = None
    constraint: str | None = None
    """A range of versions."""
    known_since: datetime | None = None
    source: Source | None = None
    auto_rebuild: bool = True
    """Whether a request is acted on without a person."""
    updates: tuple[Update, ...] = ()
    is_gated: bool = False
    """Whether it asks for a verification or a policy, which its consumers wait for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedImage:
    """An image of somebody else's: enrolled to be watched, or found in a Dockerfile."""

    name: str
    role: Role
    repo_url: str | None
    allow_tags: str | None
    strategy: SelectionStrategy | None = None
    """Only where one is chosen."""
    tag: str | None = None
    constraint: str | None = None
    """A range of versions."""
    pinned: bool = False
    """Named by digest alone, so that nothing moves."""
    known_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Inventory:
    """All that is watched, each part sorted by name."""

    managed: tuple[ManagedImage, ...] = ()
    watched: tuple[WatchedImage, ...] = ()
    """External images, then base images."""


def merge(enrollments: Iterable[Enrollment], images: Iterable[ImageState], bases: Iterable[BaseState]) -> Inventory:
    """Return the inventory of these enrollments and states.

    Raises:
        Conflict: entries of different kinds have one name; the message names all of them.
    """
    states = {state.name: state for state in images}
    enrolled = sorted(enrollments, key=lambda entry: entry.name)
    found = sorted(bases, key=lambda state: state.name)
    _check_names(enrolled, found)
    return Inventory(
        managed=tuple(_managed(entry, states.get(entry.name)) for entry in enrolled if entry.kind is Kind.MANAGED),
        watched=(
            *(_external(entry, states.get(entry.name)) for entry in enrolled if entry.kind is Kind.EXTERNAL),
            # What a managed image publishes is watched as that image.
            *(_base(state) for state in found if state.configuration.managed_by is None),
        ),
    )


def _check_names(enrolled: Sequence[Enrollment], bases: Sequence[BaseState]) -> None:
    kinds: dict[str, list[str]] = {}
    for entry in enrolled:
        kinds.setdefault(entry.name, []).append(f"{entry.kind} {entry.image}")
    for base in bases:
        kinds.setdefault(base.name, []).append(f"base {base.configuration.full_image}")
    clashes = [f"{name!r} is {' and '.join(of)}" for name, of in sorted(kinds.items()) if len(of) > 1]
    if clashes:
        raise Conflict(
            f"entries of one name: {'; '.join(clashes)}",
            hint="rename the entry in images.yaml, or remove the state file that is no longer right",
        )


def _managed(entry: Enrollment, state: ImageState | None) -> ManagedImage:
    return ManagedImage(
        name=entry.name,
        repo_url=str(entry.image),
        current_version=None if state is None else state.runtime.current_version,
        allow_tags=entry.allow_tags,
        strategy=entry.image_selection_strategy,
        tag=entry.tag,
        constraint=entry.constraint,
        known_since=None if state is None else state.history.enrolled_at,
        source=entry.source,
        auto_rebuild=entry.auto_rebuild,
        updates=entry.updates,
        is_gated=entry.verification is not None or entry.policy is not None,
    )


def _external(entry: Enrollment, state: ImageState | None) -> WatchedImage:
    return WatchedImage(
        name=entry.name,
        role=Role.EXTERNAL,
        repo_url=str(entry.image),
        allow_tags=_allowed(entry),
        strategy=entry.image_selection_strategy,
        tag=entry.tag,
        constraint=entry.constraint,
        known_since=None if state is None else state.history.enrolled_at,
    )


def _allowed(entry: Enrollment) -> str | None:
    """Return the allowed tags that an external image's enrollment writes or implies."""
    if entry.allow_tags:
        return entry.allow_tags
    if entry.tag:
        return tag_pattern(entry.tag)
    return ANY_TAG if entry.constraint else None


def _base(state: BaseState) -> WatchedImage:
    configuration = state.configuration
    return WatchedImage(
        name=state.name,
        role=Role.BASE,
        repo_url=configuration.repo_url,
        allow_tags=configuration.allow_tags,
        strategy=configuration.image_selection_strategy,
        tag=configuration.tag,
        pinned=configuration.pinned,
        known_since=state.history.first_discovered,
    )
