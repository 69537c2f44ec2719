"""`image-factory schema`: the JSON Schema of images.yaml or config.yaml, for editors."""

from __future__ import annotations

import click

from image_factory_cli.render import write_json


@click.command(epilog="Example: image-factory schema > images.schema.json")
@click.option("--config", "of_config", is_flag=True, help="That of config.yaml.")
def command(of_config: bool) -> int:
    """Print the JSON Schema of images.yaml (draft 2020-12).

    An editor with a YAML language server checks a file whose first line names a schema:
    `# yaml-language-server: $schema=images.schema.json`.
    """
    from image_factory.usecases.schema import images_schema, settings_schema

    write_json(settings_schema() if of_config else images_schema())
    return 0
