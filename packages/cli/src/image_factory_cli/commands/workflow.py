"""`image-factory workflow`: write the workflow that builds an image."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import click

from image_factory.errors import NotFound, Unavailable
from image_factory_cli.folder import folder_options, open_workbench
from image_factory_cli.logs import LogFormat


@click.command(epilog="Example: image-factory workflow backstage --output .github/workflows/backstage.yml")
@click.argument("image")
@click.option("--provider", type=click.Choice(["github", "gitlab"]), help="Whose CI. [default: the source's provider]")
@click.option(
    "--output", default="-", show_default=True, metavar="FILE", help="Write here, replacing what is there; - prints it."
)
@click.option(
    "--local/--not-local",
    "is_local",
    default=None,
    help="Whether it is built from a folder of the repository that holds the image-factory folder, with a version "
    "file, patches and a suffix. [default: told by the source's repository]",
)
@click.option("--dry-run", is_flag=True, help="Show the change to FILE as a diff, and write nothing.")
@folder_options
def command(
    image: str,
    provider: str | None,
    output: str,
    is_local: bool | None,
    dry_run: bool,
    directory: Path | None,
    log_format: LogFormat,
    log_level: str | None,
) -> int:
    """Write the workflow that builds IMAGE with buildx: a GitHub workflow, or a job for GitLab.

    It takes the base images' digests as an input and hands them to BuildKit, labels the image with its
    base, and attests provenance and an SBOM. Commit it to the image's repository, where GitHub looks
    for it: .github/workflows/IMAGE.yml, or the enrollment's source.workflow.
    """
    from image_factory.shell.store import FileChange
    from image_factory.usecases.workflow import write_workflow
    from image_factory_cli.render import show_diff

    bench = open_workbench(directory, log_format, log_level)
    workflow = write_workflow(bench, image, provider=provider, is_local=is_local)
    if output == "-":
        click.echo(workflow.text, nl=False)
        return 0
    target = Path(output)
    if dry_run:
        old = target.read_text(encoding="utf-8") if target.is_file() else None
        if old != workflow.text:
            show_diff([FileChange(PurePosixPath(output), old, workflow.text)])
        return 0
    try:
        target.write_text(workflow.text, encoding="utf-8")
    except FileNotFoundError as error:
        raise NotFound(f"no folder {str(target.parent)!r}", hint=f"mkdir -p {target.parent}") from error
    except OSError as error:
        raise Unavailable(f"cannot write {output!r}: {error.strerror}", hint="choose another --output") from error
    click.echo(f"wrote {output}")
    click.echo(f"next: commit it to {image}'s repository as {workflow.path}")
    return 0
