"""`image-factory hold`: stop rebuilds of an image, or with a digest, for a while."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from image_factory.errors import UserError
from image_factory_cli.folder import folder_options, open_workbench
from image_factory_cli.image_names import complete_image
from image_factory_cli.logs import LogFormat
from image_factory_cli.steps import Manner, Shown, show, step_options, write

if TYPE_CHECKING:
    from image_factory.usecases.commit import Committed
    from image_factory.usecases.hold import Held
    from image_factory.usecases.workbench import Workbench


@click.command(epilog="Example: image-factory hold backstage --until 7d --reason 'a release is being made'")
@click.argument("subject", metavar="[IMAGE|DIGEST]", required=False, shell_complete=complete_image)
@click.option("--reason", metavar="TEXT", help="Why; everyone who meets the hold is shown it.")
@click.option("--until", metavar="WHEN", help="When it ends by itself: 2026-12-24, or 7d from now. [default: never]")
@click.option("--release", "is_release", is_flag=True, help="End a hold.")
@click.option("--list", "is_list", is_flag=True, help="List the holds. The default without IMAGE or DIGEST.")
@step_options
@folder_options
def command(
    subject: str | None,
    reason: str | None,
    until: str | None,
    is_release: bool,
    is_list: bool,
    dry_run: bool,
    commit: bool,
    push: bool,
    as_json: bool,
    verbose: bool,
    directory: Path | None,
    log_format: LogFormat,
    log_level: str | None,
) -> int:
    """Let IMAGE not be rebuilt, or nothing be built with DIGEST, until it is released or its time is over.

    Not even an emergency passes a hold. One that has ended is listed as ended until
    `image-factory cleanup --apply` removes it.
    """
    if subject is None or is_list:
        given = [
            name for name, value in {"--reason": reason, "--until": until, "--release": is_release}.items() if value
        ]
        if given or (subject is not None and is_list):
            raise UserError(
                f"{given[0] if given else '--list'} {'without' if subject is None else 'with'} an image or a digest",
                hint="image-factory hold IMAGE --reason TEXT",
            )
    elif is_release and (reason or until):
        raise UserError("--release with --reason or --until", hint="a hold ends at once where it is released")
    elif not is_release and reason is None:
        raise UserError("--reason is missing", hint="say why: everyone who meets the hold is shown it")
    bench = open_workbench(directory, log_format, log_level)
    manner = Manner(commit, push, as_json, verbose, log_format == "json")
    if subject is None:
        return _list(bench, manner)
    return _hold(bench, subject, manner, reason=reason, until=until, is_release=is_release, dry_run=dry_run)


def _hold(
    bench: Workbench,
    subject: str,
    manner: Manner,
    *,
    reason: str | None,
    until: str | None,
    is_release: bool,
    dry_run: bool,
) -> int:
    from image_factory.shell.actor import find_actor
    from image_factory.usecases.commit import changed_names, until_settled
    from image_factory.usecases.hold import hold, parse_until, release
    from image_factory.usecases.outcome import sentences

    def decide() -> Held:
        if is_release:
            return release(bench, subject)
        end = None if until is None else parse_until(until, bench.clock.now().replace(microsecond=0))
        by = find_actor(os.environ, bench.root) or ""
        return hold(bench, subject, reason=reason or "", until=end, by=by)

    def work() -> tuple[Held, Committed | None]:
        held = decide()
        if dry_run:
            return held, None
        return held, write(
            bench,
            held.changes,
            manner,
            subject=f"{'Release' if is_release else 'Hold'} {changed_names(held.outcomes)}",
            body=sentences(held.outcomes),
            unpushed=lambda kept: show(Shown(held.outcomes, held.changes, kept), manner, op="hold"),
        )

    held, committed = until_settled(work)
    show(Shown(held.outcomes, held.changes, committed), manner, op="hold")
    return 0


def _list(bench: Workbench, manner: Manner) -> int:
    from image_factory.usecases.hold import read_holds
    from image_factory.usecases.status import instant
    from image_factory_cli.render import error_to_json, report_problems, show_table, write_json

    holds, problems = read_holds(bench)
    if manner.as_json:
        listed = [
            {**one.hold.model_dump(mode="json", by_alias=True, exclude_none=True), "ended": one.is_ended}
            for one in holds
        ]
        write_json({"holds": listed, "problems": [error_to_json(problem) for problem in problems]})
    elif not manner.is_quiet:
        if holds:
            rows = [
                (
                    one.subject,
                    "ended" if one.is_ended else "held",
                    instant(one.hold.until) or "released",
                    one.hold.by or "-",
                    one.hold.reason,
                )
                for one in holds
            ]
            show_table(("HELD", "STATE", "UNTIL", "BY", "REASON"), rows)
        else:
            click.echo("nothing is held")
    report_problems(problems, op="hold", is_quiet=manner.is_quiet)
    return 3 if problems else 0
