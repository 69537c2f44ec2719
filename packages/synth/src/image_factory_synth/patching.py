"""The use-case `synth` where only state files of a few images changed: those are planned, all else stays. I/O.

It answers None wherever it is not sure that a whole run would write the same bytes and report the same:
then a whole run is what is to be done. What it relies on was kept by the last run, of which it is known
that its file, its settings and all other files are as they were.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from image_factory.model.enrollment import Enrollment
from image_factory.shell.regular_file import read_regular
from image_factory.shell.store import Store
from image_factory.state.layout import BASE_IMAGES, IMAGES, OUTPUT_FILE
from image_factory_synth.charts import Chart, plan_image_charts, resource_key
from image_factory_synth.data import merge
from image_factory_synth.folders import folders_inside
from image_factory_synth.kept_plan import KeptChart, KeptImage, KeptPlan, warehouse_digest
from image_factory_synth.rendered import replace_file
from image_factory_synth.report import traffic_report, with_traffic
from image_factory_synth.schedule import Budget, traffic
from image_factory_synth.texts import BREAK, HEADER, Texts, resources_of
from image_factory_synth.versions import KargoVersion

if TYPE_CHECKING:
    from image_factory.model.settings import Settings
    from image_factory.shell.run_memory import Recollection
    from image_factory_synth.charts import Plan
    from image_factory_synth.stages import Providers
    from image_factory_synth.synthesize import Renderer


_SOURCES = re.compile(r"\n *- git:\n")
"""Where the sources of a Warehouse begin, among its subscriptions."""


@dataclass(frozen=True, slots=True)
class Patch:
    """What is to become of the last run's file."""

    texts: Texts
    content: bytes = field(repr=False)
    """Of the file."""
    is_new: bool
    """Whether it differs from what the file holds."""
    report: dict[str, Any]
    plan: KeptPlan = field(repr=False)
    planned: tuple[str, ...]
    """The images that were planned anew."""

    def write(self) -> None:
        """Write the file, where it is to be another."""
        if self.is_new:
            replace_file(self.texts.output, self.content)


def patch(
    root: Path,
    settings: Settings,
    renderer: Renderer,
    last: Recollection,
    kept: KeptPlan,
    *,
    dry_run: bool = False,
    providers: Providers | None = None,
) -> Patch | None:
    """Return what changes for the images whose state changed since the last run; None where that does not suffice.

    Args:
        last: what is remembered of that run.
        kept: what it planned.
        dry_run: nothing will be written.
        providers: what plugins say of sources and builds.

    Raises:
        RenderingFailed: cdk8s cannot run.
    """
    names = _changed_names(root, settings, last)
    if names is None or kept.taken_at != last.taken_at or kept.renderer != renderer.name or settings.catalog.enabled:
        return None
    if any(name not in kept.images for name in names):
        return None
    # Of what is enrolled, all but what a Warehouse says of the image follows from the enrollment, which is what it was.
    alone = all(kept.images[name].enrollment is not None for name in names)
    version = KargoVersion.parse(last.report["kargoVersion"])
    plan = _plan(root, settings, version, names, kept, None if alone else providers, alone=alone)
    if plan is None:
        return None
    images = {name: _image(chart, plan, kept.images[name], alone=alone) for name, chart in _by_name(plan).items()}
    if set(images) != set(names) or not _is_as_planned(images, plan, kept):
        return None
    output = root / settings.dist_dir / OUTPUT_FILE
    old = read_regular(output)
    places = _places(old, kept)
    if places is None:
        return None
    before = {name: old[places[name]].decode() for name in names}
    if alone:
        changed = [chart for chart in plan.charts if images[chart.name].planned != kept.images[chart.name].planned]
        todos = [_alone(chart, kept.images[chart.name], before[chart.name]) for chart in changed]
    else:
        todos = [_Todo(chart) for chart in plan.charts if chart.digest != kept.charts[chart.name].digest]
    after = _rendered(todos, renderer)
    if after is None:
        return None
    charts = dict(kept.charts)
    texts = {name: text.encode() for name, (_, text) in after.items()}
    for name, (digest, _) in after.items():
        charts[name] = KeptChart(digest, len(texts[name]))
    new = _spliced(old, places, texts)
    is_new = any(text != old[places[name]] for name, text in texts.items())
    found = replace(kept, charts=charts, images={**kept.images, **images})
    changes = _changes(before, {name: text for name, (_, text) in after.items()})
    return Patch(
        Texts(output, old, new, changes["changed"]),
        new,
        is_new,
        _report(last.report, changes, found, rendered=len(after), written=is_new and not dry_run),
        found,
        names,
    )


