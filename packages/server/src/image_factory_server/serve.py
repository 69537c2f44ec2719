"""Listen, answer until told to stop, and end in order."""

from __future__ import annotations

import errno
import signal
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import uvicorn

from image_factory.errors import Unavailable, UserError
from image_factory.shell.clock import SystemClock
from image_factory.shell.http import HttpClient
from image_factory.shell.settings import load_settings
from image_factory_server.app import BASE_PATH, make_app
from image_factory_server.counts import Counts
from image_factory_server.desk import Desk

MAX_HEAD = 16 * 1024
"""Bytes of a call's first line and headers."""
MAX_CALLS = 64
"""Calls at once; further ones are answered with 503."""
PATIENCE = 10
"""Seconds that an idle connection is kept, and that calls get to end when the server is stopped."""


def serve(
    root: Path,
    *,
    host: str,
    port: int,
    push: bool = False,
    metrics_file: Path | None = None,
    environ: Mapping[str, str],
    say: Callable[[str], object] = lambda address: None,
) -> None:
    """Serve a folder until SIGINT or SIGTERM.

    Args:
        port: 0 for any that is free.
        push: whether each commit is pushed.
        metrics_file: the counters' file, which commands may add to as well.
        say: told of the address once it is listened at.

    Raises:
        NotFound, InvalidEnrollment: there is no images.yaml that can be read.
        UserError, Unavailable: nothing can listen there.
    """
    settings, clock = load_settings(root, environ, {}), SystemClock()
    with HttpClient(settings, clock) as http, listen(host, port) as listening:
        desk = Desk(root, http, clock, push=push, counts=Counts(metrics_file), environ=dict(environ))
        desk.workbench().images()
        desk.counts.text()  # a file that holds something else is said now, not at the first call
        name = f"[{host}]" if ":" in host else host
        say(f"http://{name}:{listening.getsockname()[1]}{BASE_PATH}")
        before = signal.signal(signal.SIGTERM, lambda *_: None)
        try:
            # It stops in order at either signal, and raises it again when it has: for us that is the end.
            uvicorn.Server(configured(desk)).run(sockets=[listening])
        except KeyboardInterrupt:
            pass
        finally:
            signal.signal(signal.SIGTERM, before)
            desk.close()


def configured(desk: Desk) -> uvicorn.Config:
    """Return how a folder is served: bounded in what is taken, and silent about itself."""
    return uvicorn.Config(
        make_app(desk),
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        h11_max_incomplete_event_size=MAX_HEAD,
        limit_concurrency=MAX_CALLS,
        timeout_keep_alive=PATIENCE,
        timeout_graceful_shutdown=PATIENCE,
        http="h11",
        ws="none",
    )


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address.

    Raises:
        UserError: the address is none of this machine, or may not be used.
        Unavailable: it is in use.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        text = f"cannot listen at {host} port {port}: {error.strerror or error}"
        if error.errno == errno.EADDRINUSE:
            raise Unavailable(text, hint="give another --port, or end what listens there") from error
        raise UserError(text, hint="give --host an address of this machine and --port a free one") from error
