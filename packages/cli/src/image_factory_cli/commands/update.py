"""`image-factory update apply`: carry a new version of an image into a consumer's files, here on disk."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from image_factory_cli.folder import folder_options, workbench
from image_factory_cli.logs import LogFormat, configure_logs
from image_factory_cli.render import show_diff

if TYPE_CHECKING:
    from image_factory.oci.reference import Repository
    from image_factory.usecases.workbench import Workbench

_EXAMPLE = (
    "Example: image-factory update apply --path apps/web/values.yaml --type helm-update-image --image web --tag 1.4.2"
)


@click.group(epilog=_EXAMPLE)
def command() -> None:
    """Carry a new version of an image into the files that name it."""


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
