"""`image-factory completion`: the script that makes a shell complete our commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(epilog='Example: eval "$(image-factory completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    """Print the completion script of a shell."""
    from image_factory_cli.group import cli

    completion = get_completion_class(shell)
    assert completion is not None
    click.echo(completion(cli, {}, "image-factory", "_IMAGE_FACTORY_COMPLETE").source())
    return 0
