"""`image-factory versions`: what is published of an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from image_factory_cli.folder import folder_options, open_workbench
from image_factory_cli.image_names import complete_image
from image_factory_cli.logs import LogFormat
from image_factory_cli.render import show_table, write_json


@click.command(epilog="Example: image-factory versions backstage --page 2 --json")
@click.argument("image", shell_complete=complete_image)
@click.option("--page", type=click.IntRange(1), default=1, show_default=True, help="The page, from 1.")
@click.option("--page-size", type=click.IntRange(1, 100), default=20, show_default=True, help="Versions on a page.")
@click.option(
    "--all", "everything", is_flag=True, help="All versions on one page, with what costs no request of their own."
)
@click.option("--refresh", is_flag=True, help="Ask the registry, and not its answer of the last five minutes.")
@click.option("--no-semver-filter", is_flag=True, help="Show versions without a tag such as 1.2.3 too.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON: versions, totalCount, page, pageSize, stale.")
@folder_options
def command(
    image: str,
    page: int,
    page_size: int,
    everything: bool,
    refresh: bool,
    no_semver_filter: bool,
    as_json: bool,
    directory: Path | None,
    log_format: LogFormat,
    log_level: str | None,
) -> int:
    """Show what is published of an image, newest first.

    IMAGE is the name of an enrolled image or a base image, or a reference such as ghcr.io/acme/web.
    """
    from image_factory.usecases.versions import VersionQuery, list_versions, to_json

    query = VersionQuery(
        page=1 if everything else page,
        page_size=None if everything else page_size,
        semver_only=not no_semver_filter,
        refresh=refresh,
    )
    found = list_versions(open_workbench(directory, log_format, log_level), image, query)
    if as_json:
        write_json(to_json(found))
    else:
        _show(found)
    if found.failure is not None and log_format == "text":
        _warn(found)
    return 0


def _show(found: Any) -> None:
    from image_factory.usecases.status import instant
    from image_factory.usecases.versions import copy_forms

    rows = [
        (
            row.tag,
            row.digest.short if row.digest else "-",
            _size(row.size),
            instant(row.published_at) or "-",
            ", ".join(map(str, row.platforms)) or "-",
            ", ".join(row.tags[1:]) or "-",
            found.links.get(row.tag, "-"),
        )
        for row in found.page.rows
    ]
    if rows:
        show_table(("TAG", "DIGEST", "SIZE", "PUBLISHED", "PLATFORMS", "ALSO", "LINK"), rows)
        by_tag, by_digest = copy_forms(found.repository, found.page.rows[0])
        click.echo(f"\ncopy: {by_tag}" + (f"\n      {by_digest}" if by_digest else ""))
    page = found.page
    summary = f"{page.total} version{'' if page.total == 1 else 's'} of {found.repository}"
    if page.pages > 1:
        summary += f", page {page.number} of {page.pages}"
    if found.hidden:
        summary += f"; {found.hidden} without a tag such as 1.2.3 left out (--no-semver-filter shows them)"
    click.echo(summary)


def _warn(found: Any) -> None:
    from image_factory.usecases.status import instant

    error = found.failure
    wait = getattr(error, "retry_after", None)
    again = f"; it may be asked again in {int(wait.total_seconds())} s" if wait is not None else ""
    click.echo(f"warning: stale, as of {instant(found.fetched_at)}: {error}{again}", err=True)
    if error.hint:
        click.echo(f"hint: {error.hint}", err=True)


def _size(size: int | None) -> str:
    if size is None:
        return "-"
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"
