"""`image-factory verify`: judge whether what an image published may be used."""

from __future__ import annotations

from pathlib import Path

import click

from image_factory_cli.clone import clone_options, opened_folder
from image_factory_cli.folder import folder_options
from image_factory_cli.image_names import complete_image
from image_factory_cli.logs import LogFormat
from image_factory_cli.steps import Manner, Shown, show


@click.command(epilog="Example: image-factory verify --image backstage")
@click.option(
    "--image", "names", multiple=True, metavar="NAME", shell_complete=complete_image, help="Judge this image alone."
)
@click.option("--digest", metavar="DIGEST", help="What was published of the one --image.")
@clone_options
@click.option("--json", "as_json", is_flag=True, help="Write the outcomes as JSON.")
@folder_options
def command(
    names: tuple[str, ...],
    digest: str | None,
    git_repo: str | None,
    git_branch: str | None,
    as_json: bool,
    directory: Path | None,
    log_format: LogFormat,
    log_level: str | None,
) -> int:
    """Judge whether what a managed image published may go to its consumers: the gate that `update` keeps to.

    An image that asks for a verification or a policy does not pass, since nothing here can judge that yet.
    """
    from image_factory.errors import UserError
    from image_factory.oci.reference import Digest
    from image_factory.usecases.outcome import Failed, exit_code
    from image_factory.usecases.verify import verify_images

    if digest is not None and len(names) != 1:
        raise UserError("--digest without one --image", hint="name the image that published it")
    published = None if digest is None else str(Digest.parse(digest))
    bench, _ = click.get_current_context().with_resource(
        opened_folder(directory, git_repo, git_branch, log_format, log_level)
    )
    outcomes = verify_images(bench, names, digest=published)
    show(Shown(outcomes, ()), Manner(False, False, as_json, True, log_format == "json"), op="verify")
    refused = [outcome.error for outcome in outcomes if isinstance(outcome, Failed)]
    return refused[0].exit_code if len(refused) == len(outcomes) == 1 else exit_code(outcomes)
