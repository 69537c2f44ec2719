"""Images as Backstage entities, each in a ConfigMap that a portal's provider reads. Pure.

A managed image is a ManagedImage; a base image and an external image are each a BaseImage, since to a
portal both are somebody else's image that we follow. Relations stand on both sides, so that a reader
of one entity needs no other. What Backstage would refuse is not written: names are cut as everywhere,
owners and systems become references, texts become one line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from image_factory.errors import ImageFactoryError
from image_factory.model.catalog import (
    PREFIX,
    Annotation,
    BaseImageEntity,
    BaseImageSpec,
    Entity,
    EntityMetadata,
    EntityPolicy,
    EntitySource,
    ManagedImageEntity,
    ManagedImageSpec,
    RebuildStatus,
    UpstreamImage,
    entity_ref,
)
from image_factory.model.cluster import REFERENCE, CatalogSettings
from image_factory.model.duration import format_duration
from image_factory.model.enrollment import Enrollment, Kind
from image_factory.model.image_state import BaseState, ImageState, format_time
from image_factory.model.request import RebuildRequest, RequestStatus
from image_factory.ports import CatalogSource, Source, SourceRepository
from image_factory.usecases.workflow import WITHOUT_FILES
from image_factory_synth.fields import Document
from image_factory_synth.records import MANAGED_BY, ROLE_LABEL, short_name

ROLE = "catalog"
DATA_KEY = "catalog"
UPSTREAM = "upstream"
"""The owner of what is not ours."""
_NOT_IN_A_REF = re.compile(r"[^A-Za-z0-9_.]+")
_REF = re.compile(REFERENCE, re.ASCII)
_LONGEST = 63
_FAILED = frozenset({RequestStatus.FAILED, RequestStatus.TIMED_OUT})
_Kind = Literal["ManagedImage", "BaseImage"]


class Sources(Protocol):
    """What plugins say of sources (`image_factory.plugins.PluginTable`)."""

    def source_named(self, provider: str) -> Source:
        """Return the source of that name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the catalog is made from: enrollments, and records by their names."""

    enrollments: tuple[Enrollment, ...]
    images: Mapping[str, ImageState]
    bases: Mapping[str, BaseState]
    requests: Mapping[str, RebuildRequest]


def catalog(
    known: Known, settings: CatalogSettings, sources: Sources | None = None
) -> tuple[tuple[str, Document], ...]:
    """Return a ConfigMap for each image, by the image's name: managed, external, then base, each sorted by name."""
    return tuple((entity.metadata.name, _config_map(entity, settings)) for entity in entities(known, settings, sources))


def entities(known: Known, settings: CatalogSettings, sources: Sources | None = None) -> tuple[Entity, ...]:
    """Return the entity of each image, in the order of `catalog`."""
    enrolled = sorted(known.enrollments, key=lambda entry: entry.name)
    kinds: dict[str, _Kind] = {
        entry.name: "ManagedImage" if entry.kind is Kind.MANAGED else "BaseImage" for entry in enrolled
    }
    bases = [base for _, base in sorted(known.bases.items()) if base.configuration.managed_by is None]
    bases = [base for base in bases if base.name not in kinds]
    kinds |= {base.name: "BaseImage" for base in bases}
    relations = _Relations(known.images.values(), known.bases.values(), kinds)
    managed = [entry for entry in enrolled if entry.kind is Kind.MANAGED]
    external = [entry for entry in enrolled if entry.kind is not Kind.MANAGED]
    return (
        *(_managed(entry, known, relations, settings, sources) for entry in managed),
        *(_external(entry, known.images.get(entry.name), relations, settings) for entry in external),
        *(_base(base, relations, settings) for base in bases),
    )


class _Relations:
    """Who is built on whom, both ways, as references to those that have an entity."""

    def __init__(self, images: Iterable[ImageState], bases: Iterable[BaseState], kinds: Mapping[str, _Kind]) -> None:
        published = {base.name: base.configuration.managed_by for base in bases if base.configuration.managed_by}
        self._bases: dict[str, list[str]] = {}
        self._dependents: dict[str, list[str]] = {}
        for image in images:
            if image.name not in kinds:
                continue  # gone from images.yaml, its file left behind
            configured = image.configuration
            # What a managed image publishes is that image.
            names = {published.get(name, name) for name in (*configured.base_images, *configured.secondary_images)}
            for name in sorted(names & kinds.keys()):
                self._bases.setdefault(image.name, []).append(entity_ref(kinds[name], short_name(name)))
                self._dependents.setdefault(name, []).append(entity_ref(kinds[image.name], short_name(image.name)))

    def bases(self, name: str) -> tuple[str, ...]:
        return tuple(sorted(self._bases.get(name, ())))

    def dependents(self, name: str) -> tuple[str, ...]:
        return tuple(sorted(self._dependents.get(name, ())))


