"""What the last run planned for each image, kept beside the folder, so that one that changed is planned alone. I/O.

It belongs to one run and to the file that this run wrote: where each chart's text lies in that file is part
of it. What changed since a plan was kept whole is kept beside it, so that a run that planned one image writes
little. All may be deleted at any time; what is damaged, or of another run, is none.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from image_factory.shell.folder import own_folder
from image_factory_synth.charts import Chart, Plan, resource_key
from image_factory_synth.fields import Document
from image_factory_synth.rendered import CACHE, replace_file
from image_factory_synth.schedule import Check

if TYPE_CHECKING:
    from image_factory.state.images_yaml import ImagesFile

FIRST_CHART = ":first"
"""The name of the chart before all images', which is no image's."""
_FILE = "plan.json"
_CHANGED = "plan-changed.json"
MAX_CHANGED = 100
"""Images that are kept beside a whole plan, before all are kept anew."""
_FORMAT = 2
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class KeptImage:
    """One image's chart and what it was made from, beside its state."""

    enrollment: str | None
    """As JSON; None for a base image."""
    check: Check
    interval: timedelta
    """How often its Warehouse really looks."""
    resources: tuple[str, ...]
    """Kinds and names, such as `Warehouse/web`."""
    notes: tuple[str, ...]
    planned: str
    """The digest of its Warehouse without the sources that it watches (`warehouse_digest`)."""
    watches_sources: bool
    """Whether it watches any."""


@dataclass(frozen=True, slots=True)
class KeptChart:
    """A chart as it stands in the file."""

    digest: str
    size: int
    """Bytes of its text."""


@dataclass(frozen=True, slots=True)
class KeptPlan:
    """All of it."""

    renderer: str
    taken_at: int
    """Which run it is of (`run_memory.Recollection.taken_at`)."""
    charts: Mapping[str, KeptChart]
    """By the chart's name, in the order of the file."""
    images: Mapping[str, KeptImage]
    """By name."""
    whole: int = 0
    """The run of which a plan is kept whole."""
    since: tuple[str, ...] = ()
    """The images that were planned anew since."""


def kept_images(plan: Plan, said: ImagesFile) -> dict[str, KeptImage]:
    """Return what is to be kept of each image that has a Warehouse."""
    enrollments = {entry.enrollment.name: entry.enrollment for entry in said.enrollments}
    charts = {chart.name: chart for chart in plan.charts[1:]}
    notes: dict[str, list[str]] = {}
    for note in plan.planned.notes:
        notes.setdefault(note.item, []).append(note.message)
    found: dict[str, KeptImage] = {}
    for check in plan.planned.checks:
        enrollment = enrollments.get(check.name)
        found[check.name] = KeptImage(
            # As records of state are kept, which hold enrollments, too.
            None if enrollment is None else enrollment.model_dump_json(by_alias=True, exclude_defaults=True),
            check,
            plan.planned.intervals[check.name],
            tuple(map(resource_key, charts[check.name].documents)),
            tuple(notes.get(check.name, ())),
            warehouse_digest(charts[check.name].documents[0]),
            len(charts[check.name].documents[0]["spec"]["subscriptions"]) > 1,
        )
    return found


def warehouse_digest(document: Document) -> str:
    """Return what tells a Warehouse from others by all but its sources, the subscriptions behind the first."""
    subscriptions = document["spec"]["subscriptions"][:1]
    return Chart("", ({**document, "spec": {**document["spec"], "subscriptions": subscriptions}},)).digest


def load_plan(root: Path) -> KeptPlan | None:
    """Return what was kept; None where that is nothing that can be read."""
    try:
        kept = json.loads((root / CACHE / _FILE).read_bytes())
        if kept["format"] != _FORMAT:
            return None
        renderer, taken_at, whole = kept["renderer"], kept["takenAt"], kept["takenAt"]
        rows = [kept["charts"], kept["images"]]
        since: tuple[str, ...] = ()
        changed = _changed(root)
        if changed is not None and (changed["whole"], changed["renderer"]) == (whole, renderer):
            taken_at, since = changed["takenAt"], tuple(changed["images"])
            rows = [{**charts, **new} for charts, new in zip(rows, (changed["charts"], changed["images"]), strict=True)]
        return KeptPlan(
            renderer,
            taken_at,
            {name: KeptChart(*row) for name, row in rows[0].items()},
            {name: _image(name, row) for name, row in rows[1].items()},
            whole,
            since,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _changed(root: Path) -> dict[str, Any] | None:
    try:
        changed: dict[str, Any] = json.loads((root / CACHE / _CHANGED).read_bytes())
    except FileNotFoundError:
        return None
    return changed


def save_plan(root: Path, plan: KeptPlan, taken_at: int, changed: Sequence[str] | None = None) -> None:
    """Keep the plan of the run that looked at its files then; nothing where the folder cannot be written to.

    Args:
        changed: the images that this run planned anew, where all else of it was kept; None where that is all.
    """
    since = None if changed is None else sorted({*plan.since, *changed})
    if since is not None and len(since) > MAX_CHANGED:
        since = None
    record: dict[str, object] = {"renderer": plan.renderer, "takenAt": taken_at}
    if since is None:
        record |= {"format": _FORMAT, **_rows(plan, list(plan.charts), list(plan.images))}
    else:
        record |= {"whole": plan.whole, **_rows(plan, since, since)}
    with contextlib.suppress(OSError):
        own_folder(root)
        (root / CACHE).mkdir(parents=True, exist_ok=True)
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        replace_file(root / CACHE / (_FILE if since is None else _CHANGED), text, may_be_missing=True)
        if since is None:
            (root / CACHE / _CHANGED).unlink(missing_ok=True)


def _rows(plan: KeptPlan, charts: Sequence[str], images: Sequence[str]) -> dict[str, object]:
    return {
        "charts": {name: (plan.charts[name].digest, plan.charts[name].size) for name in charts},
        "images": {name: _row(plan.images[name]) for name in images},
    }


def _row(image: KeptImage) -> Sequence[object]:
    check = image.check
    known_since = None if check.known_since is None else check.known_since.isoformat()
    return (
        image.enrollment,
        (check.registry, check.interval // _MICROSECOND, check.requests, known_since),
        image.interval // _MICROSECOND,
        image.resources,
        image.notes,
        image.planned,
        image.watches_sources,
    )


def _image(name: str, row: Sequence[Any]) -> KeptImage:
    enrollment, (registry, least, requests, known_since), interval, resources, notes, planned, watches_sources = row
    check = Check(
        name=name,
        registry=registry,
        interval=least * _MICROSECOND,
        requests=requests,
        known_since=None if known_since is None else datetime.fromisoformat(known_since),
    )
    return KeptImage(
        enrollment, check, interval * _MICROSECOND, tuple(resources), tuple(notes), planned, watches_sources
    )
