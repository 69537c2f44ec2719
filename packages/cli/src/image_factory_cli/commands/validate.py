"""`image-factory validate`: everything that is wrong in images.yaml and config.yaml."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from image_factory_cli.folder import folder_options, workbench
from image_factory_cli.logs import LogFormat, configure_logs
from image_factory_cli.render import error_to_json, report_problems, report_warnings, write_json

if TYPE_CHECKING:
    from image_factory.model.settings import Settings
    from image_factory.state.images_yaml import PluginNames


@click.command(epilog="Example: image-factory validate --strict")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.option("--strict", is_flag=True, help="Take warnings, such as unknown keys, for errors.")
@folder_options
def command(as_json: bool, strict: bool, directory: Path | None, log_format: LogFormat, log_level: str | None) -> int:
    """Check images.yaml and config.yaml, and name every error with its line and what would be right.

    Ends with 2 where anything is wrong.
    """
    from image_factory.shell.settings import find_root
    from image_factory.usecases.validate import validate

    configure_logs(log_format, log_level)
    root = find_root(directory, os.environ, Path.cwd())
    found = validate(root, os.environ, {}, lambda settings: installed_plugins(root, settings))
    if as_json:
        write_json(
            {
                "valid": found.exit_code(strict=strict) == 0,
                "images": found.images,
                "problems": [error_to_json(problem) for problem in found.problems],
                "warnings": [error_to_json(warning) for warning in found.warnings],
            }
        )
        return found.exit_code(strict=strict)
    # With a program's log, nothing but its lines is said.
    is_quiet = log_format == "json"
    report_problems(found.problems, op="validate", is_quiet=is_quiet)
    report_warnings(found.warnings, op="validate", is_quiet=is_quiet)
    if is_quiet:
        return found.exit_code(strict=strict)
    counts = [
        (found.images, "good image", "good images"),
        (len(found.problems), "error", "errors"),
        (len(found.warnings), "warning", "warnings"),
    ]
    click.echo(", ".join(f"{number} {one if number == 1 else many}" for number, one, many in counts))
    return found.exit_code(strict=strict)


def installed_plugins(root: Path, settings: Settings) -> PluginNames:
    """Return the names of the plugins that entries may use."""
    from image_factory.model.enrollment import UPDATE_TYPES
    from image_factory.plugins import PUBLISHED
    from image_factory.state.images_yaml import PluginNames

    table = workbench(root, settings).plugins
    installed = {
        "source": frozenset(table.sources),
        "file updater": frozenset(UPDATE_TYPES) | frozenset(table.updaters),
    }
    return PluginNames(installed, PUBLISHED, tuple(map(str, table.broken.values())))
