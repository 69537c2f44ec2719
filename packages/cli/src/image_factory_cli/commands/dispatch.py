"""`image-factory dispatch`: start the builds that are requested."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from image_factory.usecases.outcome import Done, Outcome, exit_code
from image_factory_cli.folder import folder_options
from image_factory_cli.image_names import complete_image
from image_factory_cli.logs import LogFormat
from image_factory_cli.notices import notify_option, tell
from image_factory_cli.render import error_to_json, report_warnings
from image_factory_cli.steps import Manner, Shown, show, step_options, tell_who_starts, write

if TYPE_CHECKING:
    from image_factory.model.request import RebuildRequest
    from image_factory.usecases.commit import Committed
    from image_factory.usecases.dispatch import Claimed, Dispatched


@click.command(epilog="Example: image-factory dispatch --push")
@click.argument("images", nargs=-1, metavar="[IMAGE]...", shell_complete=complete_image)
@click.option("--jobs", type=click.IntRange(1, 64), default=8, show_default=True, help="Builds to start at once.")
@notify_option
@step_options
@folder_options
def command(
    images: tuple[str, ...],
    jobs: int,
    notify: bool,
    dry_run: bool,
    commit: bool,
    push: bool,
    as_json: bool,
    verbose: bool,
    directory: Path | None,
    log_format: LogFormat,
    log_level: str | None,
) -> int:
    """Start the builds that are requested, of the IMAGEs named or of all, each exactly once.

    What is to be started is written, and pushed where that is wanted, before any provider is called, so
    that no other run starts it too and a run that is killed is finished by the next one.
    """
    from image_factory.usecases.commit import changed_names, until_settled
    from image_factory.usecases.dispatch import claim, dispatch, record
    from image_factory.usecases.outcome import sentences
    from image_factory.usecases.requests import require_images
    from image_factory.usecases.run_id import new_run_id
    from image_factory_cli.folder import open_workbench

    bench = open_workbench(directory, log_format, log_level)
    require_images(bench, images)
    manner = Manner(commit, push, as_json, verbose, log_format == "json")
    tell_who_starts(bench, manner.as_json or manner.is_quiet)
    by = new_run_id(bench.clock.now())
    if dry_run:
        planned = claim(bench, by, images)
        outcomes = _in_order((*planned.outcomes, *_would_start(planned)))
        show(
            Shown(outcomes, more={"starts": [_to_json(request) for request in planned.requests]}), manner, op="dispatch"
        )
        return exit_code(outcomes)

    def intend() -> Claimed:
        claimed = claim(bench, by, images)
        names = ", ".join(request.name for request in claimed.requests[:4]) or changed_names(claimed.outcomes)
        lines = [*(f"{request.name}: request {request.request_id}" for request in claimed.requests)]
        write(bench, claimed.changes, manner, subject=f"Claim {names}", body=lines)
        return claimed

    claimed = until_settled(intend)
    started = dispatch(bench, by, images, jobs=jobs) if claimed.requests else None
    outcomes = _in_order((*claimed.outcomes, *(started.outcomes if started else ())))

    def finish() -> tuple[Dispatched | None, Committed | None]:
        if started is None:
            return None, None
        recorded = record(bench, started)
        subject = f"Dispatch {changed_names(recorded.outcomes)}"
        return recorded, write(bench, recorded.changes, manner, subject=subject, body=sentences(recorded.outcomes))

    recorded, committed = until_settled(finish)
    changes = (*claimed.changes, *(recorded.changes if recorded else ()))
    more = {
        "requests": [_to_json(request) for request in (started.requests if started else ())],
        "warnings": [error_to_json(warning) for warning in (started.warnings if started else ())],
    }
    if not as_json:
        report_warnings(started.warnings if started else (), op="dispatch", is_quiet=manner.is_quiet)
    show(Shown(outcomes, changes if committed else (), committed, more=more), manner, op="dispatch")
    if notify:
        tell(bench, (*claimed.events, *(started.events if started else ())))
    return exit_code(outcomes)


def _would_start(claimed: Claimed) -> tuple[Outcome, ...]:
    return tuple(
        Done(request.name, (f"would be started ({request.request_id}, attempt {request.dispatch.attempt})",))
        for request in claimed.requests
        if request.dispatch is not None
    )


def _in_order(outcomes: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
    return tuple(sorted(outcomes, key=lambda outcome: outcome.item))


def _to_json(request: RebuildRequest) -> dict[str, object]:
    """Return a request as JSON data, as its file has it."""
    data: dict[str, object] = request.model_dump(mode="json", by_alias=True, exclude_none=True)
    return data