@dataclass(frozen=True, slots=True)
class _Todo:
    """A chart to render, or the first resource of one whose others stay as they are."""

    chart: Chart
    rest: str = ""
    """The text of the others."""
    sources: str = ""
    """How the text of the first one is to end: with the sources that it watches, the last of its subscriptions."""

    @property
    def can_be_joined(self) -> bool:
        """Whether the sources can be written behind the first one: its subscriptions are the last that it says."""
        first = self.chart.documents[0]
        return not self.sources or ([*first][-1], [*first["spec"]][-1]) == ("spec", "subscriptions")


def _alone(chart: Chart, kept: KeptImage, old: str) -> _Todo | None:
    """Return the Warehouse that is planned anew, and what stays of the chart's text: its sources, and what follows.

    None where the text does not show where its sources begin.
    """
    first, _, rest = old.partition(f"\n{BREAK}")
    if not kept.watches_sources:
        return _Todo(chart, rest)
    first = f"{first}\n" if rest else first
    begin = _SOURCES.search(first)
    return None if begin is None else _Todo(chart, rest, first[begin.start() :])


def _rendered(todos: Sequence[_Todo | None], renderer: Renderer) -> dict[str, tuple[str, str]] | None:
    """Return each chart's digest and text by its name; None where a text cannot be put together."""
    if not todos:
        return {}
    waiting = [todo for todo in todos if todo is not None and todo.can_be_joined]
    if len(waiting) < len(todos):
        return None
    renderer.add([todo.chart for todo in waiting])
    found: dict[str, tuple[str, str]] = {}
    for todo, text in zip(waiting, renderer.finish(), strict=True):
        whole = text
        if todo.sources:
            column = todo.sources[: todo.sources.index("-")]
            if f"{column}- image:\n" not in text:
                return None
            whole = text.removesuffix("\n") + todo.sources
        # Part of a chart has a digest that no chart has, so that the next whole run renders all of it.
        found[todo.chart.name] = todo.chart.digest, f"{whole}{BREAK}{todo.rest}" if todo.rest else whole
    return found


def _changed_names(root: Path, settings: Settings, last: Recollection) -> tuple[str, ...] | None:
    """Return the images whose state files changed; None where anything else did."""
    state = root / settings.state_dir
    known = {str(state / IMAGES), str(state / BASE_IMAGES)}
    paths = [Path(path) for path in last.changed]
    if not all(str(path.parent) in known and path.suffix == ".yaml" for path in paths):
        return None
    return tuple(path.stem for path in paths)


def _plan(
    root: Path,
    settings: Settings,
    version: KargoVersion,
    names: tuple[str, ...],
    kept: KeptPlan,
    providers: Providers | None,
    *,
    alone: bool,
) -> Plan | None:
    """Return the plan of these images among all others; None where one of them cannot be read, or has gone."""
    images, bases = Store(root, settings).only(names)
    enrollments = [
        Enrollment.model_validate_json(image.enrollment)
        for name in names
        if (image := kept.images[name]).enrollment is not None
    ]
    enrolled = {entry.name for entry in enrollments}
    if any(name in images.broken or name in bases.broken for name in names):
        return None
    if any((name in bases.records) == (name in enrolled) for name in names):
        return None
    inventory = merge(
        enrollments,
        (images.records[name] for name in names if name in images.records),
        (bases.records[name] for name in names if name in bases.records),
    )
    return plan_image_charts(
        inventory,
        settings.kargo,
        version,
        providers=providers,
        folders=folders_inside(root, settings),
        author=settings.commit,
        others=[image.check for name, image in kept.images.items() if name not in names],
        alone=alone,
    )


