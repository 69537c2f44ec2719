"""The use-case `synth`: a folder's images.yaml and state in, one file of Kargo's resources out. I/O."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from image_factory.errors import Conflict, ImageFactoryError, Location
from image_factory.model.image_state import BaseState, ImageState
from image_factory.model.settings import Settings
from image_factory.oci.reference import Repository
from image_factory.shell.images_file import load_images_text
from image_factory.shell.regular_file import read_regular
from image_factory.shell.store import Store
from image_factory.state.images_yaml import ImagesFile, read_images
from image_factory.state.layout import OUTPUT_FILE
from image_factory.usecases.outcome import Failed, Skipped
from image_factory_synth.charts import Chart, Plan, infrastructure_chart, plan_charts
from image_factory_synth.data import Inventory, merge
from image_factory_synth.folders import folders_inside
from image_factory_synth.kept_plan import FIRST_CHART, KeptChart, KeptImage, KeptPlan, kept_images
from image_factory_synth.rendered import load_rendered, replace_file, save_rendered
from image_factory_synth.schedule import Budget, Traffic, traffic
from image_factory_synth.texts import BREAK, HEADER, Texts, resources_of
from image_factory_synth.versions import KargoVersion
from image_factory_synth.warehouses import Note, Planned

if TYPE_CHECKING:
    from image_factory.shell.read_ahead import ReadAhead
    from image_factory_synth.stages import Providers

BudgetOf = Callable[[Repository], Budget | None]
"""Who knows what a repository's registry takes from us in a day; None where nobody does."""
_TOGETHER = 25
"""Charts that are handed over at once."""


class Renderer(Protocol):
    """What makes YAML of charts (`image_factory_synth.kargo.Cdk8s`)."""

    @property
    def name(self) -> str:
        """What the texts depend on beside the charts: renderers of one name write alike."""
        ...

    def add(self, charts: Sequence[Chart]) -> None:
        """Start to work on these charts, too."""
        ...

    def finish(self) -> list[str]:
        """Return the text of each chart that was added, in their order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesis:
    """What one run made of a folder."""

    output: Path
    version: KargoVersion
    old: str | None = field(repr=False)
    """The file's text before; None where there was none."""
    new: str = field(repr=False)
    added: tuple[str, ...]
    """Resources, such as `Warehouse/backstage`, sorted."""
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    resources: int
    rendered: int
    """Charts that passed through cdk8s."""
    failures: tuple[ImageFactoryError, ...]
    """Entries of images.yaml that are wrong: none of them is in the file."""
    refused: tuple[Failed, ...]
    """Images that Kargo would refuse: nor are they."""
    broken: Mapping[str, ImageFactoryError]
    """State files that could not be read, by the name of their record."""
    skipped: tuple[Skipped, ...]
    """Images without a Warehouse, and why."""
    pinned: tuple[str, ...]
    """Base images that are named by digest alone, so that nothing is watched."""
    notes: tuple[Note, ...]
    places: Mapping[str, Location] = field(repr=False)
    """Where each enrollment stands, by its name."""
    traffic: tuple[Traffic, ...]
    plan: KeptPlan | None = field(default=None, repr=False)
    """What the next run may plan from; None where it has to plan all."""

    @property
    def texts(self) -> Texts:
        """The file before and after."""
        return Texts(self.output, self.old, self.new, self.changed)


