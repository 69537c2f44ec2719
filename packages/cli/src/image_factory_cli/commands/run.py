"""`image-factory run`: do all that is due, once or again and again."""

from __future__ import annotations

import os
import signal
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from image_factory.errors import RemoteError
from image_factory_cli.folder import folder_options, open_workbench
from image_factory_cli.logs import LogFormat
from image_factory_cli.metrics import metrics_option, record_metrics
from image_factory_cli.notices import notify_option
from image_factory_cli.render import error_to_json, outcome_to_json, report_problems, show_diff, write_json
from image_factory_cli.steps import show_commit, tell_who_starts

if TYPE_CHECKING:
    from types import FrameType

    from image_factory.usecases.commit import Committed
    from image_factory.usecases.run import Ran, Step

SHORTEST = timedelta(seconds=10)


@click.command(epilog="Example: image-factory run --push")
@click.option("--once", is_flag=True, help="Run once and end; this is the default.")
@click.option("--interval", metavar="DURATION", help="Run again and again, this long apart, such as 10m.")
@click.option("--dry-run", is_flag=True, help="Print the plan: ask, and write, start, push and tell nothing.")
@click.option("--jobs", type=click.IntRange(1, 64), default=8, show_default=True, help="Questions to ask at once.")
@click.option("--commit/--no-commit", default=True, show_default=True, help="Commit what is written.")
@click.option("--push", is_flag=True, help="Push before anything is started, and again after it.")
@notify_option
@metrics_option
@click.option("--json", "as_json", is_flag=True, help="Write what was done as JSON, one line a run.")
@click.option("-v", "--verbose", is_flag=True, help="List unchanged images too.")
@folder_options
def command(
    once: bool,
    interval: str | None,
    dry_run: bool,
    jobs: int,
    commit: bool,
    push: bool,
    notify: bool,
    metrics_file: Path | None,
    as_json: bool,
    verbose: bool,
    directory: Path | None,
    log_format: LogFormat,
    log_level: str | None,
) -> int:
    """See what moved, decide, start the rebuilds that are due, settle those that ended, and carry them on.

    Whatever it starts is written down, committed and pushed first, so that a run that is stopped at any
    instant is finished by the next one. As a process (--interval) it ends cleanly on SIGTERM and SIGINT:
    after the run that it is in. With `engine: kargo` it starts and carries nothing: Kargo does both.
    """
    from image_factory.usecases.run import Manner

    wait = _interval(interval, once=once, dry_run=dry_run)
    bench = open_workbench(directory, log_format, log_level)
    bench.images()  # an absent images.yaml is an error whatever else there is
    show = _Show(as_json=as_json, verbose=verbose, is_quiet=log_format == "json")
    tell_who_starts(bench, as_json or show.is_quiet)
    if dry_run:
        return _rehearse(bench, jobs, show)
    manner = Manner(
        jobs=jobs, commit=commit, push=push, notify=notify, environ=os.environ, unpushed=show.kept, said=show.step
    )
    if wait is None:
        return _once(bench, manner, show, metrics_file)
    return _again_and_again(bench, manner, show, wait, metrics_file)


class _Show:
    """How runs are shown."""

    def __init__(self, *, as_json: bool, verbose: bool, is_quiet: bool) -> None:
        self.as_json = as_json
        self.verbose = verbose
        self.is_quiet = is_quiet

    def step(self, step: Step) -> None:
        from image_factory_cli.render import show_outcomes

        if self.as_json or self.is_quiet:
            return
        shown = [outcome for outcome in step.outcomes if self.verbose or type(outcome).__name__ != "Skipped"]
        if shown:
            click.echo(click.style(step.name, bold=True))
            show_outcomes(shown, verbose=self.verbose)

    def kept(self, committed: Committed) -> None:
        if not self.as_json and not self.is_quiet and committed.commit:
            click.echo(f"committed {committed.commit[:12]}, not pushed")

    def end(self, ran: Ran, *, is_rehearsal: bool = False) -> None:
        if self.as_json:
            write_json(_to_json(ran, is_rehearsal=is_rehearsal))
        elif not self.is_quiet:
            for made in ran.commits:
                show_commit(made)
            is_idle = not any(type(outcome).__name__ != "Skipped" for outcome in ran.outcomes)
            if is_idle and not any(made.commit for made in ran.commits):
                click.echo("nothing to do")
            _show_waits(ran)
        report_problems(ran.problems, op="run", is_quiet=self.is_quiet)


