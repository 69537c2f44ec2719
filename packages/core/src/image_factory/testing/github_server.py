"""A stateful GitHub on loopback: REST over real git repositories, pull requests, workflows and their runs.

What a client writes is in a bare repository that git itself can read, and can be cloned from this
very server. The answers' shapes are those of GitHub's published OpenAPI description
(`image_factory.testing.github_openapi` holds every recorded exchange to it); the refusals' words are
GitHub's. Served both at the root, as api.github.com is, and below /api/v3, as Enterprise is. No GraphQL.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from image_factory.shell.git_program import Git
from image_factory.testing.git_server import GitServer, git_answer, read_body
from image_factory.testing.github_routes import Answer, Refusal, answer

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Run:
    """One run of a workflow, as GitHub's API tells it."""

    id: int
    name: str
    path: str
    title: str
    ref: str
    sha: str
    number: int
    created_at: str
    updated_at: str
    event: str = "workflow_dispatch"
    status: str = "queued"
    conclusion: str | None = None
    attempt: int = 1
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Pull:
    """One pull request."""

    number: int
    head: str
    base: str
    head_sha: str
    base_sha: str
    title: str
    body: str
    created_at: str
    state: str = "open"
    closed_at: str | None = None
    is_merged: bool = False


@dataclass(slots=True)
class RepositoryState:
    """What a repository has beside its git objects."""

    pulls: list[Pull] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer, as they went over the wire; `path` without /api/v3."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """The request's, names in lower case."""
    body: bytes
    status: int
    answer: bytes
    content_type: str


