"""`image-factory audit`: who ordered what, and whether the log of it is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from image_factory_cli.folder import folder_options, open_workbench
from image_factory_cli.logs import LogFormat
from image_factory_cli.render import show_table, write_json


@click.group(epilog="Example: image-factory audit verify")
def command() -> None:
    """Show the audit log of emergency orders, or check that it is whole."""


@command.command("list", epilog="Example: image-factory audit list --json")
@click.option("--json", "as_json", is_flag=True, help="Write the entries as JSON.")
@folder_options
def list_entries(as_json: bool, directory: Path | None, log_format: LogFormat, log_level: str | None) -> int:
    """List all orders, refused ones too, oldest first.

    Exits with 4 where the log is broken; the entries before the break are shown.
    """
    from image_factory.usecases.audit import AuditReport, read_chain

    chain = read_chain(open_workbench(directory, log_format, log_level))
    if as_json:
        write_json({"entries": [_entry_to_json(entry) for entry in chain.entries], "broken": _broken(chain.broken)})
    else:
        rows = [_row(entry) for entry in chain.entries]
        if rows:
            show_table(("ENTRY", "AT", "OUTCOME", "ACTOR", "VULNERABILITY", "WHAT", "REASON"), rows)
        else:
            click.echo("no emergency was ordered yet")
    error = AuditReport(chain, chain.broken, False).error
    if error is not None and not as_json:
        raise error
    return 0 if error is None else error.exit_code


@command.command("verify", epilog="Example: image-factory audit verify --expect 000042-1f2e3d4c5b6a")
@click.option("--expect", metavar="ENTRY", help="An entry's id or hash that must be there, kept somewhere else.")
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
@folder_options
def verify(
    expect: str | None, as_json: bool, directory: Path | None, log_format: LogFormat, log_level: str | None
) -> int:
    """Check that no entry was changed, removed, put elsewhere or cut off.

    Looks at the chain of hashes, at git's history, and at the rebuild requests that name an entry.
    Exits with 4 at the first that is wrong, and names it.
    """
    from image_factory.usecases.audit import verify_audit

    report = verify_audit(open_workbench(directory, log_format, log_level), expected=expect)
    head = report.chain.head
    if as_json:
        write_json(
            {
                "whole": report.problem is None,
                "entries": len(report.chain.entries),
                "head": None if head is None else {"id": head.id, "hash": head.hash},
                "historyRead": report.is_history_whole,
                "broken": _broken(report.problem),
            }
        )
        return 0 if report.error is None else report.error.exit_code
    if report.error is not None:
        raise report.error
    last = "no entries yet" if head is None else f"{len(report.chain.entries)} entries, the last is {head.id}"
    click.echo(f"{click.style('✓', fg='green')} the audit log is whole: {last}")
    if not report.is_history_whole:
        click.echo("git's history could not be read to its beginning: clone it whole to check that nothing was removed")
    return 0


def _row(entry: Any) -> tuple[str, ...]:
    what = entry.base or ", ".join(entry.images[:3]) + (" …" if len(entry.images) > 3 else "")
    at = f"{entry.at:%Y-%m-%d %H:%M}"
    return entry.id, at, str(entry.outcome), entry.actor, entry.cve, what, entry.reason


def _entry_to_json(entry: Any) -> dict[str, Any]:
    data: dict[str, Any] = entry.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {"id": entry.id, **data}


def _broken(broken: Any) -> dict[str, str] | None:
    if broken is None:
        return None
    return {"entry": broken.entry, "kind": str(broken.kind), "sentence": broken.sentence}
