"""Reading objects of one repository on disk through one persistent `git cat-file --batch`.

A thousand reads cost one process. Safe to share between threads: a lock makes one read of another.
"""

from __future__ import annotations

import subprocess
import threading
import weakref
from dataclasses import dataclass, field
from enum import Enum

from image_factory.errors import ProtocolError
from image_factory.shell.git_program import Git
from image_factory.shell.process import end_tool, start_tool


class Found(Enum):
    """What an object's name led to."""

    BLOB = "blob"
    TREE = "tree"
    COMMIT = "commit"
    TAG = "tag"
    MISSING = "missing"
    """Nothing there, or not in this (partial) clone."""
    DANGLING = "dangling"
    """A symbolic link to nothing."""
    OUTSIDE = "symlink"
    """A symbolic link out of the repository."""
    LOOP = "loop"
    """Symbolic links in a circle."""
    NOT_A_FOLDER = "notdir"
    TOO_LARGE = "too large"


@dataclass(frozen=True, slots=True)
class Answer:
    """What git said of one name; for a link, `content` is where it leads."""

    found: Found
    content: bytes = field(default=b"", repr=False)
    size: int = 0
    id: str = ""
    """The object's own id, where something was found."""


class ObjectReader:
    """One `git cat-file` on one repository, started at the first read."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._finalizer: weakref.finalize[..., ObjectReader] | None = None

    def read(self, name: str, *, max_bytes: int) -> Answer:
        """Return the object that `name` (`<id>` or `<id>:<path>`) leads to, following links inside the repository.

        Raises:
            ProtocolError: git ended or answered what it never should.
        """
        if "\n" in name or "\0" in name:
            return Answer(Found.MISSING)
        with self._lock:
            process = self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(name.encode("utf-8", "surrogateescape") + b"\n")
                process.stdin.flush()
                header = process.stdout.readline()
                words = header.decode("utf-8", "replace").rstrip("\n").rsplit(" ", 2)
                if not header.endswith(b"\n"):
                    # git ends itself where a partial clone lacks the object and may not ask for it.
                    self._stop()
                    return Answer(Found.MISSING)
                if words[-1] in ("missing", "ambiguous"):
                    return Answer(Found.MISSING)
                kind, size = words[-2], int(words[-1])
                if size > max_bytes:
                    self._stop()
                    return Answer(Found.TOO_LARGE, size=size)
                content = process.stdout.read(size + 1)
                if len(content) != size + 1:
                    raise ValueError("the content ends early")
                return Answer(Found(kind), content[:-1], size, words[0] if len(words) == 3 else "")
            except (OSError, ValueError, IndexError) as error:
                self._stop()
                raise ProtocolError(
                    f"git cat-file broke off in {str(self._git.folder)!r}: {error}", hint="check it with git fsck"
                ) from error

    def close(self) -> None:
        """End the process, if it runs; a later read starts another."""
        with self._lock:
            self._stop()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._stop()
            self._process = start_tool(
                self._git.arguments("cat-file", "--batch", "--follow-symlinks"), environment=self._git.environment()
            )
            self._finalizer = weakref.finalize(self, _end, self._process)
        return self._process

    def _stop(self) -> None:
        if self._finalizer is not None:
            self._finalizer()
        self._process = self._finalizer = None


def _end(process: subprocess.Popen[bytes]) -> None:
    end_tool(process)
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            try:
                stream.close()
            except OSError:
                continue
