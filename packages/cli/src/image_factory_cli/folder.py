"""The options that every command about a folder shares, and the workbench they make."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from image_factory.errors import ImageFactoryError
from image_factory_cli.logs import LogFormat, configure_logs
from image_factory_cli.progress import progress_for

Command = TypeVar("Command", bound=Callable[..., Any])


def folder_options(command: Command) -> Command:
    """Add the folder's and the logs' options; the command receives them as one `folder: Folder`."""
    options = [
        click.option(
            "--image-factory-dir",
            "directory",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="The image-factory folder. [default: $IMAGE_FACTORY_DIR, else here or ./image-factory]",
        ),
        click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True),
        click.option(
            "--log-level",
            type=click.Choice(["debug", "info", "warning", "error"]),
            help="How much to say on standard error. [default: warning, or info with --log-format json]",
        ),
    ]
    told = _tell_image(command)
    for option in reversed(options):
        told = option(told)
    return told


def _tell_image(command: Command) -> Command:
    """Have the errors that end a command name the image that it was asked for, for those who read logs."""

    @functools.wraps(command)
    def told(*arguments: Any, **parameters: Any) -> Any:
        try:
            return command(*arguments, **parameters)
        except ImageFactoryError as error:
            error.image = error.image or _named_image(parameters)
            raise

    return cast("Command", told)


def _named_image(parameters: Mapping[str, Any]) -> str | None:
    for key in ("image", "name", "images", "names"):
        match parameters.get(key):
            case str(name) | (str(name),):
                return name
    return None


def open_workbench(
    directory: Path | None,
    log_format: LogFormat,
    log_level: str | None,
    overrides: Mapping[str, object] | None = None,
) -> Any:
    """Return the workbench of the folder that the options name.

    Raises:
        NotFound: there is no images.yaml there.
        InvalidSettings: config.yaml, a flag or a variable holds what cannot be used.
    """
    configure_logs(log_format, log_level)
    from image_factory.shell.settings import find_root, load_settings

    root = find_root(directory, os.environ, Path.cwd())
    settings = load_settings(root, os.environ, dict(overrides or {}))
    return workbench(root, settings)


def workbench(root: Path, settings: Any) -> Any:
    """Return a workbench on real ports: the network is touched only when a plugin asks for it."""
    from image_factory.shell.clock import SystemClock
    from image_factory.shell.store import Store
    from image_factory.usecases.workbench import Workbench

    clock = SystemClock()

    # Here, since plugins may be loaded by a thread, which has no context.
    context = click.get_current_context(silent=True)

    def load() -> Any:
        from image_factory.builtins import builtin_plugins
        from image_factory.plugins import load_plugins
        from image_factory.shell.http import HttpClient

        http = HttpClient(settings, clock)
        table = load_plugins(settings, http, clock, builtins=builtin_plugins(), lazily=True)
        if context is not None:
            # Connections and git processes last as long as the command that opened them.
            context.call_on_close(http.close)
            context.call_on_close(table.close)
        return table

    return Workbench(root, settings, Store(root, settings), clock, load, progress_for())