@dataclass(slots=True)
class Trouble:
    """An answer in place of the true one, for requests that match."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    matches: re.Pattern[str]
    times: int


class GitHubServer:
    """Serves while it is entered.

    >>> with GitHubServer(folder, token="t0ken") as github:                     # doctest: +SKIP
    ...     github.repositories.create("acme/web.git", {"Dockerfile": "FROM alpine:3.19\\n"})

    Args:
        folder: where the bare repositories lie, `owner/name.git`; made where it does not exist.
        token: what clients must give; None lets everyone read and write.
        has_run_details: whether a dispatch may ask for the run's id; older Enterprise refuses that.
        max_entries: entries of a recursive tree before it is told truncated.
    """

    def __init__(
        self,
        folder: Path,
        *,
        token: str | None = None,
        has_run_details: bool = True,
        max_entries: int = 100_000,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.repositories = GitServer(folder)
        """Creates and commits behind the API's back."""
        self.token = token
        self.tokens = {token} if token else set[str]()
        self.has_run_details = has_run_details
        self.max_entries = max_entries
        self.exchanges: list[Exchange] = []
        self.states: dict[str, RepositoryState] = {}
        self.lasting: dict[tuple[str, ...], str] = {}
        """What git said of objects by their ids."""
        self.lock = threading.RLock()
        self._troubles: list[Trouble] = []
        self._ticks = 0
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> GitHubServer:
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
    def url(self) -> str:
        """The web's base, and of github.com's kind of API; Enterprise's is this and /api/v3."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def state(self, full_name: str) -> RepositoryState:
        """Return what a repository has beside its git objects."""
        return self.states.setdefault(full_name, RepositoryState())

    def trouble(
        self,
        status: int,
        body: bytes | Mapping[str, object] = b"",
        *,
        headers: Mapping[str, str] | None = None,
        matches: str = "",
        times: int = 1,
    ) -> None:
        """Answer the next `times` requests whose `METHOD path` matches with this instead."""
        text = body if isinstance(body, bytes) else json.dumps(dict(body)).encode()
        self._troubles.append(Trouble(status, text, dict(headers or {}), re.compile(matches), times))

    def finish(self, full_name: str, run_id: int, conclusion: str = "success", status: str = "completed") -> None:
        """Let a run be at its end, or where `status` says."""
        with self.lock:
            run = next(run for run in self.state(full_name).runs if run.id == run_id)
            run.status, run.updated_at = status, self.tick()
            run.conclusion = conclusion if status == "completed" else None

    def settle_pull(self, full_name: str, number: int, *, merge: bool) -> None:
        """Merge a pull request, with a merge commit as GitHub makes it, or close it; its branch stays."""
        with self.lock:
            pull = next(pull for pull in self.state(full_name).pulls if pull.number == number)
            pull.state, pull.closed_at, pull.is_merged = "closed", self.tick(), merge
            if merge:
                git = Git(self.repositories.path(f"{full_name}.git"), is_exact=True)
                base, doing = f"refs/heads/{pull.base}", f"cannot merge {number}"
                tree = git.run("merge-tree", "--write-tree", base, pull.head_sha, doing=doing).text()
                who = {
                    f"GIT_{role}_{part}": "web-flow" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")
                }
                words = ("commit-tree", tree, "-p", base, "-p", pull.head_sha, "-m", f"Merge pull request #{number}")
                git.run("update-ref", base, git.run(*words, extra=who, doing=doing).text(), doing=doing)

    def tick(self) -> str:
        """Return an instant that is later than every one before."""
        self._ticks += 1
        return (BEGINNING + timedelta(seconds=self._ticks)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def next_trouble(self, request: str) -> Trouble | None:
        """Return the trouble that is due for `METHOD path`, and count it."""
        with self.lock:
            for trouble in self._troubles:
                if trouble.times > 0 and trouble.matches.search(request):
                    trouble.times -= 1
                    return trouble
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: GitHubServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet, not 40 ms apart
    server_version = "image-factory-github"
    server: _Server

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True  # the client went away

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PATCH = do_DELETE = do_PUT = do_GET  # noqa: N815  # names that http.server looks for

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the base class's name
        """Stay silent: the list of exchanges tells more."""

    def _answer(self) -> None:
        owner = self.server.owner
        parts = urlsplit(self.path)
        headers = {key.lower(): value for key, value in self.headers.items()}
        body = read_body(self, headers)
        if ".git/" in parts.path:
            status, told, content = git_answer(
                owner.repositories.folder, self.command, parts.path, parts.query, headers, body
            )
            self._send(status, told, content)
            return
        path = parts.path.removeprefix("/api/v3")
        trouble = owner.next_trouble(f"{self.command} {path}?{parts.query}")
        if trouble is not None:
            told = {"Content-Type": "application/json; charset=utf-8", **trouble.headers}
            self._send(trouble.status, told, trouble.body)
            return
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        base = owner.url + ("/api/v3" if path != parts.path else "")
        try:
            _authenticate(owner, self.command, headers)
            parsed = json.loads(body) if body else {}
            with owner.lock:
                result = answer(owner, base, self.command, unquote(path), query, headers, parsed)
        except Refusal as refusal:
            result = Answer(refusal.status, {"message": refusal.message, **_documentation(refusal)})
        content = b"" if result.json is None else json.dumps(result.json).encode()
        content_type = "application/json; charset=utf-8"
        if result.text is not None:
            content, content_type = result.text.encode(), "application/vnd.github.sha; charset=utf-8"
        told = {"Content-Type": content_type, "X-GitHub-Request-Id": "0:0:0:0:0", "X-RateLimit-Limit": "5000"}
        told |= {"X-RateLimit-Remaining": "4999", "X-RateLimit-Reset": "1767229200", **result.headers}
        owner.exchanges.append(Exchange(self.command, path, query, headers, body, result.status, content, content_type))
        self._send(result.status, told, content)

    def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _documentation(refusal: Refusal) -> dict[str, Any]:
    told: dict[str, Any] = {"documentation_url": "https://docs.github.com/rest", "status": str(refusal.status)}
    if refusal.errors:
        told["errors"] = list(refusal.errors)
    return told


def _authenticate(owner: GitHubServer, method: str, headers: Mapping[str, str]) -> None:
    given = headers.get("authorization", "")
    scheme, _, token = given.partition(" ")
    if token.count(".") == 2 and scheme == "Bearer":
        return  # an app's signed claim; its routes alone take it
    if given and (scheme.lower() not in ("bearer", "token") or (owner.token and token not in owner.tokens)):
        raise Refusal(401, "Bad credentials")
    if owner.token and not given:
        raise Refusal(401, "Requires authentication") if method != "GET" else Refusal(404, "Not Found")


def as_mapping(item: Run | Pull) -> dict[str, Any]:
    """Return a run or pull request as `github_answers` reads it."""
    return asdict(item)