def synthesize(
    root: Path,
    settings: Settings,
    renderer: Renderer,
    *,
    kargo_version: str | None = None,
    dry_run: bool = False,
    budget_of: BudgetOf | None = None,
    providers: Providers | None = None,
    ahead: ReadAhead | None = None,
) -> Synthesis:
    """Write the Kargo resources of the image-factory folder `root`, and return what changed.

    Args:
        kargo_version: such as `1.11`; the settings' where it is None.
        dry_run: write nothing.
        budget_of: asked once for each registry whose budget no setting gives, while charts are rendered.
        providers: what plugins say of sources and builds.
        ahead: state files that another process parses already.

    Raises:
        InvalidSettings: the Kargo version is none that resources can be written for.
        NotFound: there is no images.yaml.
        InvalidEnrollment: nothing of images.yaml can be read.
        Conflict: two images, or two resources, have one name.
        RenderingFailed: cdk8s cannot run.
    """
    version = KargoVersion.parse(kargo_version or settings.kargo.version)
    text, enrolled = _read_images(root / settings.images_file)
    rendering = _Rendering(root, renderer)
    # Known before any state is read; who renders has its first and slowest chart behind it by then.
    rendering.begin(infrastructure_chart(settings.kargo, version))
    rendering.flush()
    saves: list[Callable[[], None]] = []
    store = Store(root, settings, ahead=ahead, keep=saves.append)
    images, bases = store.images(), store.bases()
    inventory = _merged(enrolled, images.records.values(), bases.records.values())
    plan = plan_charts(
        inventory,
        settings.kargo,
        version,
        rendering.begin,
        providers=providers,
        folders=folders_inside(root, settings),
        author=settings.commit,
    )
    for chart in plan.charts:
        rendering.add(chart)
    planned = plan.planned
    broken = {**images.broken, **bases.broken}
    if settings.catalog.enabled:
        from image_factory_synth.catalog import Known, catalog

        requests = store.requests()
        broken |= requests.broken
        known = Known(
            enrollments=tuple(entry.enrollment for entry in enrolled.enrollments),
            images=images.records,
            bases=bases.records,
            requests=requests.records,
        )
        for name, document in catalog(known, settings.catalog, providers):
            rendering.add(Chart(f"catalog-{name}", (document,)))
    rendering.flush()
    # There is time for it while charts are rendered.
    for save in saves:
        save()
    budgets = _budgets(planned.repositories, settings, budget_of)
    images_kept = None if settings.catalog.enabled else kept_images(plan, enrolled)
    new = rendering.finish(keep=not dry_run)
    output = root / settings.dist_dir / OUTPUT_FILE
    old = _read(output)
    if new != old and not dry_run:
        replace_file(output, new)
    before, after = resources_of(old or ""), resources_of(new)
    return Synthesis(
        output=output,
        version=version,
        old=old,
        new=new,
        added=tuple(sorted(after.keys() - before.keys())),
        changed=tuple(sorted(key for key in after.keys() & before.keys() if after[key] != before[key])),
        removed=tuple(sorted(before.keys() - after.keys())),
        resources=len(after),
        rendered=rendering.count,
        failures=enrolled.problems,
        refused=_placed(planned, text, str(root / settings.images_file)),
        broken=broken,
        skipped=tuple(found for found in planned.outcomes if isinstance(found, Skipped)),
        pinned=planned.pinned,
        notes=(*_setting_notes(root, settings, watched=bool(planned.warehouses)), *planned.notes),
        places={entry.enrollment.name: entry.location for entry in enrolled.enrollments},
        traffic=traffic(planned.checks, planned.intervals, budgets),
        plan=None if images_kept is None else rendering.plan(plan, images_kept),
    )


def _setting_notes(root: Path, settings: Settings, *, watched: bool) -> Iterator[Note]:
    """Yield what is to be said of settings.

    Args:
        watched: whether any image is.
    """
    if settings.kargo.state_repository is None:
        if watched:
            told = "nothing but Warehouses is written: stages and jobs need kargo.stateRepository and kargo.jobImage"
            yield Note("stateRepository", told)
        return
    if settings.starts_builds:  # which nobody settles, or another engine starts too
        told = "the cluster is to start builds, and config.yaml says that image-factory run does: set engine: kargo"
        yield Note("engine", told)
    state = folders_inside(root, settings)[0]
    if Path(settings.state_dir).is_absolute() and Path(settings.state_dir) != Path(os.path.abspath(root / state)):  # noqa: PTH100
        told = f"state is read from {settings.state_dir}, and the cluster's is taken to lie in {state}/"
        yield Note("stateDir", told)


