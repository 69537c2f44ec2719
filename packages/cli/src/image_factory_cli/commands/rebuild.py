"""`image-factory rebuild`: order a rebuild of an image, or approve the one that waits."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from image_factory.decide.build_inputs import BUMPS
from image_factory.errors import ImageFactoryError
from image_factory.usecases.outcome import Failed
from image_factory_cli.folder import folder_options, open_workbench
from image_factory_cli.image_names import complete_image
from image_factory_cli.logs import LogFormat
from image_factory_cli.notices import notify_option, tell
from image_factory_cli.render import error_to_json, report_warnings, write_json
from image_factory_cli.steps import show_commit

if TYPE_CHECKING:
    from image_factory.usecases.rebuild import Order
    from image_factory.usecases.workbench import Workbench


@click.command(epilog="Example: image-factory rebuild backstage --dry-run")
@click.argument("image", shell_complete=complete_image)
@click.option("--bump", type=click.Choice(BUMPS), help="What of the version to raise.  [default: patch]")
@click.option("--force", is_flag=True, help="Start it although it is not eligible yet.")
@click.option("--dry-run", is_flag=True, help="Print the exact request, its secret redacted, and send nothing.")
@click.option("--commit/--no-commit", default=True, show_default=True, help="Commit the record.")
@click.option("--push", is_flag=True, help="Push the request before it is started, and the record after.")
@notify_option
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
@folder_options
def command(
    image: str,
    bump: str | None,
    force: bool,
    dry_run: bool,
    commit: bool,
    push: bool,
    notify: bool,
    as_json: bool,
    directory: Path | None,
    log_format: LogFormat,
    log_level: str | None,
) -> int:
    """Start a rebuild of IMAGE in its owner's CI, and record it; a request that waits for approval is approved.

    The build is told the digests that are eligible by now, under the names that its workflow declares.
    An image without an eligible base is refused until its delay has passed, except with --force.
    """
    from image_factory.shell.actor import find_actor
    from image_factory.usecases.commit import Committed, until_settled, write_and_commit
    from image_factory.usecases.dispatch import dispatch, record
    from image_factory.usecases.rebuild import claim_order, order_rebuild
    from image_factory.usecases.run_id import new_run_id

    # With a program's log, nothing but its lines is said.
    is_quiet = log_format == "json"
    bench = open_workbench(directory, log_format, log_level)
    actor = find_actor(os.environ, bench.root)
    if dry_run:
        ordered = order_rebuild(bench, image, version_bump=bump, actor=actor)
        return _rehearse(bench, ordered, force, as_json, is_quiet)
    by = new_run_id(bench.clock.now())
    told: list[str] = []

    def claim() -> Order:
        order = order_rebuild(bench, image, version_bump=bump, actor=actor)
        request, changes = claim_order(bench, order, by, force=force)
        told[:] = [f"{image}: {order.status}, request {request.request_id}"]
        keep(changes, f"Request a rebuild of {image}")
        return order

    def keep(changes: Any, subject: str) -> Committed:
        return write_and_commit(
            bench, changes, subject=subject, body=told, commit=commit, push=push, environ=os.environ
        )

    order = until_settled(claim)
    started = dispatch(bench, by, [image])
    committed = until_settled(lambda: keep(record(bench, started).changes, f"Rebuild {image}"))
    if notify:
        tell(bench, started.events)
    failures = [outcome.error for outcome in started.outcomes if isinstance(outcome, Failed)]
    if not as_json:
        report_warnings(started.warnings, op="rebuild", is_quiet=is_quiet, image=image)
    if failures:
        raise failures[0]
    (request,) = started.requests
    made = request.dispatch
    assert made is not None
    if as_json:
        said = {"name": image, "requestId": request.request_id, "runId": made.run_id, "url": made.url}
        approval = {"approvedBy": request.approved_by} if order.is_approval else {}
        write_json({**said, **approval, "commit": committed.commit, "warnings": _listed(started.warnings)})
        return 0
    if is_quiet:
        return 0
    where = made.url or f"its run is not known yet: image-factory runs {image} shows it"
    if made.url is None and started.unseen:
        unseen = started.unseen[0]
        where = f"its run is not known: {unseen.message}\n  hint: {unseen.hint}"
    approved = f", approved by {request.approved_by}" if order.is_approval and request.approved_by else ""
    click.echo(f"{click.style('✓', fg='green')} {image}: rebuild started ({request.request_id}{approved})\n  {where}")
    show_commit(committed)
    return 0


def _rehearse(bench: Workbench, order: Order, force: bool, as_json: bool, is_quiet: bool) -> int:
    from image_factory.usecases.rebuild import rehearse_order
    from image_factory.usecases.trigger import call_to_json

    prepared = rehearse_order(bench, order)
    call = call_to_json(prepared.call)
    if as_json:
        refusal = None if order.refusal is None or force else error_to_json(order.refusal)
        told = {"requestId": order.request.request_id, "refused": refusal, "warnings": _listed(prepared.warnings)}
        write_json({**call, **told})
        return 0
    refusals = [order.refusal] if order.refusal is not None and not force else []
    report_warnings([*prepared.warnings, *refusals], op="rebuild", is_quiet=is_quiet, image=order.image)
    if is_quiet:
        return 0
    click.echo(f"{call['method']} {call['url']}")
    for name, value in call["headers"].items():
        click.echo(f"{name}: {value}")
    click.echo(f"\n{json.dumps(call['json'], indent=2, ensure_ascii=False)}")
    return 0


def _listed(warnings: Iterable[ImageFactoryError]) -> list[dict[str, Any]]:
    return [error_to_json(warning) for warning in warnings]
