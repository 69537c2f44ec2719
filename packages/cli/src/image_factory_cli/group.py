"""The group of commands, each imported only when it is called, and the one place that catches errors."""

from __future__ import annotations

import importlib
import keyword
import sys
from collections.abc import Sequence
from typing import Any

import click

from image_factory.errors import ImageFactoryError, UserError

COMMANDS: dict[str, str] = {
    # command: one line for the list of commands, so that help imports none of them
    "demo": "Show the main job on a loopback registry and git server.",
    "init": "Make an image-factory folder.",
    "enroll": "Add an image to images.yaml.",
    "import": "Propose enrollments from a Renovate or Dependabot configuration.",
    "validate": "Check images.yaml and config.yaml.",
    "inspect": "Show which images Dockerfiles would pull.",
    "analyze": "Find the base images of enrolled images and record them.",
    "observe": "Ask registries what tags point at now and record what moved.",
    "status": "Show what is known of every image.",
    "explain": "Say what an image is, what it waits for and why.",
    "history": "Show what happened to an image, newest first.",
    "graph": "Show which image is built on which.",
    "replay": "Show what another policy would have come to.",
    "workflow": "Write the workflow that builds an image.",
    "run": "Do all that is due, once or again and again.",
    "coordinate": "Decide which rebuilds are due, and request them.",
    "dispatch": "Start the builds that are requested.",
    "settle": "Record what became of the builds that were started.",
    "rebuild": "Start a rebuild of an image.",
    "emergency": "Rebuild what a vulnerability concerns at once.",
    "audit": "Show the audit log of emergencies, or check that it is whole.",
    "hold": "Stop rebuilds of an image, or with a digest, for a while.",
    "runs": "List the build runs of an image, or start one again.",
    "versions": "Show what is published of an image.",
    "scan": "Find where a tree names managed images, and propose updates entries.",
    "verify": "Judge whether what an image published may be used.",
    "update": "Carry a new version of an image into the files that name it.",
    "cleanup": "Archive what is not used any more, and restore it.",
    "synth": "Write the Kargo resources.",
    "serve": "Serve the HTTP API.",
    "plugins": "List the plugins that are loaded.",
    "schema": "Print the JSON Schema of images.yaml.",
    "completion": "Print the completion script of a shell.",
}
"""Every command, in the order of a first reading; `commands/<module_name>.py` holds it as `command`."""

ALIASES: dict[str, str] = {"analyse": "analyze"}


def module_name(command: str) -> str:
    """Return the name of the module that holds a command; one that Python keeps for itself gets a `_` (PEP 8)."""
    name = command.replace("-", "_")
    return f"{name}_" if keyword.iskeyword(name) else name


class LazyGroup(click.Group):
    """Lists commands from `COMMANDS` and imports one when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = ALIASES.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"image_factory_cli.commands.{module_name(name)}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="image-factory-core", prog_name="image-factory", message="%(prog)s %(version)s")
def cli() -> None:
    """Keep container images current with the images they are built on."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        answer: Any = cli.main(args=list(arguments), prog_name="image-factory", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.Abort:
        sys.stderr.write("interrupted\n")
        return 130
    except click.ClickException as error:
        error.show()
        return UserError.exit_code
    except ImageFactoryError as error:
        words = " ".join(arguments).replace("--log-format=", "--log-format ")
        if "--log-format json" in words:
            log_error(error, op=arguments[0])
        else:
            show_error(error)
        return error.exit_code
    return answer if isinstance(answer, int) else 0


def log_error(error: ImageFactoryError, *, op: str) -> None:
    """Write one line of JSON, for a program that reads standard error; none where the error was logged already."""
    import logging

    from image_factory_cli.logs import configure_logs

    if error.is_logged:
        return
    configure_logs("json", "error")
    where = None if error.location is None else str(error.location)
    fields = {"image": error.image, "op": op, "input": where, "hint": error.hint}
    logging.getLogger("image_factory").error(error.message, extra=fields)


def show_error(error: ImageFactoryError) -> None:
    """Write one line of error and, where there is one, one line of hint."""
    sys.stderr.write(f"error: {error}\n")
    if error.hint:
        sys.stderr.write(f"hint: {error.hint}\n")
