"""`image-factory import`: from a Renovate or Dependabot configuration to proposed enrollments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from image_factory_cli.folder import folder_options, open_workbench
from image_factory_cli.logs import LogFormat
from image_factory_cli.render import error_to_json, show_problems, write_json

if TYPE_CHECKING:
    from image_factory.usecases.import_enrollments import Imported


@click.command(
    "import", epilog="Example: image-factory import ../web ../api --registry ghcr.io, and again with --write"
)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--from",
    "origin",
    type=click.Choice(["renovate", "dependabot", "auto"]),
    default="auto",
    show_default=True,
    help="Whose configuration counts; auto takes Renovate's where both are there.",
)
@click.option("--registry", metavar="HOST", help="Where images go whose pipelines do not say it.")
@click.option("--write", is_flag=True, help="Append the entries to images.yaml.")
@click.option("--dry-run", is_flag=True, help="Write nothing, --write or not.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@folder_options
def command(
    paths: tuple[Path, ...],
    origin: str,
    registry: str | None,
    write: bool,
    dry_run: bool,
    as_json: bool,
    directory: Path | None,
    log_format: LogFormat,
    log_level: str | None,
) -> int:
    """Propose enrollments for the repositories at PATH, each a clone or a folder of clones.

    Each repository's Renovate or Dependabot configuration says what is watched and how long to wait, its
    pipelines which images are built, its deployment files which are used. What is shown is YAML for
    images.yaml, with what was found and what cannot be carried over as its comments, one sentence each.
    What is enrolled already stays as it is.
    """
    from image_factory.imports.answers import Bot
    from image_factory.usecases.import_enrollments import import_enrollments, write_import

    bench = open_workbench(directory, log_format, log_level)
    bot = None if origin == "auto" else Bot(origin)
    imported = import_enrollments(bench, paths, bot=bot, registry=registry)
    is_written = write and not dry_run
    if is_written:
        write_import(bench, imported)
    if as_json:
        write_json(_document(imported, is_written=is_written))
    else:
        _show(imported, is_written=is_written)
        show_problems(imported.problems)
    if not imported.problems:
        return 0
    return 3 if imported.trees else imported.problems[0].exit_code


def _document(imported: Imported, *, is_written: bool) -> dict[str, object]:
    return {
        "entries": [dict(each.entry) for each in imported.entries],
        "found": [
            {"tree": row.tree, "file": row.file, "image": row.image, "outcome": row.outcome, "name": row.name}
            for row in imported.rows
        ],
        "notCarriedOver": [
            {"file": remark.location.file, "line": remark.location.line, "text": remark.text}
            for remark in imported.remarks
        ],
        "written": is_written and imported.new != imported.old,
        "problems": [error_to_json(problem) for problem in imported.problems],
    }


def _show(imported: Imported, *, is_written: bool) -> None:
    """Write the entries as YAML, and all else as its comments, so that the whole can be kept as a file."""
    from image_factory.state.yaml_style import dump_block

    for each in imported.entries:
        lines = dump_block(dict(each.entry)).splitlines()
        click.echo("\n".join([f"- {lines[0]}", *(f"  {line}" for line in lines[1:])]))
    rows = [(f"{row.tree}/{row.file}".rstrip("/"), row.image, _outcome(row.outcome, row.name)) for row in imported.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        _comment("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip())
    for remark in imported.remarks:
        _comment(str(remark))
    counts = [
        (imported.trees, "repository", "repositories"),
        (len(imported.rows), "place", "places"),
        (len(imported.remarks), "remark", "remarks"),
        (len(imported.entries), "entry", "entries"),
    ]
    counted = ", ".join(f"{number} {one if number == 1 else many}" for number, one, many in counts)
    _comment(f"{counted} {f'written to {imported.path}' if is_written else 'proposed; --write appends them'}")


def _comment(text: str) -> None:
    click.echo("# " + "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text))


def _outcome(outcome: str, name: str | None) -> str:
    return f"{outcome} as {name}" if outcome == "proposed" and name else outcome
