"""`image-factory rebuild`: start a rebuild of an image."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from image_factory.decide.build_inputs import BUMPS
from image_factory.errors import ImageFactoryError
from image_factory_cli.folder import folder_options, open_workbench
from image_factory_cli.logs import LogFormat
from image_factory_cli.render import error_to_json, write_json


@click.command(epilog="Example: image-factory rebuild backstage --dry-run")
@click.argument("image")
@click.option(
    "--bump", type=click.Choice(BUMPS), default="patch", show_default=True, help="What of the version to raise."
)
@click.option("--force", is_flag=True, help="Start it although it is not eligible yet.")
@click.option("--dry-run", is_flag=True, help="Print the exact request, its secret redacted, and send nothing.")
@click.option("--commit/--no-commit", default=True, show_default=True, help="Commit the record, in one commit.")
@click.option("--push", is_flag=True, help="Push the commit, with rebase and retry.")
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
@folder_options
def command(
    image: str,
    bump: str,
    force: bool,
    dry_run: bool,
    commit: bool,
    push: bool,
    as_json: bool,
    directory: Path | None,
    log_format: LogFormat,
    log_level: str | None,
) -> int:
    """Start a rebuild of IMAGE in its owner's CI, and record it.

    The build is told the digests that are eligible by now, under the names that its workflow declares.
    An image without an eligible base is refused until its delay has passed, except with --force.
    """
    from image_factory.usecases.commit import write_and_commit
    from image_factory.usecases.trigger import call_to_json, prepare_rebuild, start_rebuild

    bench = open_workbench(directory, log_format, log_level)
    rebuild = prepare_rebuild(bench, image, version_bump=bump, is_rehearsal=dry_run)
    call = call_to_json(rebuild.call)
    request_id = rebuild.request.request_id
    if not as_json:
        _warn(rebuild.warnings)
    if dry_run:
        if rebuild.refusal is not None and not force and not as_json:
            _warn([rebuild.refusal])
        if as_json:
            refusal = None if rebuild.refusal is None or force else error_to_json(rebuild.refusal)
            write_json({**call, "requestId": request_id, "refused": refusal, "warnings": _listed(rebuild.warnings)})
            return 0
        click.echo(f"{call['method']} {call['url']}")
        for name, value in call["headers"].items():
            click.echo(f"{name}: {value}")
        click.echo(f"\n{json.dumps(call['json'], indent=2, ensure_ascii=False)}")
        return 0
    started = start_rebuild(bench, rebuild, force=force)
    committed = write_and_commit(
        bench,
        started.changes,
        subject=f"Rebuild {image}",
        body=[f"{image}: {rebuild.reason}, request {request_id}"],
        commit=commit,
        push=push,
        environ=os.environ,
    )
    if as_json:
        build = started.build
        told = {"name": image, "requestId": request_id, "runId": build.run_id, "url": started.url}
        write_json({**told, "commit": committed.commit, "warnings": _listed(rebuild.warnings)})
        return 0
    where = started.url or f"its run is not known yet: image-factory runs {image} shows it"
    if started.url is None and started.unseen is not None:
        where = f"its run is not known: {started.unseen.message}\n  hint: {started.unseen.hint}"
    click.echo(f"{click.style('✓', fg='green')} {image}: rebuild started ({request_id})\n  {where}")
    if committed.commit:
        click.echo(f"committed {committed.commit[:12]}{' and pushed' if committed.pushed else ''}")
    else:
        click.echo(f"no commit: {committed.reason}")
    return 0


def _warn(warnings: Iterable[ImageFactoryError]) -> None:
    for warning in warnings:
        click.echo(f"{click.style('warning:', fg='yellow')} {warning}", err=True)
        click.echo(f"hint: {warning.hint}", err=True)


def _listed(warnings: Iterable[ImageFactoryError]) -> list[dict[str, Any]]:
    return [error_to_json(warning) for warning in warnings]
