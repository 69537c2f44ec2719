"""`image-factory plugins`: what is loaded, from where, and what is broken."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from image_factory_cli.folder import folder_options
from image_factory_cli.logs import LogFormat, configure_logs
from image_factory_cli.render import show_table, write_json

if TYPE_CHECKING:
    from image_factory.loaded import LoadedPlugin


@click.command(epilog="Example: image-factory plugins --json")
@click.argument("action", type=click.Choice(["list"]), default="list", required=False)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@folder_options
def command(action: str, as_json: bool, directory: Path | None, log_format: LogFormat, log_level: str | None) -> int:
    """List the plugins that are loaded, the distribution each comes from, and what it registers.

    One that cannot be imported, or fails to register, is listed as broken; the others go on. Works without
    an image-factory folder too. `disabledPlugins` in config.yaml leaves plugins out.
    """
    import os

    from image_factory.errors import NotFound
    from image_factory.model.settings import Settings
    from image_factory.shell.settings import find_root, load_settings
    from image_factory_cli.folder import workbench

    configure_logs(log_format, log_level)
    try:
        root = find_root(directory, os.environ, Path.cwd())
        settings = load_settings(root, os.environ, {})
    except NotFound:
        if directory is not None:
            raise
        root, settings = Path.cwd(), Settings()
    table = workbench(root, settings).plugins
    registered: dict[str, list[str]] = {}
    for (port, name), plugin in table.origins.items():
        registered.setdefault(plugin, []).append(f"{port} {name}")
    data = [
        {
            "name": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "module": plugin.module,
            "builtin": plugin.is_builtin,
            "enabled": plugin.is_enabled,
            "problem": str(table.broken[plugin.name]) if plugin.name in table.broken else None,
            "hooks": list(plugin.hooks),
            "registers": sorted(registered.get(plugin.name, [])),
        }
        for plugin in table.loaded
    ]
    if as_json:
        write_json(data)
        return 0
    rows = [
        (
            plugin.name,
            f"{plugin.distribution} {plugin.version}",
            _state(plugin, is_broken=plugin.name in table.broken),
            ", ".join(sorted(registered.get(plugin.name, []))) or ", ".join(plugin.hooks) or "-",
        )
        for plugin in table.loaded
    ]
    show_table(("PLUGIN", "DISTRIBUTION", "STATE", "REGISTERS"), rows)
    return 0


def _state(plugin: LoadedPlugin, *, is_broken: bool) -> str:
    if is_broken:
        return "broken"
    if plugin.is_builtin:
        return "built in"
    return "enabled" if plugin.is_enabled else "disabled"
