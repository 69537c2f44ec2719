"""`image-factory observe`: ask registries what moved, and record it."""

from __future__ import annotations

from pathlib import Path

import click

from image_factory.errors import UserError
from image_factory.usecases.outcome import exit_code, sentences
from image_factory_cli.clone import clone_options, opened_folder
from image_factory_cli.folder import folder_options
from image_factory_cli.logs import LogFormat
from image_factory_cli.notices import notify_option, tell
from image_factory_cli.steps import Manner, Shown, show, write


@click.command(epilog="Example: image-factory observe --base node-22-bookworm-slim")
@click.option("--base", "names", multiple=True, metavar="NAME", help="Ask for this base or external image alone.")
@click.option(
    "--digest", metavar="DIGEST", help="Record this digest for the one --base, a base or external image; asks nothing."
)
@click.option("--due", is_flag=True, help="Leave out what was asked for not long ago, within what registries allow.")
@click.option("--jobs", type=click.IntRange(1, 64), default=8, show_default=True, help="Questions to ask at once.")
@click.option("--dry-run", is_flag=True, help="Ask, print what would change as a diff, and write nothing.")
@click.option("--commit/--no-commit", default=True, show_default=True, help="Commit what is written, in one commit.")
@click.option("--push", is_flag=True, help="Push the commit, with rebase and retry.")
@clone_options
@notify_option
@click.option("--json", "as_json", is_flag=True, help="Write the outcomes as JSON.")
@click.option("-v", "--verbose", is_flag=True, help="List unchanged images too.")
@folder_options
def command(
    names: tuple[str, ...],
    digest: str | None,
    due: bool,
    jobs: int,
    dry_run: bool,
    commit: bool,
    push: bool,
    git_repo: str | None,
    git_branch: str | None,
    notify: bool,
    as_json: bool,
    verbose: bool,
    directory: Path | None,
    log_format: LogFormat,
    log_level: str | None,
) -> int:
    """Ask registries what tags point at now, and record what moved."""
    from image_factory.usecases.commit import Committed, changed_names, until_settled
    from image_factory.usecases.observe import Observation, observe, record_observed

    if digest is not None and len(names) != 1:
        raise UserError("--digest without one --base", hint="name the base or external image that has it")
    bench, must_push = click.get_current_context().with_resource(
        opened_folder(directory, git_repo, git_branch, log_format, log_level)
    )
    enrolled = bench.enrolled()  # an images.yaml that cannot be read is an error here too

    def learn() -> tuple[Observation, Committed | None]:
        if digest is not None:
            seen = record_observed(bench, names[0], digest)
        else:
            seen = observe(bench, names, jobs=jobs, due_only=due)
        if dry_run:
            return seen, None
        return seen, write(
            bench,
            seen.changes,
            manner,
            subject=f"Observe {changed_names(seen.outcomes)}",
            body=sentences(seen.outcomes),
            unpushed=lambda kept: show(shown(seen, kept), manner, op="observe"),
        )

    # With a program's log, nothing but its lines is said.
    manner = Manner(commit, push or must_push, as_json, verbose, is_quiet=log_format == "json")

    def shown(seen: Observation, committed: Committed | None) -> Shown:
        return Shown(seen.outcomes, seen.changes, committed, (*enrolled.problems, *seen.problems))

    seen, committed = until_settled(learn)
    if not dry_run:
        seen.keep()
    show(shown(seen, committed), manner, op="observe")
    if notify and not dry_run:
        tell(bench, seen.events)
    return exit_code(seen.outcomes) or (3 if enrolled.problems or seen.problems else 0)
