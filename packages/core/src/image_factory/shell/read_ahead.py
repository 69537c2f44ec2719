"""State files parsed by another process while this one still imports what gives them a meaning. I/O.

Nothing heavy is imported here, so that it can be started before all else. The other process is forked:
it lists the folders, parses what lies in them as `state.codec` does, and leaves plain values.
They are only a suggestion: a file counts where its status is still what it was and could not have
stayed so through a change; every other, and one that is wrong in any way, is read as if nothing had
been parsed, so that errors have one source.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from image_factory.errors import ImageFactoryError
from image_factory.shell.state_cache import Signature, content_digest, is_settled, signature_of
from image_factory.state.own_yaml import MAX_TEXT, parse_mapping

if TYPE_CHECKING:
    from types import TracebackType

MAX_FILES = 2_000
"""Files that are parsed ahead; more of them would be waited for, and are parsed in several processes instead."""
MAX_BYTES = 4 * MAX_TEXT
"""Of all files together, so that what is handed over stays small."""
_SUFFIX = ".yaml"


class Parsed(NamedTuple):
    """One file, as it was when it was parsed."""

    signature: Signature
    digest: str
    """Of its content."""
    values: dict[str, Any]


class ReadAhead:
    """Folders of state files that another process parses; used as a context, which ends that process.

    Args:
        folders: where the files lie.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = [str(folder) for folder in folders]
        self._process = 0
        self._answer = -1
        self._found: dict[str, dict[str, Parsed]] | None = None

    def __enter__(self) -> Self:
        # A forked process has only the thread that forked it, and might wait for ever on another's lock.
        if sys.platform == "linux" and threading.active_count() == 1 and len(os.sched_getaffinity(0)) > 1:
            with contextlib.suppress(OSError):
                self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process:
            os.kill(self._process, signal.SIGKILL)
        self._end()

    def parsed(self, folder: Path) -> Mapping[str, Parsed]:
        """Return what was parsed of a folder, by record name; waits for it. Nothing where that failed."""
        if self._found is None:
            self._found = self._end()
        return self._found.get(str(folder), {})

    def _start(self) -> None:
        self._answer = os.memfd_create("state")
        process = os.fork()
        if process == 0:
            # Whatever happens here is no more than a suggestion that is not made.
            code = 1
            try:
                _write(self._answer, marshal.dumps(_parse(self._folders)))
                code = 0
            finally:
                os._exit(code)
        self._process = process

    def _end(self) -> dict[str, dict[str, Parsed]]:
        process, self._process = self._process, 0
        answer, self._answer = self._answer, -1
        found: dict[str, dict[str, Parsed]] = {}
        if process:
            _, status = os.waitpid(process, 0)
            if status == 0:
                with os.fdopen(answer, "rb", closefd=False) as file:
                    file.seek(0)
                    # Written by our own process, to a file that nobody else can name.
                    told = marshal.loads(file.read())  # noqa: S302
                for folder, files in told.items():
                    found[folder] = {name: Parsed(*parts) for name, parts in files.items()}
        if answer >= 0:
            os.close(answer)
        return found


def _write(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def _parse(folders: Sequence[str]) -> dict[str, dict[str, tuple[Signature, str, dict[str, Any]]]]:
    left, room = MAX_FILES, MAX_BYTES
    found: dict[str, dict[str, tuple[Signature, str, dict[str, Any]]]] = {}
    for folder in folders:
        files = found[folder] = {}
        # A folder that is a link is looked at with care, by who knows where it may lead.
        if Path(folder).is_symlink() or not Path(folder).is_dir():
            continue
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.endswith(_SUFFIX) or not entry.is_file(follow_symlinks=False):
                    continue
                parsed = _parse_file(entry.path, room)
                if parsed is None:
                    continue
                files[entry.name.removesuffix(_SUFFIX)] = parsed
                left, room = left - 1, room - parsed[0][0]
                if left == 0:
                    return found
    return found


def _parse_file(path: str, room: int) -> tuple[Signature, str, dict[str, Any]] | None:
    """Return what a file holds, or None where it is to be looked at again: it is new, large, or wrong."""
    now = time.time_ns()
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            signature = signature_of(status)
            if not stat.S_ISREG(status.st_mode) or status.st_size > room or not is_settled(signature, now):
                return None
            content = file.read(status.st_size + 1)
        if len(content) != status.st_size:
            return None
        return signature, content_digest(content), parse_mapping(content.decode("utf-8"), path)
    except (OSError, UnicodeDecodeError, ImageFactoryError):
        return None