def _once(bench: Any, manner: Any, show: _Show, metrics_file: Path | None) -> int:
    from image_factory.usecases.outcome import SOME_FAILED, exit_code
    from image_factory.usecases.run import run

    ran = run(bench, manner)
    show.end(ran)
    record_metrics(metrics_file, [sample for step in ran.steps for sample in step.samples])
    return exit_code(ran.outcomes) or (SOME_FAILED if ran.problems else 0)


def _rehearse(bench: Any, jobs: int, show: _Show) -> int:
    from dataclasses import replace

    from image_factory.usecases.outcome import SOME_FAILED, exit_code
    from image_factory.usecases.rehearsal import joined_changes, place_in_original, rehearsal
    from image_factory.usecases.run import Manner, rehearse

    with rehearsal(bench) as copy:
        ran = rehearse(copy, Manner(jobs=jobs, said=show.step))
        ran = replace(ran, changes=joined_changes(ran.changes, bench, copy))
        place_in_original(ran.problems, bench, copy)
    if not show.as_json and not show.is_quiet:
        show_diff(ran.changes)
    show.end(ran, is_rehearsal=True)
    return exit_code(ran.outcomes) or (SOME_FAILED if ran.problems else 0)


def _again_and_again(bench: Any, manner: Any, show: _Show, wait: timedelta, metrics_file: Path | None) -> int:
    """Run until a signal comes; what stands outside is waited for, and what is ours to correct ends it."""
    from image_factory_cli.group import show_error

    stop = threading.Event()

    def ask(signum: int, frame: FrameType | None) -> None:
        stop.set()

    before = {each: signal.signal(each, ask) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        while not stop.is_set():
            try:
                _once(bench, manner, show, metrics_file)
            except RemoteError as error:
                show_error(error)
            stop.wait(wait.total_seconds())
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    return 0


def _interval(text: str | None, *, once: bool, dry_run: bool) -> timedelta | None:
    from image_factory.errors import UserError
    from image_factory.model.duration import parse_duration

    if text is None:
        return None
    if once or dry_run:
        raise UserError(f"--interval with {'--once' if once else '--dry-run'}", hint="leave one of them out")
    wait = parse_duration(text)
    if wait < SHORTEST:
        raise UserError(f"--interval {text} is too short", hint="give 10s or more")
    return wait


def _show_waits(ran: Ran) -> None:
    """Say what waits, and for how long; what is up to date is not worth a line."""
    from image_factory.decide.eligibility import Reason
    from image_factory.usecases.outcome import Done

    calm = {Reason.UP_TO_DATE, Reason.DUE, Reason.OTHER_PLATFORM}
    # What was requested before was decided on before this run started it.
    started = {
        outcome.item
        for step in ran.steps
        if step.name == "dispatch"
        for outcome in step.outcomes
        if isinstance(outcome, Done)
    }
    decisions = [one for _, one in sorted(ran.plan.decisions.items()) if one.reason not in calm]
    waiting = [one for one in decisions if one.reason is not Reason.REQUESTED or one.image not in started]
    for decision in waiting:
        until = f" until {decision.until:%Y-%m-%d %H:%M} UTC" if decision.until is not None else ""
        click.echo(f"  {decision.image} {decision.reason}{until}: {decision.because}")


def _to_json(ran: Ran, *, is_rehearsal: bool) -> dict[str, Any]:
    from image_factory.usecases.status import instant

    return {
        "run": ran.id,
        "dryRun": is_rehearsal,
        "steps": [
            {"name": step.name, "outcomes": [outcome_to_json(one) for one in step.outcomes]} for step in ran.steps
        ],
        "decisions": [
            {
                "image": one.image,
                "reason": str(one.reason),
                "because": one.because,
                "until": instant(one.until),
                "blockedBy": list(one.blocked_by),
                "causes": [cause.model_dump(mode="json", by_alias=True, exclude_none=True) for cause in one.causes],
            }
            for _, one in sorted(ran.plan.decisions.items())
        ],
        "commits": [made.commit for made in ran.commits],
        "files": [str(change.path) for change in ran.changes],
        "notices": [
            {"notifier": each.notifier, "events": each.events, "delivered": each.error is None}
            for each in ran.deliveries
        ],
        "problems": [error_to_json(problem) for problem in ran.problems],
        "nextAt": instant(ran.next_at),
    }
