"""The use-case `synth` where only state files of a few images changed: those are planned, all else stays. I/O.

It answers None wherever it is not sure that a whole run would write the same bytes and report the same:
then a whole run is what is to be done. What it relies on was kept by the last run, of which it is known
that its file, its settings and all other files are as they were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from image_factory.model.enrollment import Enrollment
from image_factory.shell.regular_file import read_regular
from image_factory.shell.store import Store
from image_factory.state.layout import BASE_IMAGES, IMAGES, OUTPUT_FILE
from image_factory_synth.charts import Chart, plan_image_charts, resource_key
from image_factory_synth.data import merge
from image_factory_synth.kept_plan import KeptChart, KeptImage, KeptPlan
from image_factory_synth.rendered import replace_file
from image_factory_synth.report import traffic_report, with_traffic
from image_factory_synth.schedule import Budget, traffic
from image_factory_synth.synthesize import BREAK, HEADER, Texts, folders_inside, resources_of
from image_factory_synth.versions import KargoVersion

if TYPE_CHECKING:
    from image_factory.model.settings import Settings
    from image_factory.shell.run_memory import Recollection
    from image_factory_synth.charts import Plan
    from image_factory_synth.stages import Providers
    from image_factory_synth.synthesize import Renderer


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Patch:
    """What a run made of the last one's file."""

    texts: Texts
    report: dict[str, Any]
    plan: KeptPlan = field(repr=False)


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
    """Write what changes for the images whose state changed since the last run; None where that does not suffice.

    Args:
        last: what is remembered of that run.
        kept: what it planned.
        dry_run: write nothing.
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
    pieces = _pieces(old, kept)
    if pieces is None:
        return None
    before = {name: pieces[name].decode() for name in names}
    if alone:
        todos = [_alone(chart, before[chart.name]) for chart in plan.charts]
    else:
        todos = [_Todo(chart) for chart in plan.charts if chart.digest != kept.charts[chart.name].digest]
    after = _rendered(todos, renderer)
    if after is None:
        return None
    charts = dict(kept.charts)
    for name, (digest, text) in after.items():
        pieces[name] = text.encode()
        charts[name] = KeptChart(digest, len(pieces[name]))
    new = HEADER.encode() + BREAK.encode().join(pieces.values()) if after else old
    if new != old and not dry_run:
        replace_file(output, new)
    found = replace(kept, charts=charts, images={**kept.images, **images})
    changes = _changes(before, {name: text for name, (_, text) in after.items()})
    return Patch(
        Texts(output, old.decode(), new.decode(), changes["changed"]),
        _report(last.report, changes, found, rendered=len(after), written=new != old and not dry_run),
        found,
    )


@dataclass(frozen=True, slots=True)
class _Todo:
    """A chart to render, or the first resource of one whose others stay as they are."""

    chart: Chart
    rest: str = ""
    """The text of the others."""
    sources: str = ""
    """How the text of the first one ends, as it is to end again: with the sources that are watched."""


def _alone(chart: Chart, old: str) -> _Todo | None:
    """Return the Warehouse that is planned anew, with the sources that it watches; None where it is what it was."""
    first, _, rest = old.partition(f"\n{BREAK}")
    before = yaml.load(first, _Loader)  # noqa: S506 - both are safe loaders
    (planned,) = chart.documents
    subscriptions = [*planned["spec"]["subscriptions"], *before["spec"]["subscriptions"][1:]]
    after = {**planned, "spec": {**planned["spec"], "subscriptions": subscriptions}}
    if after == before:
        return None
    return _Todo(Chart(chart.name, (after,)), rest, _sources_of(f"{first}\n" if rest else first))


def _sources_of(text: str) -> str:
    _, found, sources = text.partition("\n    - git:\n")
    return found + sources


def _rendered(todos: Sequence[_Todo | None], renderer: Renderer) -> dict[str, tuple[str, str]] | None:
    """Return each chart's digest and text by its name; None where a text is not what it has to be."""
    waiting = [todo for todo in todos if todo is not None]
    if not waiting:
        return {}
    renderer.add([todo.chart for todo in waiting])
    found: dict[str, tuple[str, str]] = {}
    for todo, text in zip(waiting, renderer.finish(), strict=True):
        if _sources_of(text) != todo.sources and todo.sources:
            return None
        # Part of a chart has a digest that no chart has, so that the next whole run renders all of it.
        found[todo.chart.name] = todo.chart.digest, f"{text}{BREAK}{todo.rest}" if todo.rest else text
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
    return KeptImage(before.enrollment, check, planned.intervals[chart.name], resources, notes)


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


def _pieces(old: bytes, kept: KeptPlan) -> dict[str, bytes] | None:
    """Return the text of each chart of the file, by its name, in their order."""
    at = len(HEADER.encode())
    gap = len(BREAK.encode())
    pieces: dict[str, bytes] = {}
    for name, chart in kept.charts.items():
        pieces[name] = old[at : at + chart.size]
        at += chart.size + gap
    return pieces if at - gap == len(old) else None


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
