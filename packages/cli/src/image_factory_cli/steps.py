"""How a command of one step writes and shows what it came to: `analyze`, `observe`, `coordinate` and their like."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import click

from image_factory.errors import ImageFactoryError
from image_factory.usecases.outcome import Outcome
from image_factory_cli.render import (
    error_to_json,
    outcome_to_json,
    report_problems,
    show_diff,
    show_outcomes,
    write_json,
)

if TYPE_CHECKING:
    from image_factory.shell.store import FileChange
    from image_factory.usecases.commit import Committed

Command = TypeVar("Command", bound=Callable[..., Any])


def step_options(command: Command) -> Command:
    """Add the options that each of these commands has."""
    for option in (
        click.option("-v", "--verbose", is_flag=True, help="List what nothing happened to, too."),
        click.option("--json", "as_json", is_flag=True, help="Write the result as JSON."),
        click.option("--push", is_flag=True, help="Push the commit, with rebase and retry."),
        click.option("--commit/--no-commit", default=True, show_default=True, help="Commit what is written."),
        click.option("--dry-run", is_flag=True, help="Print what would be done, and do and write nothing."),
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Manner:
    """How one command was called."""

    commit: bool
    push: bool
    as_json: bool
    verbose: bool
    is_quiet: bool
    """Whether nothing but the log's lines are said, for a program that reads them."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a step came to, as it is shown."""

    outcomes: Sequence[Outcome]
    changes: Sequence[FileChange] = ()
    committed: Committed | None = None
    problems: Sequence[ImageFactoryError] = ()
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of the JSON."""


def write(
    bench: Any,
    changes: Sequence[FileChange],
    manner: Manner,
    *,
    subject: str,
    body: Iterable[str] = (),
    unpushed: Callable[[Committed], object] = lambda committed: None,
) -> Committed:
    """Write changes, and commit and push them as the options say."""
    from image_factory.usecases.commit import write_and_commit

    return write_and_commit(
        bench,
        changes,
        subject=subject,
        body=tuple(body),
        commit=manner.commit,
        push=manner.push,
        environ=os.environ,
        unpushed=unpushed,
    )


def tell_who_starts(bench: Any, is_silent: bool) -> None:
    """Say where it is so that Kargo starts builds, and no command that would else."""
    if not bench.settings.starts_builds and not is_silent:
        click.echo("engine: kargo, so that Kargo starts builds and this command starts none")


def show_commit(committed: Committed, *, is_expected: bool = True) -> None:
    """Say what was committed, or why nothing was where something was to be."""
    if committed.commit:
        click.echo(f"committed {committed.commit[:12]}{' and pushed' if committed.pushed else ''}")
    elif is_expected:
        click.echo(f"no commit: {committed.reason}")


def show(shown: Shown, manner: Manner, *, op: str) -> None:
    """Show it to a person, or as JSON to a program."""
    committed = shown.committed
    if manner.as_json:
        write_json(
            {
                **shown.more,
                "outcomes": [outcome_to_json(outcome) for outcome in shown.outcomes],
                "files": [str(change.path) for change in shown.changes],
                "commit": committed.commit if committed else None,
                "problems": [error_to_json(problem) for problem in shown.problems],
            }
        )
    elif not manner.is_quiet:
        if committed is None:
            show_diff(shown.changes)
        show_outcomes(shown.outcomes, verbose=manner.verbose)
        if committed is not None:
            show_commit(committed, is_expected=bool(shown.changes))
    report_problems(shown.problems, op=op, is_quiet=manner.is_quiet)
