"""The folder that a command works on: the one that lies here, or one in a fresh clone of a repository."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from image_factory.errors import UserError
from image_factory_cli.folder import open_workbench, workbench
from image_factory_cli.logs import LogFormat


def clone_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--git-repo` and `--git-branch`, which `opened_folder` takes."""
    branch = click.option("--git-branch", metavar="BRANCH", help="The branch of --git-repo.")
    repository = click.option(
        "--git-repo", metavar="URL", help="Clone the state repository from here, and push what is learned."
    )
    return repository(branch(command))


@contextlib.contextmanager
def opened_folder(
    directory: Path | None,
    git_repo: str | None,
    git_branch: str | None,
    log_format: LogFormat,
    log_level: str | None,
) -> Iterator[tuple[Any, bool]]:
    """Give the workbench of the folder, and whether what is committed there must be pushed.

    With `git_repo`, the folder lies in a fresh clone that is gone afterwards: what is not pushed is lost.
    """
    if not git_repo:
        if git_branch:
            raise UserError("--git-branch without --git-repo", hint="give the repository's URL too")
        yield open_workbench(directory, log_format, log_level), False
        return
    import os
    import tempfile

    from image_factory.model.settings import Settings
    from image_factory.shell.git_clone import clone, push_credentials

    if directory is not None and (directory.is_absolute() or ".." in directory.parts):
        raise UserError(
            f"--image-factory-dir {str(directory)!r} leads out of the clone", hint="give a path inside the repository"
        )
    with tempfile.TemporaryDirectory(prefix="image-factory-") as folder:
        target = Path(folder, "state")
        # The clone's own settings are not known yet, so the plugins are asked with none.
        sources = workbench(target, Settings()).plugins.sources.values()
        clone(git_repo, target, branch=git_branch, credentials=push_credentials(git_repo, sources, os.environ))
        yield open_workbench(target / (directory or "image-factory"), log_format, log_level), True
