"""`image-factory update`: carry new versions of images to their consumers; `update apply`: into files here on disk."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from image_factory_cli.clone import clone_options, opened_folder
from image_factory_cli.folder import folder_options, workbench
from image_factory_cli.logs import LogFormat, configure_logs
from image_factory_cli.notices import notify_option, tell
from image_factory_cli.render import show_diff
from image_factory_cli.steps import Manner, Shown, show, write

if TYPE_CHECKING:
    from image_factory.oci.reference import Repository
    from image_factory.usecases.workbench import Workbench

_EXAMPLE = (
    "Example: image-factory update apply --path apps/web/values.yaml --type helm-update-image --image web --tag 1.4.2"
)


class UpdateGroup(click.Group):
    """Takes images' names where a subcommand could stand: `update web` is `update consumers web`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["consumers", *args]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return ["[NAME]... [OPTIONS]", "| apply [OPTIONS]"]


@click.group(
    cls=UpdateGroup,
    epilog="Example: image-factory update backstage --dry-run",
    context_settings={"help_option_names": ["-h", "--help"]},
)
def command() -> None:
    """Carry the new versions of managed images into the files that name them: their `updates`.

    `image-factory update consumers --help` shows the options; `apply` changes a file here on disk.
    """


@command.command("consumers", epilog="Example: image-factory update consumers backstage --dry-run")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--image", "images", multiple=True, metavar="NAME", help="The same as NAME.")
@click.option("--repo", "repositories", multiple=True, metavar="R", help="Look at entries of this repository alone.")
@click.option("--type", "types", multiple=True, metavar="T", help="Look at entries of this type alone.")
@click.option("--dry-run", is_flag=True, help="Show the changes of consumers' files, and push, open and write nothing.")
@click.option("--commit/--no-commit", default=True, show_default=True, help="Commit what is recorded, in one commit.")
@click.option("--push", is_flag=True, help="Push that commit, with rebase and retry.")
@clone_options
@notify_option
@click.option("--json", "as_json", is_flag=True, help="Write the outcomes as JSON.")
@click.option("-v", "--verbose", is_flag=True, help="List images with nothing to do too.")
@folder_options
def consumers(
    names: tuple[str, ...],
    images: tuple[str, ...],
    repositories: tuple[str, ...],
    types: tuple[str, ...],
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
    """Carry the version of each image, or of those named, to the repositories that its `updates` list.

    One commit is pushed, or one change request opened, for each branch that versions go to. What is known to
    name its version already is not asked for again.
    """
    from image_factory.shell.store import FileChange
    from image_factory.usecases.commit import Committed, changed_names, until_settled
    from image_factory.usecases.outcome import exit_code, sentences
    from image_factory.usecases.update import Updated, update_consumers

    bench, must_push = click.get_current_context().with_resource(
        opened_folder(directory, git_repo, git_branch, log_format, log_level)
    )
    # With a program's log, nothing but its lines is said.
    manner = Manner(commit, push or must_push, as_json, verbose, is_quiet=log_format == "json")

    def shown(updated: Updated, committed: Committed | None) -> Shown:
        more = {"edits": [{"target": edit.target, "path": edit.path} for edit in updated.edits]}
        return Shown(updated.outcomes, updated.changes, committed, updated.problems, more)

    if dry_run:
        updated = update_consumers(bench, (*names, *images), repositories=repositories, types=types, dry_run=True)
        if not as_json and not manner.is_quiet:
            for edit in updated.edits:
                click.echo(f"{edit.target}:")
                show_diff([FileChange(PurePosixPath(edit.path), edit.old, edit.new)])
        show(shown(updated, None), manner, op="update")
        return exit_code(updated.outcomes) or (3 if updated.problems else 0)

    def carry() -> tuple[Updated, Committed]:
        updated = update_consumers(bench, (*names, *images), repositories=repositories, types=types)
        return updated, write(
            bench,
            updated.changes,
            manner,
            subject=f"Update consumers of {changed_names(updated.outcomes)}",
            body=sentences(updated.outcomes),
            unpushed=lambda kept: show(shown(updated, kept), manner, op="update"),
        )

    # What an overtaken attempt has pushed is found, and told of, by the next.
    updated, committed = until_settled(carry)
    show(shown(updated, committed), manner, op="update")
    if notify:
        tell(bench, updated.events)
    return exit_code(updated.outcomes) or (3 if updated.problems else 0)


@command.command("apply", epilog=_EXAMPLE)
@click.option(
    "--path", type=click.Path(path_type=Path), required=True, metavar="FILE|DIR", help="The file, or the folder."
)
@click.option("--type", "kind", required=True, metavar="T", help="How it is edited, as type of an updates entry.")
@click.option(
    "--key", "keys", multiple=True, metavar="K", help="A key to change; several times. [default: every place]"
)
@click.option("--image", required=True, metavar="NAME|REPOSITORY", help="The enrolled image, or any repository.")
@click.option("--tag", metavar="T", help="The tag to name.")
@click.option("--digest", metavar="D", help="The digest to name.")
@click.option("--dry-run", is_flag=True, help="Show the changes, and make none.")
@folder_options
def apply(
    path: Path,
    kind: str,
    keys: tuple[str, ...],
    image: str,
    tag: str | None,
    digest: str | None,
    dry_run: bool,
    directory: Path | None,
    log_format: LogFormat,
    log_level: str | None,
) -> int:
    """Make a file name a new version of an image, and leave every other byte of it.

    Nothing is committed or pushed. Works without an image-factory folder too, for a repository given in full.
    """
    from image_factory.model.mention import ImageVersion
    from image_factory.oci.reference import Digest
    from image_factory.shell.store import FileChange
    from image_factory.usecases.apply import apply_version

    configure_logs(log_format, log_level)
    version = ImageVersion(tag, Digest.parse(digest) if digest is not None else None)
    bench, is_folder = _bench(directory)
    repository = _repository(bench if is_folder else None, image)
    updater = bench.plugins.updater_named(kind)
    applied = apply_version(updater, path, repository, version, keys=keys, dry_run=dry_run)
    changed = [change for change in applied if change.is_changed]
    if dry_run:
        show_diff([FileChange(PurePosixPath(change.path.as_posix()), change.old, change.new) for change in changed])
        return 0
    for change in changed:
        click.echo(f"updated {change.path}")
    if not changed:
        click.echo(f"nothing to do: {path} names it already")
    return 0


def _bench(directory: Path | None) -> tuple[Workbench, bool]:
    """Return the workbench, and whether there is a folder; without one, it has the default settings."""
    from image_factory.errors import NotFound
    from image_factory.model.settings import Settings
    from image_factory.shell.settings import find_root, load_settings

    bench: Workbench
    try:
        root = find_root(directory, os.environ, Path.cwd())
        settings = load_settings(root, os.environ, {})
    except NotFound:
        if directory is not None:
            raise
        bench = workbench(Path.cwd(), Settings())
        return bench, False
    bench = workbench(root, settings)
    return bench, True


def _repository(bench: Workbench | None, image: str) -> Repository:
    from image_factory.errors import NotFound
    from image_factory.oci.reference import Repository

    names: list[str] = []
    if bench is not None and bench.images_file.is_file():
        for entry in bench.enrolled().enrollments:
            if entry.enrollment.name == image:
                return entry.enrollment.image
            names.append(entry.enrollment.name)
    # One word is a name: Docker Hub's official images are nobody's to update by it.
    if "/" not in image:
        raise NotFound(
            f"no image is called {image!r}",
            hint=f"enrolled: {', '.join(names) or 'none'}; or give the repository in full, such as ghcr.io/acme/web",
        )
    return Repository.parse(image)
