"""`image-factory settle`: record what became of the builds that were started."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from image_factory.usecases.outcome import exit_code
from image_factory_cli.clone import clone_options, opened_folder
from image_factory_cli.folder import folder_options
from image_factory_cli.image_names import complete_image
from image_factory_cli.logs import LogFormat
from image_factory_cli.notices import notify_option, tell
from image_factory_cli.steps import Manner, Shown, show, step_options, write

if TYPE_CHECKING:
    from image_factory.usecases.commit import Committed
    from image_factory.usecases.settle import Settled


@click.command(epilog="Example: image-factory settle --push")
@click.argument("images", nargs=-1, metavar="[IMAGE]...", shell_complete=complete_image)
@click.option("--jobs", type=click.IntRange(1, 64), default=8, show_default=True, help="Builds to ask after at once.")
@clone_options
@notify_option
@step_options
@folder_options
def command(
    images: tuple[str, ...],
    jobs: int,
    git_repo: str | None,
    git_branch: str | None,
    notify: bool,
    dry_run: bool,
    commit: bool,
    push: bool,
    as_json: bool,
    verbose: bool,
    directory: Path | None,
    log_format: LogFormat,
    log_level: str | None,
) -> int:
    """Ask after the builds that were started, of the IMAGEs named or of all, and record how they ended.

    Of one that succeeded, the version and digest that it published are recorded as the image's. One that
    goes on changes nothing; one that does not end counts as failed after `buildTimeout`.
    """
    from image_factory.usecases.commit import changed_names, until_settled
    from image_factory.usecases.outcome import sentences
    from image_factory.usecases.requests import require_images
    from image_factory.usecases.settle import settle

    bench, must_push = click.get_current_context().with_resource(
        opened_folder(directory, git_repo, git_branch, log_format, log_level)
    )
    require_images(bench, images)
    manner = Manner(commit, push or must_push, as_json, verbose, log_format == "json")

    def learn() -> tuple[Settled, Committed | None]:
        settled = settle(bench, images, jobs=jobs)
        if dry_run:
            return settled, None
        subject = f"Settle {changed_names(settled.outcomes)}"
        body = sentences(settled.outcomes)
        return settled, write(
            bench, settled.changes, manner, subject=subject, body=body,
            unpushed=lambda kept: show(_shown(settled, kept), manner, op="settle"),
        )  # fmt: skip

    settled, committed = until_settled(learn)
    show(_shown(settled, committed), manner, op="settle")
    if notify and not dry_run:
        tell(bench, settled.events)
    return exit_code(settled.outcomes)


def _shown(settled: Settled, committed: Committed | None) -> Shown:
    ended = [request.model_dump(mode="json", by_alias=True, exclude_none=True) for request in settled.requests]
    return Shown(settled.outcomes, settled.changes, committed, more={"requests": ended})
