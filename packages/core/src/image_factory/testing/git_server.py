"""A real git server on loopback: git's own smart HTTP protocol, over a folder of bare repositories.

`git http-backend` answers, so what clients meet is what they meet in production. With a user and a
password it asks for them; it keeps a list of the requests it got. For tests and for the demo.
"""

from __future__ import annotations

import base64
import hmac
import os
import re
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlsplit

from image_factory.errors import NotFound, UnsafeValue
from image_factory.ports import Credentials
from image_factory.shell.git_program import Git, checked_path, checked_ref
from image_factory.shell.process import clean_environment, run_tool

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*\.git\Z")


@dataclass(frozen=True, slots=True)
class GitRequest:
    """One request that the server got."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    """Names in lower case."""


class GitServer:
    """Serves the bare repositories below `folder` while it is entered.

    >>> with GitServer(folder) as server:                                       # doctest: +SKIP
    ...     server.create("services.git", {"Dockerfile": "FROM alpine:3.19\\n"})
    ...     server.url("services.git")
    'http://127.0.0.1:40123/services.git'

    Args:
        folder: made where it does not exist.
        credentials: what clients must give (Basic); None lets everyone in.
        has_filters: whether clients may leave blobs out (partial clones).
    """

    def __init__(
        self, folder: Path, *, credentials: Credentials | None = None, has_filters: bool = True, port: int = 0
    ) -> None:
        self.folder = folder
        self.credentials = credentials
        self.has_filters = has_filters
        self.requests: list[GitRequest] = []
        self._port = port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> GitServer:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._server = _Server(("127.0.0.1", self._port), _Handler)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
        self._server = None

    def url(self, name: str) -> str:
        """Return the clone URL of a repository, without credentials."""
        if self._server is None:
            raise NotFound("the git server is not running", hint="use it in a with statement")
        return f"http://127.0.0.1:{self._server.server_address[1]}/{_checked_name(name)}"

    def path(self, name: str) -> Path:
        """Return the bare repository's folder."""
        return self.folder / _checked_name(name)

    def create(self, name: str, files: Mapping[str, str | bytes] | None = None, branch: str = "main") -> str | None:
        """Make a bare repository, with one commit of `files` if there are any; return that commit's id."""
        folder = self.path(name)
        folder.parent.mkdir(parents=True, exist_ok=True)
        doing = f"cannot make {name}"
        Git().run(
            "init", "--quiet", "--bare", "--template=", f"--initial-branch={checked_ref(branch)}", "--", str(folder),
            doing=doing,
        )  # fmt: skip
        for setting, value in (
            ("http.receivepack", "true"),
            ("uploadpack.allowFilter", "true" if self.has_filters else "false"),
            ("uploadpack.allowAnySHA1InWant", "true"),
        ):
            Git(folder, is_exact=True).run("config", setting, value, doing=doing)
        return self.commit(name, files, "Begin", branch=branch) if files else None

    def commit(
        self,
        name: str,
        files: Mapping[str, str | bytes | None],
        message: str,
        *,
        branch: str | None = None,
        links: Mapping[str, str] | None = None,
        submodules: Mapping[str, str] | None = None,
        programs: Collection[str] = (),
    ) -> str:
        """Commit whole files (None removes one) on a branch, the default one where None; return the commit's id.

        Args:
            links: symbolic links: path → what they say.
            submodules: path → the commit id of another repository.
            programs: which of `files` may be run.
        """
        git = Git(self.path(name), is_exact=True)
        doing = f"cannot commit to {name}"
        ref = f"refs/heads/{checked_ref(branch)}" if branch else git.run("symbolic-ref", "HEAD", doing=doing).text()
        has_parent = git.attempt("show-ref", "--verify", "--quiet", ref).is_ok
        stream = bytearray(f"commit {ref}\ncommitter Git Server <git-server@example.invalid> now\n".encode())
        stream += _data(message.encode())
        if has_parent:
            stream += f"from {ref}^0\n".encode()
        for path, content in files.items():
            if content is None:
                stream += f"D {_quoted(path)}\n".encode()
            else:
                stream += f"M {'100755' if path in programs else '100644'} inline {_quoted(path)}\n".encode()
                stream += _data(content.encode() if isinstance(content, str) else content)
        for path, target in (links or {}).items():
            stream += f"M 120000 inline {_quoted(path)}\n".encode() + _data(target.encode())
        for path, commit in (submodules or {}).items():
            stream += f"M 160000 {commit} {_quoted(path)}\n".encode()
        git.run("fast-import", "--quiet", "--date-format=now", stdin=bytes(stream) + b"\n", doing=doing)
        return git.run("rev-parse", "--verify", "--end-of-options", ref, doing=doing).text()

    def branch(self, name: str, branches: Mapping[str, str]) -> None:
        """Let branches (name → commit id) stand where they are told, new or not."""
        lines = "".join(f"update refs/heads/{checked_ref(branch)} {commit}\n" for branch, commit in branches.items())
        Git(self.path(name), is_exact=True).run("update-ref", "--stdin", stdin=lines.encode(), doing="cannot branch")

    def tag(self, name: str, tag: str, commit: str, message: str | None = None) -> None:
        """Tag a commit, with an object of its own (an annotated tag) where there is a message."""
        git = Git(self.path(name), is_exact=True)
        words = ("-a", "--file=-") if message else ()
        identity = {"GIT_COMMITTER_NAME": "Git Server", "GIT_COMMITTER_EMAIL": "git-server@example.invalid"}
        git.run(
            "tag", *words, "--no-sign", "--", checked_ref(tag), commit,
            stdin=(message or "").encode(), extra=identity, doing=f"cannot tag {name}",
        )  # fmt: skip


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: GitServer


