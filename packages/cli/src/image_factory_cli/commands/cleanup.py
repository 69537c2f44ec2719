"""`image-factory cleanup`: archive what is not used any more, and list, restore and prune the archive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from image_factory.errors import UserError
from image_factory.usecases.outcome import exit_code
from image_factory_cli.folder import folder_options, open_workbench
from image_factory_cli.image_names import complete_image
from image_factory_cli.logs import LogFormat
from image_factory_cli.metrics import metrics_option, record_metrics
from image_factory_cli.notices import notify_option, tell
from image_factory_cli.steps import Manner, Shown, show, step_options, write

if TYPE_CHECKING:
    from image_factory.usecases.cleanup import Cleanup, Listing
    from image_factory.usecases.commit import Committed

ACTIONS = ("list", "apply", "archive", "restore", "prune")
NAMED = ("archive", "restore")
"""Those that are about one image."""


@click.command(epilog="Example: image-factory cleanup --apply", options_metavar="[OPTIONS]")
@click.argument("action", type=click.Choice(ACTIONS), required=False)
@click.argument("image", required=False, shell_complete=complete_image)
@click.option("--apply", "is_applied", is_flag=True, help="Do what the list says: the same as the word apply.")
@click.option("--history-only", is_flag=True, help="With restore: take the archived history, and nothing else of it.")
@click.option("--older-than", metavar="DURATION", help="With prune: remove what was archived longer ago, such as 365d.")
@notify_option
@metrics_option
@step_options
@folder_options
def command(
    action: str | None,
    image: str | None,
    is_applied: bool,
    history_only: bool,
    older_than: str | None,
    notify: bool,
    metrics_file: Path | None,
    dry_run: bool,
    commit: bool,
    push: bool,
    as_json: bool,
    verbose: bool,
    directory: Path | None,
    log_format: LogFormat,
    log_level: str | None,
) -> int:
    """Archive what is not used any more. Without a word it lists what it would do, and what is archived.

    \b
    apply           archive images that are gone from images.yaml and base images that nothing is
                    built on, and remove holds that have ended (analyze --all archives them too)
    archive IMAGE   archive one of them alone
    restore IMAGE   take an enrolled image back from the archive, or its history alone
    prune           remove from the archive for good, with --older-than
    """
    from image_factory.usecases import cleanup as cleanups

    action = _action(action, is_applied=is_applied, dry_run=dry_run)
    _check(action, image, history_only=history_only, older_than=older_than)
    bench = open_workbench(directory, log_format, log_level)
    manner = Manner(commit, push, as_json, verbose, log_format == "json")
    if action == "list":
        return _list(cleanups.clean_up(bench), cleanups.list_archive(bench), manner)

    def decide() -> Cleanup:
        if action == "restore":
            return cleanups.restore(bench, image or "", history_only=history_only)
        if action == "prune":
            from image_factory.model.duration import parse_duration

            return cleanups.prune(bench, older_than=parse_duration(older_than or ""))
        return cleanups.clean_up(bench, image)

    return _carry_out(bench, action, decide, manner, dry_run=dry_run, metrics_file=metrics_file, notify=notify)


def _action(action: str | None, *, is_applied: bool, dry_run: bool) -> str:
    if action is None or action == "apply":
        if is_applied and dry_run:
            raise UserError("--apply and --dry-run together", hint="give one of them")
        return "apply" if is_applied or (action == "apply" and not dry_run) else "list"
    if is_applied:
        raise UserError(f"--apply with {action}", hint=f"image-factory cleanup {action} acts without it")
    return action


def _check(action: str, image: str | None, *, history_only: bool, older_than: str | None) -> None:
    if action in NAMED and image is None:
        raise UserError(f"{action} of what?", hint=f"image-factory cleanup {action} IMAGE")
    if action not in NAMED and image is not None:
        raise UserError(f"{action} takes no image", hint=f"image-factory cleanup archive {image} archives it alone")
    if history_only and action != "restore":
        raise UserError(f"--history-only with {action}", hint="it goes with restore")
    if (older_than is None) == (action == "prune"):
        raise UserError(
            "prune of what?" if older_than is None else f"--older-than with {action}",
            hint="image-factory cleanup prune --older-than 365d",
        )


def _carry_out(
    bench: Any, action: str, decide: Any, manner: Manner, *, dry_run: bool, metrics_file: Path | None, notify: bool
) -> int:
    from image_factory.decide.lifecycle import count_transitions
    from image_factory.usecases.commit import changed_names, until_settled
    from image_factory.usecases.lifecycle import log_transitions
    from image_factory.usecases.outcome import sentences
    from image_factory_cli.commands.analyze import transition_to_json

    def shown(done: Cleanup, committed: Committed | None) -> Shown:
        transitions = [transition_to_json(one) for one in done.transitions]
        return Shown(done.outcomes, done.changes, committed, done.problems, {"transitions": transitions})

    def work() -> tuple[Cleanup, Committed | None]:
        done = decide()
        if dry_run:
            return done, None
        verb = {"restore": "Restore", "prune": "Prune"}.get(action, "Clean up")
        return done, write(
            bench,
            done.changes,
            manner,
            subject=f"{verb} {changed_names(done.outcomes)}",
            body=sentences(done.outcomes),
            unpushed=lambda kept: show(shown(done, kept), manner, op="cleanup"),
        )

    done, committed = until_settled(work)
    if not dry_run:
        log_transitions(done.transitions)
        record_metrics(metrics_file, count_transitions(done.transitions))
    show(shown(done, committed), manner, op="cleanup")
    if notify and not dry_run:
        tell(bench, done.events)
    return exit_code(done.outcomes) or (3 if done.problems else 0)


def _list(planned: Cleanup, archive: Listing, manner: Manner) -> int:
    from image_factory.usecases.status import instant
    from image_factory_cli.render import outcome_to_json, report_problems, show_outcomes, show_table, write_json

    problems = (*planned.problems, *archive.problems)
    if manner.as_json:
        from image_factory_cli.render import error_to_json

        entries = [
            {
                "name": entry.name,
                "folder": entry.folder,
                "archivedAt": instant(entry.archived.at),
                "reason": entry.archived.reason,
                "path": str(entry.path),
            }
            for entry in archive.entries
        ]
        write_json(
            {
                "pending": [outcome_to_json(outcome) for outcome in planned.outcomes],
                "files": [str(change.path) for change in planned.changes],
                "archived": entries,
                "problems": [error_to_json(problem) for problem in problems],
            }
        )
    elif not manner.is_quiet:
        if planned.outcomes:
            show_outcomes(planned.outcomes)
            click.echo("nothing is moved yet: image-factory cleanup --apply")
        else:
            click.echo("nothing to archive")
        if archive.entries:
            click.echo()
            show_table(
                ("ARCHIVED", "WHAT", "AT", "REASON"),
                [
                    (entry.name, KINDS[entry.folder], instant(entry.archived.at) or "", entry.archived.reason)
                    for entry in archive.entries
                ],
            )
    report_problems(problems, op="cleanup", is_quiet=manner.is_quiet)
    return 3 if problems else 0


KINDS = {"images": "image", "base-images": "base image", "rebuild-requests": "request", "holds": "hold"}
"""What the records of a folder are called."""
