"""Decide what a Dockerfile's reading means for an image's state: its bases, and whether it was read whole.

Pure: a reading and what is known come in, a `Discovery` comes out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from image_factory.dockerfile.reading import Category, Diagnostic, ImageReference, Reading, Role
from image_factory.model.enrollment import SelectionStrategy, tag_pattern
from image_factory.model.image_state import BaseConfiguration, BaseSite
from image_factory.oci.reference import Reference, Repository

FROM_ROLES = frozenset({Role.FINAL, Role.STAGE})
SECONDARY_ROLES = frozenset({Role.COPY, Role.MOUNT})
"""Roles whose images are taken from, not built on. A frontend reads the Dockerfile and an onbuild
reference waits for other builds: neither is in the image, so neither is watched."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """What one image is built on."""

    base_images: tuple[str, ...]
    """Names of the images of all FROM lines, sorted."""
    secondary_images: tuple[str, ...]
    sites: tuple[BaseSite, ...]
    bases: tuple[BaseConfiguration, ...]
    """The base images among them that are not managed images of ours."""
    failure: str | None
    """Why the Dockerfile could not be read whole; None where it could."""
    warnings: tuple[str, ...]


def watched_canonical(reference: Reference) -> str:
    """Return the reference that a base image is known by: its tag, or its digest where it has no tag."""
    tag = reference.tagged
    return reference.canonical if tag is None else str(tag)


@dataclass(frozen=True, slots=True)
class FileReading:
    """What one file says: a Dockerfile, or the bake or compose file that names it."""

    file: str
    reading: Reading


def watched_references(readings: Sequence[FileReading]) -> tuple[str, ...]:
    """Return the canonical references that need a base image's name, sorted."""
    roles = FROM_ROLES | SECONDARY_ROLES
    found = (one for read in readings for one in read.reading.references)
    return tuple(sorted({watched_canonical(one.reference) for one in found if one.role in roles}))


def decide_discovery(
    readings: Sequence[FileReading],
    *,
    names: Mapping[str, str],
    managed: Mapping[Repository, str],
) -> Discovery:
    """Return what the files of one image's build mean.

    Args:
        readings: mostly one Dockerfile; several where a bake target is built from other targets.
        names: base names by canonical reference, for all of `watched_references`.
        managed: our managed images by the repository that they are published to.
    """
    sites: list[BaseSite] = []
    bases: dict[str, BaseConfiguration] = {}
    spellings: dict[str, set[str]] = {}
    of_role: dict[bool, set[str]] = {True: set(), False: set()}
    failing: list[str] = []
    warnings: list[str] = []
    for read in readings:
        for found in read.reading.references:
            canonical = watched_canonical(found.reference)
            ours = managed.get(found.reference.repository)
            name = ours or names.get(canonical) or canonical
            sites.append(_site(found, name, read.file))
            if found.role not in FROM_ROLES | SECONDARY_ROLES:
                continue
            of_role[found.role in FROM_ROLES].add(name)
            if ours is None:
                spellings.setdefault(name, set()).add(found.reference.written or canonical)
                bases[name] = base_configuration(name, found.reference)
        hiding, harmless = _judge(read.reading.diagnostics, read.reading.references, read.file)
        failing += hiding
        warnings += harmless
    return Discovery(
        base_images=tuple(sorted(of_role[True])),
        secondary_images=tuple(sorted(of_role[False] - of_role[True])),
        sites=tuple(sites),
        bases=tuple(
            base.model_copy(update={"aliases": _aliases(base, spellings[name])}) for name, base in sorted(bases.items())
        ),
        failure="; ".join(failing) or None,
        warnings=tuple(warnings),
    )


def base_configuration(name: str, reference: Reference) -> BaseConfiguration:
    """Return a base image's configuration: watched by its tag, or pinned where it has only a digest."""
    tag = reference.tagged
    repository = reference.repository
    if tag is None:
        return BaseConfiguration(
            name=name,
            full_image=reference.canonical,
            registry=repository.registry,
            repository=repository.path,
            digest=str(reference.digest),
            pinned=True,
        )
    return BaseConfiguration(
        name=name,
        full_image=str(tag),
        registry=repository.registry,
        repository=repository.path,
        tag=tag.name,
        repo_url=str(repository),
        allow_tags=tag_pattern(tag.name),
        image_selection_strategy=SelectionStrategy.DIGEST,
    )


def _site(found: ImageReference, name: str, file: str) -> BaseSite:
    canonical = found.reference.canonical
    return BaseSite(
        name=name,
        reference=canonical,
        written=None if found.written == canonical else found.written,
        role=str(found.role),
        file=file,
        line=found.line,
        reachable=found.reachable,
        platforms=tuple(str(platform) for platform in found.platforms),
    )


def _aliases(base: BaseConfiguration, spellings: set[str]) -> tuple[str, ...]:
    return tuple(sorted(spellings - {base.full_image}))


def _judge(
    diagnostics: Sequence[Diagnostic], references: Sequence[ImageReference], file: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Part diagnostics into those that hide an image and those that only warn.

    An ARG without a value whose line still gives a valid reference is what the build would pull, so
    it warns. Everything else leaves an image unknown, or a file that the build would refuse.
    """
    lines = {found.line for found in references}
    failing: list[str] = []
    warnings: list[str] = []
    for diagnostic in diagnostics:
        text = f"{file}:{diagnostic.line}: {diagnostic.category}: {diagnostic.message}"
        harmless = diagnostic.category is Category.UNRESOLVED_ARG and diagnostic.line in lines
        (warnings if harmless else failing).append(text)
    return tuple(failing), tuple(warnings)
