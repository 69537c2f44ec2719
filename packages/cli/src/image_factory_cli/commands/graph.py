"""`image-factory graph`: which image is built on which, and what would be rebuilt when if a base moved."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from image_factory_cli.folder import folder_options, open_workbench
from image_factory_cli.image_names import complete_image
from image_factory_cli.logs import LogFormat
from image_factory_cli.render import show_problems, show_table, write_json
from image_factory_cli.times import instant, length

if TYPE_CHECKING:
    from image_factory.decide.prediction import Prediction


@click.group(
    invoke_without_command=True,
    epilog="Example: image-factory graph --format mermaid > graph.mmd",
    context_settings={"help_option_names": ["-h", "--help"]},
)
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
@click.pass_context
def command(
    context: click.Context,
    shape: str,
    as_json: bool,
    directory: Path | None,
    log_format: LogFormat,
    log_level: str | None,
) -> int:
    """Show which image is built on which; a cycle is an error that names its path.

    `image-factory graph predict BASE` shows what would be rebuilt when, if a base moved.
    """
    if context.invoked_subcommand is not None:
        return 0
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


@command.command("predict", epilog="Example: image-factory graph predict node-22 --at 2026-12-24T00:00:00Z")
@click.argument("base", shell_complete=complete_image)
@click.option(
    "--at", type=instant, metavar="INSTANT", help="When it moves, such as 2026-12-24T00:00:00Z. [default: now]"
)
@click.option("--platform", "platforms", multiple=True, metavar="OS/ARCH", help="The only platform that it moves on.")
@click.option(
    "--build-time", type=length, metavar="DURATION", default="0s", show_default=True, help="How long each build takes."
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@folder_options
def predict_command(
    base: str,
    at: datetime | None,
    platforms: tuple[str, ...],
    build_time: timedelta,
    as_json: bool,
    directory: Path | None,
    log_format: LogFormat,
    log_level: str | None,
) -> int:
    """Show what would be rebuilt when, if BASE moved now and nothing else happened.

    In waves: each image with the instant from which it is eligible (the longest delay on the way down, and of
    its group), the one at which its window closes, and that of the earliest build; then what would not be
    rebuilt, and why. These are the decisions of `image-factory run`, made over simulated time.
    """
    from image_factory.usecases.predict import predict_cascade, prediction_to_json

    bench = open_workbench(directory, log_format, log_level)
    prediction, problems = predict_cascade(
        bench,
        base,
        at=at,
        platforms=platforms,
        duration=build_time,
    )
    if as_json:
        write_json(prediction_to_json(prediction))
    else:
        _show(prediction)
    show_problems(problems)
    return 3 if problems else 0


def _show(prediction: Prediction) -> None:
    from image_factory.usecases.status import instant

    builds = prediction.builds
    images = "1 image" if len(builds) == 1 else f"{len(builds)} images"
    waves = "1 wave" if len(prediction.waves) == 1 else f"{len(prediction.waves)} waves"
    told = f"{images} would be rebuilt in {waves}" if builds else "nothing would be rebuilt"
    click.echo(f"{prediction.base} moves at {instant(prediction.at)}: {told}.")
    if builds:
        show_table(
            ("WAVE", "IMAGE", "BECAUSE OF", "ELIGIBLE AT", "WINDOW CLOSES", "EARLIEST BUILD"),
            [
                (
                    str(one.wave),
                    one.image,
                    ", ".join(one.because),
                    instant(one.eligible_at) or "-",
                    instant(one.window_closes_at) or "-",
                    instant(one.build_at) or "-",
                )
                for one in builds
            ],
        )
    for image, why in prediction.not_rebuilt.items():
        because = why if isinstance(why, str) else f"{why.reason}: {why.because}"
        click.echo(f"{click.style('·', dim=True)} {image} would not be: {because}")