def _managed(
    entry: Enrollment, known: Known, relations: _Relations, settings: CatalogSettings, sources: Sources | None
) -> ManagedImageEntity:
    source, state, about = entry.source, known.images.get(entry.name), entry.metadata
    if source is None:
        raise AssertionError("a managed image has a source")
    workflow = source.workflow or (None if source.provider in WITHOUT_FILES else f"{entry.name}.yml")
    eligible_at = _eligible_at(entry.name, state, known.bases)
    found = _seen(entry, state) | {
        Annotation.TAG: None if state is None else state.runtime.current_version,
        Annotation.LAST_BUILT: None if state is None else state.runtime.last_built,
        Annotation.REBUILD_STATUS: _status(state, known.requests.get(entry.name), eligible_at).value,
        Annotation.REBUILD_ELIGIBLE_AT: eligible_at,
    }
    repository = SourceRepository(source.provider, source.host, source.repo)
    return ManagedImageEntity(
        metadata=_metadata(entry, _annotations(found) | _of_provider(repository, workflow or "", sources)),
        spec=ManagedImageSpec(
            lifecycle=_line(about.lifecycle if about else None) or settings.lifecycle,
            owner=_ref(about.owner if about else None) or settings.owner,
            system=_ref(about.system if about else None),
            source=EntitySource(
                provider=source.provider,
                host=source.host,
                repo=source.repo,
                branch=source.branch,
                dockerfile=source.dockerfile,
                workflow=workflow,
            ),
            rebuild_policy=EntityPolicy(
                delay=format_duration(entry.rebuild_delay),
                delay_mode=entry.delay_mode.value,
                auto_rebuild=entry.auto_rebuild,
                criticality=entry.criticality.value,
                group=entry.group,
            ),
            depends_on=relations.bases(entry.name),
            dependents=relations.dependents(entry.name),
        ),
    )


def _external(
    entry: Enrollment, state: ImageState | None, relations: _Relations, settings: CatalogSettings
) -> BaseImageEntity:
    about = entry.metadata
    version = None if state is None else state.runtime.current_version
    found = _seen(entry, state) | {Annotation.TAG: entry.only_tag or version}
    return BaseImageEntity(
        metadata=_metadata(entry, _annotations(found)),
        spec=BaseImageSpec(
            lifecycle=_line(about.lifecycle if about else None) or settings.lifecycle,
            owner=UPSTREAM,
            upstream=UpstreamImage(
                registry=entry.image.registry, repository=entry.image.path, tag=entry.only_tag or version
            ),
            dependents=relations.dependents(entry.name),
        ),
    )


def _base(base: BaseState, relations: _Relations, settings: CatalogSettings) -> BaseImageEntity:
    configured, runtime = base.configuration, base.runtime
    found: dict[Annotation, object] = {
        Annotation.REGISTRY: configured.registry,
        Annotation.REPOSITORY: configured.repository,
        Annotation.TAG: configured.tag,
        Annotation.DIGEST: runtime.current_digest or configured.digest,
        Annotation.PREVIOUS_DIGEST: runtime.previous_digest,
        Annotation.LAST_UPDATED: runtime.last_updated,
        Annotation.REBUILD_ELIGIBLE_AT: runtime.rebuild_eligible_at.get("default"),
        Annotation.ENROLLED_AT: base.history.first_discovered,
        Annotation.LAST_DISCOVERY: runtime.last_checked,
        Annotation.DISCOVERY_STATUS: "failed"
        if runtime.problem
        else "success"
        if runtime.current_digest
        else "pending",
    }
    return BaseImageEntity(
        metadata=EntityMetadata(name=short_name(base.name), annotations=_annotations(found)),
        spec=BaseImageSpec(
            lifecycle=settings.lifecycle,
            owner=UPSTREAM,
            upstream=UpstreamImage(registry=configured.registry, repository=configured.repository, tag=configured.tag),
            dependents=relations.dependents(base.name),
        ),
    )


