"""`image-factory analyze`: find base images in Dockerfiles, and record them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from image_factory.errors import UserError
from image_factory.usecases.analysis_memory import Covered, Revisions, ask_analysis, local_revisions, recall_analysis
from image_factory.usecases.outcome import Skipped, exit_code, sentences
from image_factory_cli.clone import clone_options, opened_folder
from image_factory_cli.folder import folder_options
from image_factory_cli.logs import LogFormat
from image_factory_cli.metrics import metrics_option, record_metrics
from image_factory_cli.notices import notify_option, tell
from image_factory_cli.steps import Manner, Shown, show, write

if TYPE_CHECKING:
    from image_factory.decide.lifecycle import Transition
    from image_factory.shell.run_memory import Question
    from image_factory.usecases.analyze import Analysis
    from image_factory.usecases.commit import Committed


@click.command(epilog="Example: image-factory analyze --image backstage --tag 0.6.3 --digest sha256:…")
@click.option("--image", metavar="NAME", help="Analyze this image of images.yaml alone.")
@click.option("--all", "every", is_flag=True, help="Analyze every image of images.yaml. The default without --image.")
@click.option("--tag", metavar="TAG", help="Record this tag as the image's current version.")
@click.option("--digest", metavar="DIGEST", help="Record this digest as the image's current one.")
@click.option("--dockerfile", metavar="PATH", help="Read this Dockerfile in place of the enrollment's.")
@click.option("--source-repo", metavar="REPO", help="Read it from this repository in place of the enrollment's.")
@click.option("--source-provider", metavar="NAME", help="Through this source plugin in place of the enrollment's.")
@clone_options
@click.option("--jobs", type=click.IntRange(1, 64), default=8, show_default=True, help="Dockerfiles to fetch at once.")
@click.option("--dry-run", is_flag=True, help="Print what would change as a diff, and write nothing.")
@click.option("--commit/--no-commit", default=True, show_default=True, help="Commit what is written, in one commit.")
@click.option("--push", is_flag=True, help="Push the commit, with rebase and retry.")
@notify_option
@metrics_option
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
    commit: bool,
    push: bool,
    metrics_file: Path | None,
    as_json: bool,
    verbose: bool,
    directory: Path | None,
    log_format: LogFormat,
    log_level: str | None,
    **rest: Any,
) -> int:
    """Find the base images of enrolled images in their Dockerfiles, and record them."""
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
        from image_factory.usecases.handover import Handover

        handover = Handover(
            image,
            tag=tag or None,
            digest=digest or None,
            dockerfile=dockerfile or None,
            source_repo=source_repo or None,
            source_provider=source_provider or None,
        )
    # With a program's log, nothing but its lines is said.
    manner = Manner(commit, push, as_json, verbose, is_quiet=log_format == "json")
    question = None
    if handover is None and git_repo is None:
        question = ask_analysis(directory, os.environ, Path.cwd())
        known = recall_analysis(question, local_revisions)
        if known is not None and known.is_done:
            return _unchanged(known, manner)
    with opened_folder(directory, git_repo, git_branch, log_format, log_level) as (bench, must_push):
        known = recall_analysis(question, revisions(bench)) if question is not None else None
        if known is not None and known.is_done:
            return _unchanged(known, manner)
        manner = replace(manner, push=must_push or push)
        return _run(bench, handover, question, known, manner=manner, metrics_file=metrics_file, **rest)


def _run(
    bench: Any,
    handover: Any,
    question: Question | None,
    known: Covered | None,
    *,
    manner: Manner,
    jobs: int,
    dry_run: bool,
    notify: bool,
    metrics_file: Path | None,
) -> int:
    from image_factory.decide.lifecycle import count_transitions
    from image_factory.usecases.analyze import analyze
    from image_factory.usecases.commit import changed_names, until_settled
    from image_factory.usecases.lifecycle import log_transitions

    if dry_run:
        return _finish(_shown(analyze(bench, handover, jobs=jobs, earlier=known)), manner)
    attempts = iter([known])

    def learn() -> tuple[Analysis, Committed]:
        # What was known holds no more where others have written meanwhile.
        analysis = analyze(bench, handover, jobs=jobs, earlier=next(attempts, None))
        return analysis, write(
            bench,
            analysis.changes,
            manner,
            subject=f"Analyze {changed_names(analysis.outcomes)}",
            body=sentences(analysis.outcomes),
            unpushed=lambda kept: _finish(_shown(analysis, kept), manner),
        )

    analysis, committed = until_settled(learn)
    analysis.keep(question)
    log_transitions(analysis.transitions)
    code = _finish(_shown(analysis, committed), manner)
    record_metrics(metrics_file, count_transitions(analysis.transitions))
    if notify:
        tell(bench, analysis.events)
    return code


def _unchanged(covered: Covered, manner: Manner) -> int:
    """Say that nothing has changed since an analysis that covered this."""
    outcomes = tuple(Skipped(name, "nothing new") for name in covered.names)
    return _finish(Shown(outcomes, more=_more((), 0, covered.dockerfiles)), manner)


def _shown(analysis: Analysis, committed: Committed | None = None) -> Shown:
    more = _more(analysis.transitions, *analysis.dockerfiles)
    return Shown(analysis.outcomes, analysis.changes, committed, analysis.problems, more)


def _more(transitions: Iterable[Transition], parsed: int, cached: int) -> dict[str, Any]:
    """Return what this command's JSON has beside that of others."""
    return {
        "transitions": [transition_to_json(one) for one in transitions],
        "dockerfiles": {"parsed": parsed, "cached": cached},
    }


def _finish(shown: Shown, manner: Manner) -> int:
    """Show the results, and return the exit code that they come to."""
    show(shown, manner, op="analyze")
    # Where nothing at all could be read of images.yaml, nothing was done.
    return exit_code(shown.outcomes) or ((3 if shown.outcomes else 2) if shown.problems else 0)


def transition_to_json(one: Transition) -> dict[str, str]:
    """Return what an image became as JSON data."""
    return {"image": one.image, "from": str(one.before), "to": str(one.after), "reason": one.reason}


def revisions(bench: Any) -> Revisions:
    """Return what tells the commits of branches anywhere: the source plugins of their providers."""
    from image_factory.usecases.analysis_step import source_revisions

    return source_revisions(bench)
