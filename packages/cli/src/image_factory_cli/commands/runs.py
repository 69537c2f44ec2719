"""`image-factory runs`: the build runs of an image, and starting one again."""

from __future__ import annotations

from pathlib import Path

import click

from image_factory_cli.folder import folder_options, open_workbench
from image_factory_cli.logs import LogFormat
from image_factory_cli.render import show_table, write_json


class RunsGroup(click.Group):
    """Takes an image's name where a subcommand could stand: `runs web` is `runs list web`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return ["IMAGE [OPTIONS]", "| rerun IMAGE RUN_ID [OPTIONS]"]


@click.group(
    cls=RunsGroup,
    epilog="Example: image-factory runs backstage --page 2",
    context_settings={"help_option_names": ["-h", "--help"]},
)
def command() -> None:
    """List the build runs of IMAGE, newest first, or start one of them again.

    Only runs of the image's own workflow count. `image-factory runs list --help` shows the options.
    """


@command.command("list", epilog="Example: image-factory runs list backstage --json")
@click.argument("image")
@click.option("--page", type=click.IntRange(min=1), default=1, show_default=True, help="The page, from 1.")
@click.option("--page-size", type=click.IntRange(1, 100), default=20, show_default=True, help="Runs a page.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@folder_options
def list_command(
    image: str,
    page: int,
    page_size: int,
    as_json: bool,
    directory: Path | None,
    log_format: LogFormat,
    log_level: str | None,
) -> int:
    """List the build runs of IMAGE, newest first."""
    from image_factory.usecases.runs import list_runs, relative_time, run_to_json

    bench = open_workbench(directory, log_format, log_level)
    found = list_runs(bench, image, page=page, page_size=page_size)
    if as_json:
        told = {"image": image, "workflow": found.workflow, "ref": found.ref, "page": page, "pageSize": page_size}
        write_json({**told, "hasMore": found.has_more, "runs": [run_to_json(run) for run in found.runs]})
        return 0
    if not found.runs:
        click.echo(f"no runs of {found.builds_by}" + (f" on page {page}" if page > 1 else " yet"))
        return 0
    now = bench.clock.now()
    rows = [
        (
            run.id,
            str(run.status),
            run.title,
            run.sha[:12],
            run.commit_title,
            relative_time(run.created_at, now),
            run.url,
        )
        for run in found.runs
    ]
    show_table(("RUN", "STATUS", "TITLE", "SHA", "MESSAGE", "STARTED", "LINK"), rows)
    if found.has_more:
        click.echo(f"next: image-factory runs {image} --page {page + 1}")
    return 0


@command.command("rerun", epilog="Example: image-factory runs rerun backstage 30000000000")
@click.argument("image")
@click.argument("run_id")
@click.option("--dry-run", is_flag=True, help="Say which run it would be, and start none.")
@folder_options
def rerun_command(
    image: str, run_id: str, dry_run: bool, directory: Path | None, log_format: LogFormat, log_level: str | None
) -> int:
    """Start the finished run RUN_ID of IMAGE again."""
    from image_factory.usecases.runs import rerun

    run = rerun(open_workbench(directory, log_format, log_level), image, run_id, dry_run=dry_run)
    said = "would start again" if dry_run else "started again"
    click.echo(f"{said}: run {run.id} of {image} ({run.status}, {run.title})\n  {run.url}")
    return 0