def _by_name(plan: Plan) -> dict[str, Chart]:
    return {chart.name: chart for chart in plan.charts}


def _image(chart: Chart, plan: Plan, before: KeptImage, *, alone: bool) -> KeptImage:
    planned = plan.planned
    resources = tuple(map(resource_key, chart.documents))
    notes = tuple(note.message for note in planned.notes if note.item == chart.name)
    if alone:
        resources += before.resources[1:]
        notes = before.notes if set(notes) <= set(before.notes) else notes
    check = next(check for check in planned.checks if check.name == chart.name)
    return replace(
        before,
        check=check,
        interval=planned.intervals[chart.name],
        resources=resources,
        notes=notes,
        planned=warehouse_digest(chart.documents[0]),
    )


def _is_as_planned(images: Mapping[str, KeptImage], plan: Plan, kept: KeptPlan) -> bool:
    """Whether nothing but these charts' texts and their registries' traffic can differ."""
    if plan.planned.outcomes or plan.planned.pinned:
        return False
    for name, image in images.items():
        before = kept.images[name]
        if (image.notes, image.resources) != (before.notes, before.resources):
            return False
        if image.check.registry != before.check.registry:
            return False
    # Another time at which an image is known since may move others to other intervals.
    return all(
        plan.planned.intervals[name] == image.interval for name, image in kept.images.items() if name not in images
    )


def _places(old: bytes, kept: KeptPlan) -> dict[str, slice] | None:
    """Return where the text of each chart lies in the file, by its name, in their order; None where it cannot be so."""
    at = len(HEADER.encode())
    gap = len(BREAK.encode())
    places: dict[str, slice] = {}
    for name, chart in kept.charts.items():
        places[name] = slice(at, at + chart.size)
        at += chart.size + gap
    return places if at - gap == len(old) else None


def _spliced(old: bytes, places: Mapping[str, slice], texts: Mapping[str, bytes]) -> bytes:
    """Return the file with these texts in their charts' places."""
    if not texts:
        return old
    whole, at = memoryview(old), 0
    parts: list[bytes | memoryview] = []
    for name in sorted(texts, key=lambda name: places[name].start):
        parts += [whole[at : places[name].start], texts[name]]
        at = places[name].stop
    return b"".join([*parts, whole[at:]])


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {"added": [], "changed": [], "removed": []}
    for name, text in after.items():
        old, new = resources_of(before[name]), resources_of(text)
        found["added"] += new.keys() - old.keys()
        found["changed"] += (key for key in new.keys() & old.keys() if old[key] != new[key])
        found["removed"] += old.keys() - new.keys()
    return {word: tuple(sorted(keys)) for word, keys in found.items()}


def _report(
    last: Mapping[str, Any], changes: Mapping[str, tuple[str, ...]], plan: KeptPlan, *, rendered: int, written: bool
) -> dict[str, Any]:
    budgets = {
        of["registry"]: Budget(of["budget"], of["budgetFrom"]) for of in last["registries"] if of["budget"] is not None
    }
    intervals = {name: image.interval for name, image in plan.images.items()}
    found = traffic([image.check for image in plan.images.values()], intervals, budgets)
    return {
        **last,
        "written": written,
        "rendered": rendered,
        **{word: list(keys) for word, keys in changes.items()},
        "problems": with_traffic(last["problems"], found),
        "registries": traffic_report(found),
    }