def _read_images(path: Path) -> tuple[str, ImagesFile]:
    text = load_images_text(path, path.parent)
    images = read_images(text, str(path))
    if images.problems and not images.names:
        # Nothing of it can be read. An output without any image would have the cluster drop them all.
        raise images.problems[0]
    return text, images


def _merged(enrolled: ImagesFile, images: Iterable[ImageState], bases: Iterable[BaseState]) -> Inventory:
    """Return the inventory; a conflict names the line of the first entry that it is about."""
    try:
        return merge((entry.enrollment for entry in enrolled.enrollments), images, bases)
    except Conflict as error:
        about = (entry.location for entry in enrolled.enrollments if f"{entry.enrollment.name!r} is " in error.message)
        error.location = next(about, None)
        raise


def _placed(planned: Planned, images: str, file: str) -> tuple[Failed, ...]:
    """Return what was refused, each with the field and line of images.yaml that it comes from."""
    refused = tuple(found for found in planned.outcomes if isinstance(found, Failed))
    if not refused:
        return ()
    from image_factory_synth.refusals import Entries  # few folders hold what Kargo refuses

    entries = Entries(images, file)
    return tuple(entries.place(failed) for failed in refused)


def _read(path: Path) -> str | None:
    try:
        return read_regular(path).decode("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        return None  # written anew


def _budgets(
    repositories: Mapping[str, Repository], settings: Settings, budget_of: BudgetOf | None
) -> dict[str, Budget]:
    """Return what is known of registries' budgets: a setting's word, else that of who is asked."""
    known: dict[str, Budget] = {}
    for registry, repository in repositories.items():
        setting = settings.registries.get(registry)
        if setting is not None and setting.requests_per_day is not None:
            known[registry] = Budget(setting.requests_per_day, "config.yaml")
        elif budget_of is not None:
            budget = budget_of(repository)
            if budget is not None:
                known[registry] = budget
    return known


class _Rendering:
    """The texts of charts: those of an earlier run, and those that are made while something else is done."""

    def __init__(self, root: Path, renderer: Renderer) -> None:
        self._root = root
        self._renderer = renderer
        self._kept = load_rendered(root, renderer.name)
        self._digests: list[str] = []
        self._missing: dict[str, Chart] = {}
        self._waiting: list[Chart] = []

    def add(self, chart: Chart) -> None:
        """Take the next chart of the output, and begin to render it where it is not kept."""
        self._digests.append(self.begin(chart))

    def begin(self, chart: Chart) -> str:
        """Begin to render a chart that is going to be added, and return its digest."""
        digest = self._take(chart)
        if len(self._waiting) == _TOGETHER:
            self.flush()
        return digest

    def flush(self) -> None:
        """Hand over what was taken and has not been handed over yet."""
        if self._waiting:
            self._renderer.add(self._waiting)
            self._waiting = []

    def _take(self, chart: Chart) -> str:
        digest = chart.digest
        if digest not in self._kept and digest not in self._missing:
            self._missing[digest] = chart
            self._waiting.append(chart)
        return digest

    @property
    def count(self) -> int:
        """Charts that were not among those kept."""
        return len(self._missing)

    def finish(self, *, keep: bool) -> str:
        """Return the whole output, and with `keep` remember its parts for the next run."""
        kept = self._kept
        self.flush()
        if self._missing:
            kept.update(zip(self._missing, self._renderer.finish(), strict=True))
        if keep and (self._missing or len(kept) > len(set(self._digests))):
            save_rendered(self._root, self._renderer.name, {digest: kept[digest] for digest in self._digests})
        return HEADER + BREAK.join(kept[digest] for digest in self._digests)

    def plan(self, plan: Plan, images: Mapping[str, KeptImage]) -> KeptPlan:
        """Return what the next run may plan from, once all is rendered."""
        sizes = {digest: len(self._kept[digest].encode()) for digest in self._digests}
        names = (FIRST_CHART, *(chart.name for chart in plan.charts[1:]))
        charts = {name: KeptChart(digest, sizes[digest]) for name, digest in zip(names, self._digests, strict=True)}
        return KeptPlan(self._renderer.name, 0, charts, images)
