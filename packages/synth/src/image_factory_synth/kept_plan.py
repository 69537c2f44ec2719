"""What the last run planned for each image, kept beside the folder, so that one that changed is planned alone. I/O.

It belongs to one run and to the file that this run wrote: where each chart's text lies in that file is part
of it. It may be deleted at any time; one that is damaged, or of another run, is none.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from image_factory.shell.folder import own_folder
from image_factory.state.images_yaml import ImagesFile
from image_factory_synth.charts import Plan, resource_key
from image_factory_synth.rendered import CACHE, replace_file
from image_factory_synth.schedule import Check

FIRST_CHART = ":first"
"""The name of the chart before all images', which is no image's."""
_FILE = "plan.json"
_FORMAT = 1
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
        )
    return found


def load_plan(root: Path) -> KeptPlan | None:
    """Return what was kept; None where that is nothing that can be read."""
    try:
        kept = json.loads((root / CACHE / _FILE).read_bytes())
        if kept["format"] != _FORMAT:
            return None
        return KeptPlan(
            kept["renderer"],
            kept["takenAt"],
            {name: KeptChart(digest, size) for name, digest, size in kept["charts"]},
            {name: _image(name, row) for name, row in kept["images"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def save_plan(root: Path, plan: KeptPlan, taken_at: int) -> None:
    """Keep the plan of the run that looked at its files then; nothing where the folder cannot be written to."""
    record = {
        "format": _FORMAT,
        "renderer": plan.renderer,
        "takenAt": taken_at,
        "charts": [[name, chart.digest, chart.size] for name, chart in plan.charts.items()],
        "images": {name: _row(image) for name, image in plan.images.items()},
    }
    with contextlib.suppress(OSError):
        own_folder(root)
        (root / CACHE).mkdir(parents=True, exist_ok=True)
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        replace_file(root / CACHE / _FILE, text, durable=False)


def _row(image: KeptImage) -> Sequence[object]:
    check = image.check
    known_since = None if check.known_since is None else check.known_since.isoformat()
    return (
        image.enrollment,
        (check.registry, check.interval // _MICROSECOND, check.requests, known_since),
        image.interval // _MICROSECOND,
        image.resources,
        image.notes,
    )


def _image(name: str, row: Sequence[Any]) -> KeptImage:
    enrollment, (registry, least, requests, known_since), interval, resources, notes = row
    check = Check(
        name=name,
        registry=registry,
        interval=least * _MICROSECOND,
        requests=requests,
        known_since=None if known_since is None else datetime.fromisoformat(known_since),
    )
    return KeptImage(enrollment, check, interval * _MICROSECOND, tuple(resources), tuple(notes))
