"""`image-factory emergency`: rebuild what a vulnerability concerns at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from image_factory.errors import VerificationError
from image_factory.usecases.outcome import SOME_FAILED, Failed, exit_code
from image_factory_cli.folder import folder_options, open_workbench
from image_factory_cli.logs import LogFormat
from image_factory_cli.metrics import metrics_option, record_metrics
from image_factory_cli.notices import notify_option
from image_factory_cli.render import (
    error_to_json,
    outcome_to_json,
    report_problems,
    show_diff,
    show_outcomes,
    write_json,
)
from image_factory_cli.steps import show_commit

if TYPE_CHECKING:
    from image_factory.usecases.commit import Committed
    from image_factory.usecases.emergency import Emergency


@click.command(
    epilog="Example: image-factory emergency --cve CVE-2026-12345 --base node:22 --reason exploited --dry-run"
)
@click.option("--cve", required=True, metavar="ID", help="The vulnerability: CVE-YYYY-NNNN or GHSA-xxxx-xxxx-xxxx.")
@click.option("--base", metavar="REF", help="Rebuild all managed images built on this, directly or through others.")
@click.option("--digest-range", metavar="FROM..TO", help="Of --base: only what holds one of these digests.")
@click.option("--images", metavar="A,B", help="Rebuild these managed images.")
@click.option("--reason", required=True, metavar="TEXT", help="Why it cannot wait; it is kept in the audit log.")
@click.option("--rebuild-anyway", is_flag=True, help="Rebuild also where no fixed digest is known, or it was done.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and write nothing.")
@click.option("--commit/--no-commit", default=True, show_default=True, help="Commit what is written, in one commit.")
@click.option("--push", is_flag=True, help="Push the commit, with rebase and retry.")
@notify_option
@metrics_option
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
@folder_options
def command(
    cve: str,
    base: str | None,
    digest_range: str | None,
    images: str | None,
    reason: str,
    rebuild_anyway: bool,
    dry_run: bool,
    commit: bool,
    push: bool,
    notify: bool,
    metrics_file: Path | None,
    as_json: bool,
    directory: Path | None,
    log_format: LogFormat,
    log_level: str | None,
) -> int:
    """Rebuild at once what a vulnerability concerns: no delay, no window, no freeze.

    The requests are written for the next run to dispatch. Who may is said in config.yaml under
    `emergency`; who it is must be vouched for, by the CI's OIDC token or by git's SSH key. Each
    order, refused ones too, is an entry of the audit log.
    """
    from image_factory.decide.orders import parse_order
    from image_factory.shell.http import HttpClient
    from image_factory.usecases.emergency import carry_out, identify_actor, order_emergency, tell_people

    order = parse_order(
        cve=cve,
        reason=reason,
        base=base,
        digest_range=digest_range,
        images=(images or "").split(","),
        anyway=rebuild_anyway,
    )
    bench: Any = open_workbench(directory, log_format, log_level)
    bench.images()  # an absent images.yaml is an error before anybody is asked
    with HttpClient(bench.settings, bench.clock) as http:
        identity = identify_actor(bench, order, http=http, environ=os.environ)
    is_quiet = log_format == "json"

    def show(found: Emergency, committed: Committed | None) -> None:
        if as_json:
            write_json(to_json(found, committed))
        elif not is_quiet:
            _show(bench, found, committed)
        report_problems(found.problems, op="emergency", is_quiet=is_quiet)

    found: Emergency
    committed: Committed | None
    if dry_run:
        found, committed = order_emergency(bench, order, identity), None
    else:
        found, committed = carry_out(
            bench, order, identity, is_told=notify, commit=commit, push=push, environ=os.environ, unpushed=show
        )
    show(found, committed)
    if dry_run and not as_json and not is_quiet:
        show_diff(found.changes)
    if not dry_run:
        record_metrics(metrics_file, found.samples)
        tell_people(bench, found, commit=commit, push=push, environ=os.environ)
    if found.refusal is not None:
        raise found.refusal
    return _exit_code(found)


def _exit_code(found: Emergency) -> int:
    failed = [outcome for outcome in found.outcomes if isinstance(outcome, Failed)]
    if failed and len(failed) == len(found.outcomes):
        return VerificationError.exit_code  # a hold, or that there is no fix yet, has refused all of it
    code = exit_code(found.outcomes)
    # What cannot be read may be concerned. That the log is broken holds up no emergency.
    unread = [problem for problem in found.problems if not isinstance(problem, VerificationError)]
    return SOME_FAILED if unread and code == 0 else code


def _show(bench: Any, found: Emergency, committed: Committed | None) -> None:
    if found.refusal is not None:
        return
    if found.plan.affected:
        show_outcomes(found.outcomes, verbose=True)
    else:
        what = found.order.base or ""
        click.echo(f"no managed image holds {'an affected digest of ' if found.order.digest_range else ''}{what}")
    if found.alarm:
        click.echo(f"{click.style('alarm:', fg='red')} {found.alarm}", err=True)
    if committed is None:
        return
    if found.entry is not None:
        click.echo(f"written to the audit log as {found.entry.id}")
    show_commit(committed, is_expected=bool(found.changes))
    if found.requests and bench.settings.starts_builds:
        click.echo("the next `image-factory run` dispatches them")
    elif found.requests:
        click.echo("Kargo starts them, once they are pushed")
        enrolled = {entry.enrollment.name: entry.enrollment for entry in bench.images().enrollments}
        waiting = [one.name for one in found.requests if one.name in enrolled and not enrolled[one.name].auto_rebuild]
        if waiting:
            click.echo(f"to be promoted there by a person, since autoRebuild is false: {', '.join(waiting)}")


def to_json(found: Emergency, committed: Committed | None) -> dict[str, Any]:
    """Return an order and what it comes to as JSON data."""
    return {
        "cve": found.order.cve,
        "reason": found.order.reason,
        "actor": found.identity.actor,
        "identity": str(found.identity.kind),
        "granted": found.authorization.is_granted,
        "because": found.authorization.because,
        "affected": list(found.plan.affected),
        "requests": [
            request.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
            for request in found.requests
        ],
        "outcomes": [outcome_to_json(outcome) for outcome in found.outcomes],
        "audit": None if found.entry is None or committed is None else found.entry.id,
        "recent": found.recent,
        "alarm": found.alarm or None,
        "files": [str(change.path) for change in found.changes],
        "commit": None if committed is None else committed.commit,
        "problems": [error_to_json(problem) for problem in found.problems],
    }
