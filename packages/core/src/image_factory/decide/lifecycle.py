"""Decide what images become: external, managed, base or archived. Pure.

An image is *managed* or *external* as its enrollment says, a *base* where a Dockerfile names it and no
enrollment publishes it. Which of these a reference means can change without a change of its
Dockerfile: by an enrollment that comes, goes, or gains or loses its source. Then what names it is bound
anew (`rebind`), and its history goes along (`history_from_image`, `history_from_base`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from image_factory.decide.discovery import FROM_ROLES, SECONDARY_ROLES, watched_canonical
from image_factory.model.enrollment import Enrollment, Kind
from image_factory.model.image_state import (
    BaseConfiguration,
    BaseHistory,
    BaseSite,
    BaseState,
    ImageHistory,
    ImageState,
)
from image_factory.model.metric import LIFECYCLE_TRANSITIONS, Sample, count
from image_factory.model.request import RebuildRequest, RequestStatus
from image_factory.oci.reference import Reference, Repository

T = TypeVar("T")

_ROLES = FROM_ROLES | SECONDARY_ROLES


class Standing(StrEnum):
    """What an image is to us."""

    EXTERNAL = "external"
    MANAGED = "managed"
    BASE = "base"
    ARCHIVED = "archived"


@dataclass(frozen=True, slots=True)
class Transition:
    """An image that became something else."""

    image: str
    before: Standing
    after: Standing
    reason: str


def count_transitions(transitions: Iterable[Transition]) -> tuple[Sample, ...]:
    """Return a sample for each transition."""
    return tuple(count(LIFECYCLE_TRANSITIONS, {"from": one.before, "to": one.after}) for one in transitions)


# --- who is what ---------------------------------------------------------------------------------


def decide_removed(recorded: Iterable[str], written: Collection[str], *, is_sound: bool) -> tuple[str, ...]:
    """Return the names of images that are gone from images.yaml, sorted.

    Args:
        recorded: the names of the images that there is state of.
        written: every name in images.yaml, those of entries with errors included.
        is_sound: whether all of images.yaml can be read. Where it cannot, none is gone: what is missing
            may be the entry that cannot be read.
    """
    return tuple(sorted(set(recorded) - set(written))) if is_sound else ()


def decide_publishers(
    enrollments: Mapping[str, Enrollment], images: Mapping[str, ImageState], gone: Collection[str]
) -> dict[Repository, str]:
    """Return the managed images by the repository that they are published to.

    An image that is known and neither enrolled nor `gone` stays one: its entry cannot be read just now.
    """
    kept = {
        image.configuration.enrollment.image: name
        for name, image in images.items()
        if image.kind is Kind.MANAGED and name not in enrollments and name not in gone
    }
    return kept | {one.image: name for name, one in enrollments.items() if one.kind is Kind.MANAGED}


def published(images: Mapping[str, ImageState]) -> dict[Repository, str]:
    """Return the managed images of these records by the repository that they are published to."""
    return {image.configuration.enrollment.image: name for name, image in images.items() if image.kind is Kind.MANAGED}


def moved_repositories(before: Mapping[Repository, str], after: Mapping[Repository, str]) -> frozenset[str]:
    """Return the repositories whose publisher is another one than it was, or none, or one for the first time."""
    return frozenset(str(one) for one in {*before, *after} if before.get(one) != after.get(one))


# --- binding references --------------------------------------------------------------------------


def moved_references(image: ImageState, moved: Collection[str]) -> tuple[Reference, ...]:
    """Return what `image` is made from out of these repositories, as its record has it."""
    if not moved:
        return ()
    sites = (site for site in image.configuration.references if site.role in _ROLES)
    return tuple(Reference.parse(site.reference) for site in sites if _is_of(site, moved))


def rebind(
    image: ImageState,
    moved: Collection[str],
    publishers: Mapping[Repository, str],
    names: Mapping[str, str],
) -> ImageState:
    """Return `image` with each reference into `moved` bound to what that is now; the same record where none is.

    Args:
        moved: repositories whose publisher is another one than it was.
        publishers: the managed images by repository, as they are now.
        names: base images' names by canonical reference, for all of `moved_references`.
    """
    if not moved:
        return image
    configuration = image.configuration
    sites = []
    for site in configuration.references:
        if _is_of(site, moved):
            reference = Reference.parse(site.reference)
            name = publishers.get(reference.repository) or names.get(watched_canonical(reference))
            # A frontend or an onbuild image has no record; it is known by its reference.
            sites.append(site.model_copy(update={"name": name or watched_canonical(reference)}))
        else:
            sites.append(site)
    if sites == list(configuration.references):
        return image
    sited = {site.name for site in configuration.references}
    built_on = _named(sites, FROM_ROLES) | (set(configuration.base_images) - sited)
    taken_from = _named(sites, SECONDARY_ROLES) | (set(configuration.secondary_images) - sited)
    update = {
        "references": tuple(sites),
        "base_images": tuple(sorted(built_on)),
        "secondary_images": tuple(sorted(taken_from - built_on)),
    }
    return image.model_copy(update={"configuration": configuration.model_copy(update=update)})


def _named(sites: Iterable[BaseSite], roles: Collection[str]) -> set[str]:
    return {site.name for site in sites if site.role in roles}


def _is_of(site: BaseSite, repositories: Collection[str]) -> bool:
    name = site.reference.partition("@")[0]
    colon = name.rfind(":")
    return (name[:colon] if colon > name.rfind("/") else name) in repositories


# --- base images ---------------------------------------------------------------------------------


def publisher_of(base: BaseConfiguration, publishers: Mapping[Repository, str]) -> str | None:
    """Return the managed image that publishes a base image, or None."""
    return publishers.get(Repository(base.registry, base.repository))


def taken_over(base: BaseState, publisher: str) -> BaseState:
    """Return the record of a base image that a managed image publishes: watched no more, its history kept."""
    if base.configuration.managed_by == publisher:
        return base
    watching = dict.fromkeys(("repo_url", "allow_tags", "image_selection_strategy"))
    configuration = base.configuration.model_copy(update={**watching, "managed_by": publisher})
    runtime = base.runtime.model_copy(update={"problem": None, "rebuild_eligible_at": {}})
    return base.model_copy(update={"configuration": configuration, "runtime": runtime})


def find_orphans(images: Iterable[ImageState], bases: Mapping[str, BaseState]) -> tuple[str, ...]:
    """Return the names of base images that no image is made from, sorted.

    One that a managed image publishes is used as long as a Dockerfile writes its reference.
    """
    managers = {base.configuration.managed_by for base in bases.values()} - {None}
    names: set[str] = set()
    references: set[str] = set()
    for image in images:
        configuration = image.configuration
        used = {*configuration.base_images, *configuration.secondary_images}
        names |= used
        if not managers.isdisjoint(used):
            sites = (site for site in configuration.references if site.name in managers and site.role in _ROLES)
            references.update(watched_canonical(Reference.parse(site.reference)) for site in sites)
    return tuple(sorted(name for name, base in bases.items() if not _is_used(base, names, references)))


def _is_used(base: BaseState, names: Collection[str], references: Collection[str]) -> bool:
    if base.configuration.managed_by is None:
        return base.name in names
    return base.configuration.full_image in references


# --- history -------------------------------------------------------------------------------------


def history_from_base(image: ImageState, base: BaseState) -> ImageState:
    """Return an image that is managed from now on with what was observed while its reference was a base image.

    What was built on the base is up to date with the managed image until that is built.
    """
    known, history = base.runtime, image.history
    runtime = image.runtime.model_copy(
        update={
            "current_digest": image.runtime.current_digest or known.current_digest,
            "previous_digest": image.runtime.previous_digest or known.previous_digest,
            "last_updated": image.runtime.last_updated or known.last_updated,
            "metadata": image.runtime.metadata or known.metadata,
        }
    )
    joined = history.model_copy(
        update={
            "enrolled_at": base.history.enrolled_at or history.enrolled_at,
            "update_history": joined_history(history.update_history, base.history.update_history),
            "rebuild_history": joined_history(history.rebuild_history, base.history.rebuild_history),
        }
    )
    return image.model_copy(update={"runtime": runtime, "history": joined})


def history_from_image(base: BaseState, image: ImageState, *, with_digests: bool) -> BaseState:
    """Return a base image with the history of the managed image that it was.

    Args:
        with_digests: whether the image's digests are those of the base's tag.
    """
    history, known = base.history, image.runtime
    runtime = base.runtime
    updates = history.update_history
    if with_digests:
        updates = joined_history(history.update_history, image.history.update_history)
        if known.current_digest is not None:
            runtime = runtime.model_copy(
                update={
                    "current_digest": known.current_digest,
                    "previous_digest": known.previous_digest,
                    "last_updated": updates[-1].at if updates else known.last_updated,
                    "metadata": known.metadata,
                }
            )
    joined = history.model_copy(
        update={
            "enrolled_at": _earliest(history.enrolled_at, image.history.enrolled_at),
            "update_history": updates,
            "rebuild_history": joined_history(history.rebuild_history, image.history.rebuild_history),
        }
    )
    return base.model_copy(update={"runtime": runtime, "history": joined})


def joined_history(ours: tuple[T, ...], theirs: tuple[T, ...]) -> tuple[T, ...]:
    """Return the entries of both, none twice, by their time; one side alone is left as it is."""
    new = tuple(entry for entry in theirs if entry not in ours)
    if not ours or not new:
        return ours or new
    return tuple(sorted((*ours, *new), key=lambda entry: getattr(entry, "at")))  # noqa: B009 - both kinds have it


def _earliest(*instants: datetime | None) -> datetime | None:
    return min((at for at in instants if at is not None), default=None)


# --- back from the archive -----------------------------------------------------------------------


def find_conflicts(archived: ImageState, enrollment: Enrollment) -> tuple[str, ...]:
    """Return why an archived record is not that of the image that is enrolled now; nothing where it is."""
    before = archived.configuration.enrollment
    found = []
    if before.name != enrollment.name:
        found.append(f"it was called {before.name}")
    if before.kind is not enrollment.kind:
        found.append(f"it was {before.kind}, and is {enrollment.kind} now")
    if before.image != enrollment.image:
        found.append(f"it was {before.image}, and is {enrollment.image} now")
    return tuple(found)


def find_base_conflicts(archived: BaseState, configuration: BaseConfiguration) -> tuple[str, ...]:
    """Return why an archived record is not that of the base image that was found now; nothing where it is."""
    before = archived.configuration
    if (before.name, before.full_image) == (configuration.name, configuration.full_image):
        return ()
    return (f"it was {before.full_image}, and is {configuration.full_image} now",)


def with_history(image: ImageState, history: ImageHistory) -> ImageState:
    """Return `image` with another history joined to its own; the same record where there is nothing new in it."""
    own = image.history
    joined = own.model_copy(
        update={
            "enrolled_at": _earliest(own.enrolled_at, history.enrolled_at),
            "update_history": joined_history(own.update_history, history.update_history),
            "rebuild_history": joined_history(own.rebuild_history, history.rebuild_history),
        }
    )
    return image if joined == own else image.model_copy(update={"history": joined})


def with_base_history(base: BaseState, history: BaseHistory) -> BaseState:
    """Return `base` with another history joined to its own; the same record where there is nothing new in it."""
    own = base.history
    joined = own.model_copy(
        update={
            "first_discovered": _earliest(own.first_discovered, history.first_discovered),
            "enrolled_at": _earliest(own.enrolled_at, history.enrolled_at),
            "update_history": joined_history(own.update_history, history.update_history),
            "rebuild_history": joined_history(own.rebuild_history, history.rebuild_history),
        }
    )
    return base if joined == own else base.model_copy(update={"history": joined})


# --- requests ------------------------------------------------------------------------------------


def closed_request(request: RebuildRequest, *, at: datetime, problem: str) -> RebuildRequest:
    """Return a request as one that is carried no further; the same record where it is settled already."""
    if not request.status.is_open:
        return request
    if request.status.is_under_way:
        problem = f"{problem}; its build may still be running"
    update = {"status": RequestStatus.CANCELLED, "finished_at": at.replace(microsecond=0), "problem": problem}
    return request.model_copy(update=update)
