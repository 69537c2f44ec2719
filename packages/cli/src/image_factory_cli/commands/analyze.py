"""`image-factory analyze`: find base images in Dockerfiles, and record them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from image_factory.errors import UserError
from image_factory.usecases.outcome import Outcome, exit_code
from image_factory_cli.folder import folder_options
from image_factory_cli.logs import LogFormat
from image_factory_cli.render import outcome_to_json, report_problems, show_diff, show_outcomes, write_json


@click.command(epilog="Example: image-factory analyze --image backstage --tag 0.6.3 --digest sha256:…")
@click.option("--image", metavar="NAME", help="Analyze this image of images.yaml alone.")
@click.option("--all", "every", is_flag=True, help="Analyze every image of images.yaml. The default without --image.")
@click.option("--tag", metavar="TAG", help="Record this tag as the image's current version.")
@click.option("--digest", metavar="DIGEST", help="Record this digest as the image's current one.")
@click.option("--dockerfile", metavar="PATH", help="Read this Dockerfile in place of the enrollment's.")
@click.option("--source-repo", metavar="REPO", help="Read it from this repository in place of the enrollment's.")
@click.option("--source-provider", metavar="NAME", help="Through this source plugin in place of the enrollment's.")
@click.option("--git-repo", metavar="URL", help="Clone the state repository from here, and push what is learned.")
@click.option("--git-branch", metavar="BRANCH", help="The branch of --git-repo.")
@click.option("--jobs", type=click.IntRange(1, 64), default=8, show_default=True, help="Dockerfiles to fetch at once.")
@click.option("--dry-run", is_flag=True, help="Print what would change as a diff, and write nothing.")
@click.option("--commit/--no-commit", default=True, show_default=True, help="Commit what is written, in one commit.")
@click.option("--push", is_flag=True, help="Push the commit, with rebase and retry.")
@click.option("--json", "as_json", is_flag=True, help="Write the outcomes as JSON.")
@click.option("-v", "--verbose", is_flag=True, help="List unchanged images too.")
@folder_options
def command(
    image: str | None,
    every: bool,
    tag: str | None,
    digest: str | None,
    dockerfile: str | None,
    source_repo: str | None,
    source_provider: str | None,
    git_repo: str | None,
    git_branch: str | None,
    directory: Path | None,
    log_format: LogFormat,
    log_level: str | None,
    **rest: Any,
) -> int:
    """Find the base images of enrolled images in their Dockerfiles, and record them."""
    from image_factory.usecases.analyze import Handover
    from image_factory_cli.clone import opened_folder

    given = {
        "--tag": tag,
        "--digest": digest,
        "--dockerfile": dockerfile,
        "--source-repo": source_repo,
        "--source-provider": source_provider,
    }
    if image is None and any(given.values()):
        named = ", ".join(name for name, value in given.items() if value)
        raise UserError(f"{named} without --image", hint="name the image that it is about")
    if image is not None and every:
        raise UserError("--image and --all together", hint="give one of them")
    handover = None
    if image is not None:
        handover = Handover(
            image,
            tag=tag or None,
            digest=digest or None,
            dockerfile=dockerfile or None,
            source_repo=source_repo or None,
            source_provider=source_provider or None,
        )
    with opened_folder(directory, git_repo, git_branch, log_format, log_level) as (bench, must_push):
        # With a program's log, nothing but its lines is said.
        return _run(bench, handover, must_push=must_push, is_quiet=log_format == "json", **rest)


def _run(
    bench: Any,
    handover: Any,
    *,
    must_push: bool,
    is_quiet: bool,
    push: bool,
    jobs: int,
    dry_run: bool,
    commit: bool,
    as_json: bool,
    verbose: bool,
) -> int:
    from image_factory.usecases.analyze import analyze
    from image_factory.usecases.commit import changed_names, write_and_commit

    analysis = analyze(bench, handover, jobs=jobs)
    if dry_run and not as_json and not is_quiet:
        show_diff(analysis.changes)
    committed = None
    if not dry_run:
        committed = write_and_commit(
            bench,
            analysis.changes,
            subject=f"Analyze {changed_names(analysis.outcomes)}",
            body=sentences(analysis.outcomes),
            commit=commit,
            push=push or must_push,
            environ=os.environ,
        )
    if not dry_run:
        analysis.remember()
    if as_json:
        write_json(
            {
                "outcomes": [outcome_to_json(outcome) for outcome in analysis.outcomes],
                "files": [str(change.path) for change in analysis.changes],
                "commit": committed.commit if committed else None,
            }
        )
    elif not is_quiet:
        show_outcomes(analysis.outcomes, verbose=verbose)
        if committed and committed.commit:
            click.echo(f"committed {committed.commit[:12]}{' and pushed' if committed.pushed else ''}")
        elif analysis.changes and committed:
            click.echo(f"no commit: {committed.reason}")
    report_problems(analysis.problems, op="analyze", is_quiet=is_quiet)
    return exit_code(analysis.outcomes) or (3 if analysis.problems else 0)


def sentences(outcomes: tuple[Outcome, ...]) -> list[str]:
    """Return a line an image that changed or failed, for a commit's message."""
    from image_factory.usecases.outcome import Done, Failed

    lines = []
    for outcome in outcomes:
        if isinstance(outcome, Done):
            lines.append(f"{outcome.item}: {', '.join(outcome.changes)}")
        elif isinstance(outcome, Failed):
            lines.append(f"{outcome.item}: failed")
    return lines
