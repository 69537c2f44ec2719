"""How results are shown: outcomes and tables for people, JSON for programs, diffs for a dry run."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from image_factory.errors import ImageFactoryError
from image_factory.usecases.outcome import Done, Failed, Outcome, Skipped
from image_factory_cli.logs import is_for_a_program

if TYPE_CHECKING:
    from image_factory.shell.store import FileChange


def write_json(data: Any) -> None:
    """Write data as JSON for a program to read."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))


def show_outcomes(outcomes: Iterable[Outcome], *, verbose: bool = False) -> None:
    """Write a line an item that changed or failed, and a summary; unchanged items only where `verbose`."""
    counts = {"changed": 0, "unchanged": 0, "failed": 0}
    for outcome in outcomes:
        match outcome:
            case Done(item, changes):
                counts["changed"] += 1
                click.echo(f"{click.style('✓', fg='green')} {item}: {', '.join(changes) or 'done'}")
            case Skipped(item, reason):
                counts["unchanged"] += 1
                if verbose:
                    click.echo(f"{click.style('·', dim=True)} {item}: {reason}")
            case Failed(item, error):
                counts["failed"] += 1
                click.echo(f"{click.style('✗', fg='red')} {item}: {error}")
                if error.hint:
                    click.echo(f"  hint: {error.hint}")
    click.echo(", ".join(f"{number} {word}" for word, number in counts.items() if number) or "nothing to do")


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """Return one outcome as JSON data."""
    match outcome:
        case Done(item, changes):
            return {"name": item, "outcome": "changed", "changes": list(changes)}
        case Skipped(item, reason):
            return {"name": item, "outcome": "unchanged", "reason": reason}
        case Failed(item, error):
            return {"name": item, "outcome": "failed", **error_to_json(error)}


def error_to_json(error: ImageFactoryError) -> dict[str, Any]:
    """Return an error as JSON data."""
    where = error.location
    return {
        "error": error.message,
        "hint": error.hint or None,
        "file": where.file if where else None,
        "line": where.line if where else None,
    }


def show_problems(problems: Iterable[ImageFactoryError]) -> None:
    """Write each problem with its hint to standard error; as lines of the log where a program reads that."""
    if is_for_a_program():
        context = click.get_current_context(silent=True)
        report_problems(problems, op=context.info_name or "" if context else "", is_quiet=True)
        return
    for problem in problems:
        click.echo(f"{click.style('error:', fg='red')} {problem}", err=True)
        if problem.hint:
            click.echo(f"hint: {problem.hint}", err=True)


def report_problems(problems: Iterable[ImageFactoryError], *, op: str, is_quiet: bool) -> None:
    """Show problems to a person, or log them where a program reads."""
    if not is_quiet:
        show_problems(problems)
        return
    log = logging.getLogger("image_factory")
    for problem in problems:
        log.error(str(problem), extra={**_fields(problem), "op": op})


def report_warnings(
    warnings: Iterable[ImageFactoryError], *, op: str, is_quiet: bool, image: str | None = None
) -> None:
    """Show what is probably not meant to a person, or log it where a program reads."""
    log = logging.getLogger("image_factory")
    for warning in warnings:
        if is_quiet:
            log.warning(str(warning), extra={**_fields(warning), "op": op, "image": image})
            continue
        click.echo(f"{click.style('warning:', fg='yellow')} {warning}", err=True)
        if warning.hint:
            click.echo(f"hint: {warning.hint}", err=True)


def _fields(problem: ImageFactoryError) -> dict[str, object]:
    where = None if problem.location is None else str(problem.location)
    return {"image": None, "input": where, "hint": problem.hint}


def show_diff(changes: Iterable[FileChange]) -> None:
    """Write what a dry run would change, as git shows it."""
    for change in changes:
        for line in change.diff().splitlines():
            colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
            click.echo(click.style(line, fg=colour) if colour else line)


def show_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table: with rules and colours at a terminal, plain columns elsewhere."""
    listed = [[str(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, header_style="bold", pad_edge=False)
        for heading in headings:
            table.add_column(heading, overflow="fold")
        for row in listed:
            table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
        Console().print(table)
        return
    widths = [max(len(row[column]) for row in [list(headings), *listed]) for column in range(len(headings))]
    for row in [list(headings), *listed]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


_STYLES = {
    "up-to-date": "green",
    "success": "green",
    "cooling-down": "yellow",
    "pending": "yellow",
    "needs-approval": "yellow",
    "coordinating": "yellow",
    "waits-for-parent": "yellow",
    "waits-for-group": "yellow",
    "waits-for-place": "yellow",
    "held": "yellow",
    "frozen": "yellow",
    "backing-off": "red",
    "quarantined": "red",
    "cycle": "red",
    "requested": "cyan",
    "under-way": "cyan",
    "due": "bold magenta",
    "emergency": "bold red",
    "failed": "red",
    "timed-out": "red",
    "succeeded": "green",
}