def _seen(entry: Enrollment, state: ImageState | None) -> dict[Annotation, object]:
    found: dict[Annotation, object] = {
        Annotation.REGISTRY: entry.image.registry,
        Annotation.REPOSITORY: entry.image.path,
        Annotation.DISCOVERY_STATUS: "pending",
    }
    if state is not None:
        runtime = state.runtime
        found |= {
            Annotation.DIGEST: runtime.current_digest,
            Annotation.PREVIOUS_DIGEST: runtime.previous_digest,
            Annotation.LAST_UPDATED: runtime.last_updated,
            Annotation.ENROLLED_AT: state.history.enrolled_at,
            Annotation.DISCOVERY_STATUS: runtime.discovery_status.value,
            Annotation.LAST_DISCOVERY: runtime.last_discovery,
        }
    return found


def _annotations(found: Mapping[Annotation, object]) -> dict[str, str]:
    return {
        f"{PREFIX}{name.value}": format_time(value) if isinstance(value, datetime) else str(value)
        for name in Annotation
        if (value := found.get(name)) is not None
    }


def _of_provider(repository: SourceRepository, workflow: str, sources: Sources | None) -> dict[str, str]:
    """Return the annotations by which a portal's own pages find the repository and its builds."""
    if sources is None:
        return {}
    try:
        source = sources.source_named(repository.provider)
        return dict(source.catalog_annotations(repository, workflow)) if isinstance(source, CatalogSource) else {}
    except ImageFactoryError:
        return {}  # what watches the source tells of it


def _eligible_at(name: str, state: ImageState | None, bases: Mapping[str, BaseState]) -> datetime | None:
    built_on = () if state is None else state.configuration.base_images
    times = [bases[base].runtime.rebuild_eligible_at.get(name) for base in built_on if base in bases]
    return min((at for at in times if at is not None), default=None)


def _status(state: ImageState | None, request: RebuildRequest | None, eligible_at: datetime | None) -> RebuildStatus:
    if request is not None and request.status.is_open:
        return RebuildStatus.REBUILDING if request.status.is_under_way else RebuildStatus.PENDING
    if request is not None and request.status in _FAILED:
        return RebuildStatus.FAILED
    return RebuildStatus.UP_TO_DATE if eligible_at is None else RebuildStatus.PENDING


def _metadata(entry: Enrollment, annotations: dict[str, str]) -> EntityMetadata:
    about = entry.metadata
    return EntityMetadata(
        name=short_name(entry.name),
        title=_line(about.title if about else None),
        description=_line(about.description if about else None),
        annotations=annotations,
    )


def _line(text: str | None) -> str | None:
    """Return a text on one line; None where nothing of it is left."""
    return " ".join("".join(each if each.isprintable() else " " for each in text or "").split()) or None


def _ref(text: str | None) -> str | None:
    """Return a text as Backstage refers to an entity by it; None where nothing of it is left."""
    line = _line(text)
    if line is None or _REF.fullmatch(line):
        return line
    return _NOT_IN_A_REF.sub("-", line)[:_LONGEST].strip("-_.") or None


# --- the ConfigMap -------------------------------------------------------------------------------------


def _config_map(entity: Entity, settings: CatalogSettings) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": short_name(f"image-factory-{entity.metadata.name}"),
            "namespace": settings.namespace,
            "labels": {**MANAGED_BY, ROLE_LABEL: ROLE, **settings.labels},
        },
        "data": {DATA_KEY: write_entity(entity)},
    }


def write_entity(entity: Entity) -> str:
    """Return an entity as YAML, its texts in quotes, so that none can be read as anything else."""
    return "".join(_lines(entity.model_dump(mode="json", by_alias=True, exclude_none=True), ""))


def _lines(values: Mapping[str, Any], indent: str) -> Iterable[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield f"{indent}{key}:" + ("\n" if value else " {}\n")
            yield from _lines(value, f"{indent}  ")
        elif isinstance(value, list):
            yield f"{indent}{key}:" + ("\n" if value else " []\n")
            yield from (f"{indent}- {json.dumps(item, ensure_ascii=False)}\n" for item in value)
        else:
            yield f"{indent}{key}: {json.dumps(value, ensure_ascii=False)}\n"
