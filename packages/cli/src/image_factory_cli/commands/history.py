"""`image-factory history`: what happened to an image or base, newest first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from image_factory_cli.folder import folder_options, open_workbench
from image_factory_cli.image_names import complete_image
from image_factory_cli.logs import LogFormat
from image_factory_cli.render import show_problems, show_table, write_json

if TYPE_CHECKING:
    from image_factory.usecases.history import Entry


@click.command(epilog="Example: image-factory history backstage --limit 5")
@click.argument("image", shell_complete=complete_image)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="How many of the newest entries to show; 0 shows all.",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@folder_options
def command(
    image: str, limit: int, as_json: bool, directory: Path | None, log_format: LogFormat, log_level: str | None
) -> int:
    """Show what happened to an image or base image, newest first: its digests, and its rebuilds with causes and runs.

    What was archived of it is shown too, also where nothing else is left.
    """
    from image_factory.usecases.history import history_to_json, read_history

    bench = open_workbench(directory, log_format, log_level)
    history = read_history(bench, image, limit=limit or None)
    if as_json:
        write_json(history_to_json(history))
    elif not history.entries:
        click.echo(f"nothing is recorded of {image} yet")
    else:
        show_table(("AT", "WHAT", "RESULT", "DIGEST", "WHY", "RUN"), [_row(entry) for entry in history.entries])
        if len(history.entries) < history.total:
            click.echo(f"{history.total - len(history.entries)} earlier: image-factory history {image} --limit 0")
    show_problems(history.problems)
    return 3 if history.problems else 0


def _row(entry: Entry) -> tuple[str, ...]:
    from image_factory.usecases.observe import short_digest
    from image_factory.usecases.status import instant

    at = instant(entry.at) or "-"
    if entry.update is not None:
        update = entry.update
        before = f"from {short_digest(update.old_digest)}" if update.old_digest else "first sight"
        told = "built elsewhere" if update.source == "build" else "moved"
        return at, told, "-", short_digest(update.new_digest), before, "-"
    if entry.build is not None:
        build = entry.build
        what = f"emergency {build.cve}" if build.cve else "rebuild"
        causes = ", ".join(f"{cause.get('base')} {short_digest(str(cause.get('to') or ''))}" for cause in build.causes)
        why = f"{causes or build.reason}{f': {build.problem}' if build.problem else ''}"
        digest = f"{build.version or ''} {short_digest(build.digest) if build.digest else ''}".strip() or "-"
        return at, what, build.result, digest, why, build.url or build.run_id or "-"
    return at, str(entry.kind), "-", "-", entry.reason or "-", "-"
