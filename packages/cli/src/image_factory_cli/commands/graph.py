"""`image-factory graph`: which image is built on which."""

from __future__ import annotations

from pathlib import Path

import click

from image_factory_cli.folder import folder_options, open_workbench
from image_factory_cli.logs import LogFormat
from image_factory_cli.render import show_problems, write_json


@click.command(epilog="Example: image-factory graph --format mermaid > graph.mmd")
@click.option(
    "--format",
    "shape",
    type=click.Choice(["text", "mermaid", "dot", "json"]),
    default="text",
    show_default=True,
    help="How to write it.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@folder_options
def command(shape: str, as_json: bool, directory: Path | None, log_format: LogFormat, log_level: str | None) -> int:
    """Show which image is built on which; a cycle is an error that names its path."""
    from image_factory.usecases import graph as graphs

    bench = open_workbench(directory, log_format, log_level)
    enrolled = bench.enrolled()  # an images.yaml that cannot be read is an error here too
    graph, problems = graphs.read_graph(bench)
    if as_json or shape == "json":
        write_json(graphs.to_json(graph))
    else:
        text = graphs.FORMATS[shape](graph)
        click.echo(text or "no images yet: image-factory analyze finds them")
    problems = (*enrolled.problems, *problems)
    show_problems(problems)
    return 3 if problems else 0
