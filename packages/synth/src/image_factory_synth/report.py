"""What a run of `synth` has to say, as plain values: what is printed, and what `--json` writes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from image_factory.usecases.outcome import SOME_FAILED

if TYPE_CHECKING:
    from image_factory.errors import ImageFactoryError, Location
    from image_factory_synth.schedule import Traffic
    from image_factory_synth.synthesize import Synthesis

Report = dict[str, Any]
FAILED, BROKEN, SKIPPED, NOTED, EXCESS = "failed", "unreadable", "skipped", "noted", "excess"
"""What a problem is: an image that failed, a state file, an image without a Warehouse, a thing done otherwise,
more requests than a registry takes."""


def report(synthesis: Synthesis, *, written: bool) -> Report:
    """Return the report of a run."""
    return {
        "output": str(synthesis.output),
        "kargoVersion": str(synthesis.version),
        "written": written and synthesis.old != synthesis.new,
        "resources": synthesis.resources,
        "rendered": synthesis.rendered,
        "added": list(synthesis.added),
        "changed": list(synthesis.changed),
        "removed": list(synthesis.removed),
        "pinned": list(synthesis.pinned),
        "problems": list(_problems(synthesis)),
        "registries": traffic_report(synthesis.traffic),
    }


def traffic_report(traffic: Iterable[Traffic]) -> list[dict[str, Any]]:
    """Return what each registry is asked, as plain values."""
    return [
        {
            "registry": of.registry,
            "warehouses": of.warehouses,
            "requestsPerDay": of.requests_per_day,
            "budget": of.budget and of.budget.per_day,
            "budgetFrom": of.budget and of.budget.origin,
            "excess": of.excess,
        }
        for of in traffic
    ]


def with_traffic(problems: Iterable[Mapping[str, Any]], traffic: Iterable[Traffic]) -> list[Mapping[str, Any]]:
    """Return the problems of a report with those of this traffic in place of its own."""
    return [*(problem for problem in problems if problem["kind"] != EXCESS), *_excesses(traffic)]


def unchanged(last: Mapping[str, Any]) -> Report:
    """Return the report of a run that found everything as `last` left it."""
    return {**last, "written": False, "rendered": 0, "added": [], "changed": [], "removed": []}


def exit_code(found: Mapping[str, Any], *, strict: bool) -> int:
    """Return 3 where an image failed, or with `strict` where anything else was left out; 0 otherwise."""
    counted = {FAILED, BROKEN, SKIPPED} if strict else {FAILED}
    return SOME_FAILED if any(problem["kind"] in counted for problem in found["problems"]) else 0


def _problems(synthesis: Synthesis) -> Iterator[dict[str, Any]]:
    for error in synthesis.failures:
        yield _error(FAILED, None, error)
    for failed in synthesis.refused:
        yield _error(FAILED, failed.item, failed.error)
    for name, error in synthesis.broken.items():
        yield _error(BROKEN, name, error)
    for skipped in synthesis.skipped:
        yield _problem(
            SKIPPED, skipped.item, f"{skipped.item}: {skipped.reason}", at=synthesis.places.get(skipped.item)
        )
    for note in synthesis.notes:
        yield _problem(NOTED, note.item, f"{note.item}: {note.message}", at=synthesis.places.get(note.item))
    yield from _excesses(synthesis.traffic)


def _excesses(traffic: Iterable[Traffic]) -> Iterator[dict[str, Any]]:
    for of in traffic:
        if of.excess and of.budget is not None:
            yield _problem(
                EXCESS,
                None,
                f"{of.registry}: {of.requests_per_day} requests a day, {of.excess} more than its"
                f" {of.budget.per_day} (so says {of.budget.origin})",
                hint=f"watch through a mirror, or log in and raise registries.{of.registry}.requestsPerDay",
            )


def _error(kind: str, image: str | None, error: ImageFactoryError) -> dict[str, Any]:
    return _problem(kind, image, error.message, hint=error.hint, at=error.location)


def _problem(
    kind: str, image: str | None, message: str, *, hint: str = "", at: Location | None = None
) -> dict[str, Any]:
    place = {"file": at and at.file, "line": at and at.line}
    return {"kind": kind, "image": image, "message": message, "hint": hint, **place}
