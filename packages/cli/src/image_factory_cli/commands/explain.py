"""`image-factory explain`: what an image is, what it waits for and why."""

from __future__ import annotations

from pathlib import Path

import click

from image_factory_cli.folder import folder_options, open_workbench
from image_factory_cli.image_names import complete_image
from image_factory_cli.logs import LogFormat
from image_factory_cli.render import write_json


@click.command(epilog="Example: image-factory explain backstage")
@click.argument("image", shell_complete=complete_image)
@click.option("--json", "as_json", is_flag=True, help="Write JSON: the sentences, and the data behind them.")
@folder_options
def command(image: str, as_json: bool, directory: Path | None, log_format: LogFormat, log_level: str | None) -> int:
    """Say what an image or base image is, what it waits for and why.

    What it holds now, what a rebuild would take, by which rule and evidence, until when it waits, for what,
    its request and run, its last rebuilds, and its consumers.
    """
    from image_factory.usecases import explain as explanations
    from image_factory.usecases.status import read_status

    bench = open_workbench(directory, log_format, log_level)
    bench.enrolled()  # an images.yaml that cannot be read is an error here too
    status = read_status(bench)
    now = bench.clock.now()
    if as_json:
        write_json(explanations.explanation_to_json(status, image, now))
    else:
        click.echo("\n".join(explanations.explain(status, image, now)))
    return 0
