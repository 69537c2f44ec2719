"""What the REST servers on loopback share: one thread, troubles on order, a list of what was exchanged.

`image_factory.testing.github_server` and `gitlab_server` are built on it. What a request means is a subclass's
business.
"""

from __future__ import annotations

import json
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from image_factory.testing.git_server import read_body

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `path` as it was sent, with its percent signs."""

    method: str
    path: str
    query: Mapping[str, str]
    query_text: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    below: str = ""
    """What a server that answers below several paths took off the front of `path`."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer, as they went over the wire."""

    request: Request
    reply: Reply

    @property
    def method(self) -> str:
        return self.request.method

    @property
    def path(self) -> str:
        return self.request.path

    @property
    def headers(self) -> Mapping[str, str]:
        """The request's."""
        return self.request.headers

    @property
    def status(self) -> int:
        return self.reply.status


@dataclass(slots=True)
class Trouble:
    """An answer in place of the true one, for requests that match."""

    reply: Reply
    matches: re.Pattern[str]
    times: int


class RestServer(ABC):
    """Serves while it is entered; a subclass answers."""

    instants = "%Y-%m-%dT%H:%M:%S.000Z"
    """How the service writes an instant, for strftime."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.lock = threading.RLock()
        self._troubles: list[Trouble] = []
        self._ticks = 0
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @abstractmethod
    def respond(self, request: Request) -> Reply:
        """Return the true answer to a request."""

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    @property
    def origin(self) -> str:
        """Scheme, address and port, without a path."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def trouble(
        self,
        status: int,
        body: bytes | Mapping[str, object] = b"",
        *,
        headers: Mapping[str, str] | None = None,
        matches: str = "",
        times: int = 1,
    ) -> None:
        """Answer the next `times` requests whose `METHOD path?query` matches with this instead."""
        text = body if isinstance(body, bytes) else json.dumps(dict(body)).encode()
        reply = Reply(status, text, {"Content-Type": "application/json", **(headers or {})})
        self._troubles.append(Trouble(reply, re.compile(matches), times))

    def repair(self) -> None:
        """Take all troubles away that are still to come."""
        with self.lock:
            self._troubles.clear()

    def tick(self) -> str:
        """Return an instant that is later than every one before."""
        with self.lock:
            self._ticks += 1
            return (BEGINNING + timedelta(seconds=self._ticks)).strftime(self.instants)

    def answer(self, request: Request) -> Reply:
        """Return the trouble that is due for a request, else its true answer, which is recorded."""
        with self.lock:
            for trouble in self._troubles:
                if trouble.times > 0 and trouble.matches.search(
                    f"{request.method} {request.path}?{request.query_text}"
                ):
                    trouble.times -= 1
                    return trouble.reply
        reply = self.respond(request)
        self.exchanges.append(Exchange(request, reply))
        return reply


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: RestServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet, not 40 ms apart
    server_version = "image-factory-rest"
    server: _Server

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True  # the client went away

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        headers = {key.lower(): value for key, value in self.headers.items()}
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        request = Request(self.command, parts.path, query, parts.query, headers, read_body(self, headers))
        reply = self.server.owner.answer(request)
        self.send_response(reply.status)
        for key, value in reply.headers.items():
            self.send_header(key, value)
        if reply.status != 204:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    do_POST = do_PATCH = do_DELETE = do_PUT = do_GET  # noqa: N815  # names that http.server looks for

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the base class's name
        """Stay silent: the list of exchanges tells more."""
