"""The option of commands that tell people what they learned, and the telling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from image_factory.model.event import Event

Command = TypeVar("Command", bound=Callable[..., Any])


def notify_option(command: Command) -> Command:
    """Add `--notify/--no-notify`."""
    return click.option(
        "--notify/--no-notify",
        default=True,
        show_default=True,
        help="Tell what is new through the notifiers that are set up.",
    )(command)


def tell(bench: Any, events: Sequence[Event]) -> None:
    """Deliver events, if there are any; a failure is logged, and changes nothing else."""
    if events:
        from image_factory.usecases.notify import notify

        notify(bench, events)
