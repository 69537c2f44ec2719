"""Charts: resources that are rendered together, the unit that is kept between runs. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from image_factory.errors import Conflict
from image_factory.model.settings import CommitSettings, KargoSettings
from image_factory_synth.data import Inventory
from image_factory_synth.fields import Document
from image_factory_synth.schedule import Check
from image_factory_synth.versions import KargoVersion
from image_factory_synth.warehouses import Planned, plan_warehouses

if TYPE_CHECKING:
    from image_factory_synth.sources import SourceWatch
    from image_factory_synth.stages import Providers, Stages


@dataclass(frozen=True, slots=True)
class Chart:
    """The resources of one image, or those that stand before all."""

    name: str
    documents: tuple[Document, ...]
    line: str = field(init=False, repr=False, compare=False)
    """The resources as one line of JSON, in ASCII, so that no character is a line end to anyone."""
    digest: str = field(init=False, repr=False, compare=False)
    """What the chart's text depends on, in short: charts of one digest render alike."""

    def __post_init__(self) -> None:
        line = json.dumps(self.documents, separators=(",", ":"))
        object.__setattr__(self, "line", line)
        object.__setattr__(self, "digest", hashlib.sha256(line.encode("ascii")).hexdigest())


@dataclass(frozen=True, slots=True)
class Plan:
    """All charts of a folder in their order, and what is to be said of the others."""

    charts: tuple[Chart, ...]
    planned: Planned


def plan_charts(
    inventory: Inventory,
    settings: KargoSettings,
    version: KargoVersion,
    ready: Callable[[Chart], object] = lambda _: None,
    *,
    providers: Providers | None = None,
    folders: tuple[str, str] = ("state", "dist"),
    author: CommitSettings | None = None,
) -> Plan:
    """Return what is to be written for an inventory: infrastructure first, then a chart for each image.

    Args:
        ready: is given each chart as soon as it is made, in any order, so that work on it can begin.

        providers: what plugins say of sources and builds; without them no source is watched and no build started.
        folders: those of the state and of our output.
        author: who commits to consumers' repositories; Kargo's own name where it is None.

    Raises:
        Conflict: two resources have one name; the message names it.
        RefusedByKargo: the namespace is no name that Kargo takes.
    """
    first = infrastructure_chart(settings, version)
    ready(first)
    plan = plan_image_charts(inventory, settings, version, ready, providers=providers, folders=folders, author=author)
    charts = (first, *plan.charts)
    _check_unique(charts)
    return Plan(charts, plan.planned)


def plan_image_charts(
    inventory: Inventory,
    settings: KargoSettings,
    version: KargoVersion,
    ready: Callable[[Chart], object] = lambda _: None,
    *,
    providers: Providers | None = None,
    folders: tuple[str, str] = ("state", "dist"),
    author: CommitSettings | None = None,
    others: Sequence[Check] = (),
    alone: bool = False,
) -> Plan:
    """Return a chart for each image, which may be some of a folder's; otherwise as `plan_charts`.

    Args:
        others: the Warehouses of the images that are not asked about.
        alone: without what follows from enrollments: what stands beside Warehouses, and the sources in them.
    """
    made: dict[str, Chart] = {}

    def take(name: str, documents: tuple[Document, ...]) -> None:
        made[name] = Chart(name, documents)
        ready(made[name])

    planned = plan_warehouses(
        inventory,
        settings,
        version,
        take,
        None if alone else _stages(settings, version, providers, folders[0], author),
        None if alone else _sources(settings, providers, folders),
        others,
    )
    return Plan(tuple(made[name] for name, _ in planned.warehouses), planned)


def _stages(
    settings: KargoSettings,
    version: KargoVersion,
    providers: Providers | None,
    state_dir: str,
    author: CommitSettings | None,
) -> Stages | None:
    if settings.state_repository is None:
        return None
    from image_factory_synth.stages import Stages  # a fifth of what all of us takes to import

    return Stages(settings, version, providers, state_dir, author)


def _sources(settings: KargoSettings, providers: Providers | None, folders: tuple[str, str]) -> SourceWatch | None:
    if providers is None:
        return None
    from image_factory_synth.sources import SourceWatch

    return SourceWatch(providers, settings.state_path, folders, settings.state_repository, settings.state_branch)


def infrastructure_chart(settings: KargoSettings, version: KargoVersion) -> Chart:
    """Return the chart that stands before all images; raises what `plan_charts` raises."""
    from image_factory_synth.infrastructure import infrastructure  # not needed where single images are planned

    resources = infrastructure(settings)
    if settings.state_repository is not None:
        from image_factory_synth.jobs import jobs
        from image_factory_synth.tasks import tasks

        resources += (*jobs(settings), *tasks(settings))
    return Chart("infrastructure", tuple(resource.document(version) for resource in resources))


def resource_key(document: Document) -> str:
    """Return what tells a resource from all others, for people: its kind and its name."""
    return f"{document['kind']}/{document['metadata']['name']}"


def _check_unique(charts: Sequence[Chart]) -> None:
    seen: dict[str, str] = {}
    for chart in charts:
        for document in chart.documents:
            key = resource_key(document)
            if key in seen:
                raise Conflict(f"{seen[key]} and {chart.name} both write {key}", hint="rename one of them")
            seen[key] = chart.name
