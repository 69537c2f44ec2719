"""Running a tool: an argument list, never a shell; bounded in time and output; a chosen environment.

No secret belongs in an argument: other users of a machine can read those. A tool that needs one
gets it through `environment`, and whatever it complains about is redacted before it is shown.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import subprocess
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import IO

from image_factory.errors import NotFound, ProtocolError, Unavailable, UnsafeValue

MAX_OUTPUT = 64 * 1024 * 1024
"""Bytes of standard output that a tool may write, unless its caller says otherwise."""
MAX_COMPLAINT = 64 * 1024
"""Bytes of standard error that are kept; the rest is read and dropped."""
TIMEOUT = timedelta(minutes=5)

KEPT_VARIABLES = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "SSH_AUTH_SOCK",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SYSTEMROOT",
)
"""What a tool inherits: how to find programs, the user's home, certificates and proxies. Nothing else."""

_URL_SECRET = re.compile(r"(?<=://)[^/\s@]+@")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Finished:
    """How a tool ended; `repr` shows no output, which may hold a secret."""

    program: str
    returncode: int
    stdout: bytes = field(repr=False)
    stderr: bytes = field(repr=False)

    @property
    def is_ok(self) -> bool:
        return self.returncode == 0

    def text(self) -> str:
        """Return standard output as text, without white space at its end."""
        return self.stdout.decode("utf-8", "surrogateescape").rstrip()

    def complaint(self, secrets: Iterable[str] = ()) -> str:
        """Return the last lines of standard error, fit to be shown: no secrets, no control characters."""
        lines = [line.strip() for line in self.stderr.decode("utf-8", "replace").splitlines()]
        said = "; ".join([line for line in lines if line][-3:]) or f"exit status {self.returncode}"
        return redact(said, secrets)[:600]


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` without `secrets`, without credentials in URLs, and without control characters."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return _CONTROL.sub("", _URL_SECRET.sub("***@", text))


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the few inherited variables that a tool needs, in the C locale, and `extra`."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return {**kept, "LC_ALL": "C", "LANGUAGE": "", **(extra or {})}


def run_tool(
    arguments: Sequence[str],
    *,
    stdin: bytes = b"",
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: timedelta = TIMEOUT,
    max_output: int = MAX_OUTPUT,
    max_file: int | None = None,
    label: str | None = None,
) -> Finished:
    """Run a program to its end and return what it said, whatever its exit status.

    It has no terminal, so it cannot ask anything; it and its children are ended together.

    Args:
        environment: the whole environment; `clean_environment()` where it is None.
        max_file: bytes of any one file that it may write, where the system can hold it to that (Linux).
        label: what errors call it, such as `git fetch`; the program's name where it is None.

    Raises:
        NotFound: the program, or the folder to run it in, does not exist.
        UnsafeValue: an argument holds a NUL byte.
        Unavailable: it did not end within `timeout`.
        ProtocolError: it wrote more than `max_output` bytes.
    """
    program = arguments[0]
    process = start_tool(arguments, folder=folder, environment=environment, stderr=subprocess.PIPE)
    if max_file is not None and hasattr(resource, "prlimit"):
        with contextlib.suppress(OSError):  # it may have ended already
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (max_file, max_file))
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    out, complaint = bytearray(), bytearray()
    overflow = threading.Event()

    def read_output(stream: IO[bytes]) -> None:
        while chunk := stream.read1(65536):  # type: ignore[attr-defined]  # Popen's pipes are buffered
            if len(out) + len(chunk) > max_output:
                overflow.set()
                end_tool(process)
                return
            out.extend(chunk)

    def read_complaint(stream: IO[bytes]) -> None:
        while chunk := stream.read1(65536):  # type: ignore[attr-defined]
            complaint.extend(chunk)
            del complaint[: max(0, len(complaint) - MAX_COMPLAINT)]

    def write_input(stream: IO[bytes]) -> None:
        # A tool may end without reading all its input; its exit status tells why.
        with contextlib.suppress(OSError):
            stream.write(stdin)
        with contextlib.suppress(OSError):
            stream.close()

    threads = [
        threading.Thread(target=read_output, args=(process.stdout,), daemon=True),
        threading.Thread(target=read_complaint, args=(process.stderr,), daemon=True),
    ]
    if stdin:
        threads.append(threading.Thread(target=write_input, args=(process.stdin,), daemon=True))
    else:
        process.stdin.close()
    for thread in threads:
        thread.start()
    try:
        returncode = process.wait(timeout.total_seconds())
    except subprocess.TimeoutExpired as error:
        raise Unavailable(
            f"{label or program} did not end within {timeout.total_seconds():g} s",
            hint="try again later; the service that it talks to may be slow",
        ) from error
    finally:
        end_tool(process)
        for thread in threads:
            thread.join(5)
        if not any(thread.is_alive() for thread in threads):
            process.stdout.close()
            process.stderr.close()
    if overflow.is_set():
        raise ProtocolError(f"{label or program} wrote more than {max_output} bytes", hint="ask for less at once")
    return Finished(program, returncode, bytes(out), bytes(complaint))


def start_tool(
    arguments: Sequence[str],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stderr: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start a program with pipes to its input and output, in a session of its own; raises as `run_tool` does."""
    if any("\0" in argument for argument in arguments):
        raise UnsafeValue(f"an argument of {arguments[0]} holds a NUL byte", hint="write plain text")
    if folder is not None and not folder.is_dir():
        raise NotFound(f"no such folder: {str(folder)!r}", hint="check the path")
    try:
        return subprocess.Popen(  # noqa: S603  # a list of arguments, no shell: what this module is for
            list(arguments),
            cwd=folder,
            env=dict(clean_environment() if environment is None else environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
    except OSError as error:
        raise NotFound(
            f"cannot run {arguments[0]!r}: {error.strerror}", hint=f"install {arguments[0]} and put it on PATH"
        ) from error


def end_tool(process: subprocess.Popen[bytes]) -> None:
    """End a program and the children that it left behind; does nothing where all have ended."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
