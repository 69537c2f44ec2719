"""The option of commands that count what they did, and the counting."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from image_factory.model.metric import Sample

Command = TypeVar("Command", bound=Callable[..., Any])


def metrics_option(command: Command) -> Command:
    """Add `--metrics-file`."""
    return click.option(
        "--metrics-file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Add what happened to the counters in this file, for the node exporter's textfile collector.",
    )(command)


def record_metrics(path: Path | None, samples: Iterable[Sample]) -> None:
    """Add samples to the file that the option names, if it names one.

    Raises:
        UserError: the file holds something else, or cannot be written.
    """
    if path is not None:
        from image_factory.shell.metrics_file import add_to_metrics_file

        add_to_metrics_file(path, samples)
