"""List the build runs of an image, and start one again. Asks the provider; writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from image_factory.errors import Conflict, UserError
from image_factory.ports import BuildRun, RunStatus
from image_factory.usecases.status import instant
from image_factory.usecases.trigger import build_request
from image_factory.usecases.workbench import Workbench
from image_factory.usecases.workflow import managed_enrollment

PAGE_SIZE = 20


@dataclass(frozen=True, slots=True)
class Runs:
    """One page of an image's runs, newest first."""

    image: str
    workflow: str | None
    """The workflow's file; None where the provider has one pipeline a project."""
    ref: str
    page: int
    page_size: int
    runs: tuple[BuildRun, ...]

    @property
    def builds_by(self) -> str:
        """What the runs are of, as people call it: `web.yml`, or `the pipeline on main`."""
        return self.workflow or f"the pipeline on {self.ref}"

    @property
    def has_more(self) -> bool:
        """Whether there may be a further page: a full one may be the last."""
        return len(self.runs) == self.page_size


def list_runs(bench: Workbench, image: str, *, page: int = 1, page_size: int = PAGE_SIZE) -> Runs:
    """Return one page of the runs of the image's own workflow, newest first.

    Raises:
        NotFound, Conflict: `image` is not enrolled, or external.
        UnknownPlugin: no plugin starts builds at its provider.
        UserError: there is no such page.
        RemoteError: what the provider answers.
    """
    if page < 1 or not 1 <= page_size <= 100:
        raise UserError(f"no page {page} of {page_size} runs", hint="pages count from 1, and hold 1 to 100 runs")
    trigger, request = build_request(bench, managed_enrollment(bench, image))
    runs: Sequence[BuildRun] = trigger.runs(request, page=page, page_size=page_size)
    newest_first = sorted(runs, key=lambda run: run.created_at, reverse=True)
    return Runs(image, request.workflow or None, request.ref, page, page_size, tuple(newest_first))


def rerun(bench: Workbench, image: str, run_id: str, *, dry_run: bool = False) -> BuildRun:
    """Start a finished run of the image again, and return it as it was before.

    Raises:
        Conflict: the run has not ended yet.
        RemoteNotFound: there is no such run of the image's workflow.
        AuthenticationRequired: the token may not start it.
    """
    trigger, request = build_request(bench, managed_enrollment(bench, image))
    run = trigger.run(request, run_id)
    if run.status in (RunStatus.QUEUED, RunStatus.RUNNING):
        raise Conflict(f"run {run.id} of {image} is {run.status}", hint=f"wait until it has ended: {run.url}")
    if not dry_run:
        trigger.rerun(request, run_id)
    return run


def relative_time(at: datetime, now: datetime) -> str:
    """Return how long ago an instant was, in its largest whole unit: `3 hours ago`."""
    ago = now - at
    for unit, length in (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1))):
        count = ago // length
        if count >= 1:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def run_to_json(run: BuildRun) -> dict[str, Any]:
    """Return one run as JSON data."""
    return {
        "id": run.id,
        "status": str(run.status),
        "sha": run.sha,
        "ref": run.ref,
        "title": run.title,
        "message": run.message,
        "commitTitle": run.commit_title,
        "createdAt": instant(run.created_at),
        "updatedAt": instant(run.updated_at),
        "url": run.url,
    }