class _Handler(BaseHTTPRequestHandler):
    """Hands each request to `git http-backend` as RFC 3875 (CGI) describes."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet, not 40 ms apart
    server_version = "image-factory-git"
    server: _Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the base class's name
        """Stay silent: the list of requests tells more."""

    def _answer(self) -> None:
        owner = self.server.owner
        parts = urlsplit(self.path)
        headers = {key.lower(): value for key, value in self.headers.items()}
        owner.requests.append(GitRequest(self.command, parts.path, parts.query, headers))
        body = read_body(self, headers)
        if owner.credentials is not None and not is_allowed(headers.get("authorization", ""), owner.credentials):
            self._send(401, {"WWW-Authenticate": 'Basic realm="git"'}, b"credentials, please\n")
            return
        self._send(*git_answer(owner.folder, self.command, parts.path, parts.query, headers, body))

    def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        try:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True  # the client went away


def git_answer(
    folder: Path, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of git's answer to one request of its smart HTTP protocol."""
    environment = clean_environment(
        {
            "GIT_PROJECT_ROOT": str(folder.resolve()),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "PATH_INFO": unquote(path),
            "QUERY_STRING": query,
            "REQUEST_METHOD": method,
            "CONTENT_TYPE": headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""),
            "GIT_PROTOCOL": headers.get("git-protocol", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
    )
    finished = run_tool(["git", "http-backend"], stdin=body, environment=environment, max_output=1024**3)
    head, _, content = finished.stdout.partition(b"\r\n\r\n")
    answer = {}
    for line in head.decode("latin-1").split("\r\n"):
        key, colon, value = line.partition(":")
        if colon:
            answer[key.strip()] = value.strip()
    status = int(answer.pop("Status", "200 OK" if answer else "500 Error").split()[0])
    return status, answer, content


def read_body(handler: BaseHTTPRequestHandler, headers: Mapping[str, str]) -> bytes:
    """Return a request's body, whether it comes whole or in chunks."""
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return handler.rfile.read(int(headers.get("content-length", "0")))
    body = bytearray()
    while size := int(handler.rfile.readline().split(b";")[0], 16):
        body += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return bytes(body)


def is_allowed(header: str, credentials: Credentials) -> bool:
    """Whether an `Authorization` header holds these credentials, as Basic."""
    wanted = base64.b64encode(f"{credentials.username}:{credentials.password}".encode()).decode()
    return hmac.compare_digest(header.encode(), f"Basic {wanted}".encode())


def _quoted(path: str) -> str:
    """Return a path as `git fast-import` reads it whatever it holds."""
    return '"' + checked_path(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _data(content: bytes) -> bytes:
    return f"data {len(content)}\n".encode() + content + b"\n"


def _checked_name(name: str) -> str:
    if not _NAME.match(name) or ".." in name:
        raise UnsafeValue(f"not a repository's name: {name!r}", hint="write one such as services.git")
    return name
