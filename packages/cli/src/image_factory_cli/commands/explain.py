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
    """Say what an image or base image is, what it waits for and why."""
    from image_factory.model.image_state import BaseState
    from image_factory.usecases import status as statuses
    from image_factory.usecases.explain import explain

    bench = open_workbench(directory, log_format, log_level)
    bench.enrolled()  # an images.yaml that cannot be read is an error here too
    status = statuses.read_status(bench)
    lines = explain(status, image, bench.clock.now())
    if as_json:
        found = statuses.find_image(status, image)
        is_base = isinstance(found, BaseState)
        data = (
            statuses.base_to_json(found, status.dependents.get(image, ()))
            if isinstance(found, BaseState)
            else statuses.to_json(found)
        )
        write_json({"name": image, "kind": "base" if is_base else data["kind"], "sentences": lines, "state": data})
    else:
        click.echo("\n".join(lines))
    return 0
