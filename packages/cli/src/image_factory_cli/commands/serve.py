"""`image-factory serve`: the HTTP API of a folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from image_factory.errors import UnknownPlugin
from image_factory_cli.folder import folder_options
from image_factory_cli.logs import LogFormat, configure_logs


@click.command(epilog="Example: image-factory serve --port 8080 --push --log-format json")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="The address to listen at.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0 for any that is free.")
@click.option("--push", is_flag=True, help="Push each commit, with rebase and retry.")
@click.option(
    "--metrics-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Count in this file, which commands may add to as well, and show it at /metrics.",
)
@folder_options
def command(
    host: str,
    port: int,
    push: bool,
    metrics_file: Path | None,
    directory: Path | None,
    log_format: LogFormat,
    log_level: str | None,
) -> int:
    """Serve the HTTP API of the folder until it is stopped.

    Below /api/image-factory: GET /health, GET /metrics, POST /emergency-rebuilds. Callers are told apart
    by the OIDC token of a CI job, and what they may is said in config.yaml, as for the command emergency.
    It speaks HTTP without TLS: put it behind what does, and do not let others reach it.
    """
    serve = _serve()
    configure_logs(log_format, log_level)
    from image_factory.shell.settings import find_root

    root = find_root(directory, os.environ, Path.cwd())
    told = (
        (lambda address: None) if log_format == "json" else lambda address: click.echo(f"serving {root} at {address}")
    )
    serve(root, host=host, port=port, push=push, metrics_file=metrics_file, environ=os.environ, say=told)
    return 0


def _serve() -> Callable[..., Any]:
    try:
        from image_factory_server.serve import serve
    except ModuleNotFoundError as error:
        if error.name not in ("image_factory_server", "fastapi", "uvicorn"):
            raise
        raise UnknownPlugin(
            "the server is not installed", hint="pip install 'image-factory[server]', which brings FastAPI and uvicorn"
        ) from error
    return serve
