"""One writer at a time in an image-factory folder, by a lock on a file that git ignores. I/O.

The system drops the lock when its process ends, however it ends, so that a crash leaves nothing to
clean up. The file's content only says who holds it. POSIX only (flock, so two stores of one process
exclude each other too).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from datetime import timedelta
from pathlib import Path
from types import TracebackType

from image_factory.errors import Unavailable
from image_factory.shell.folder import own_folder

LOCK_FILE = "lock"
TIMEOUT = timedelta(seconds=60)
_PAUSE = 0.05


class StateLock(contextlib.AbstractContextManager["StateLock"]):
    """The exclusive right to write the state of a folder, while the block runs.

    Args:
        root: the image-factory folder.
        timeout: how long to wait for another writer.
    """

    def __init__(self, root: Path, timeout: timedelta = TIMEOUT) -> None:
        self._root = root
        self._timeout = timeout
        self._descriptor: int | None = None

    def __enter__(self) -> StateLock:
        """Take the lock.

        Raises:
            Unavailable: another writer held it all the time; the message names it.
        """
        path = own_folder(self._root) / LOCK_FILE
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        end = time.monotonic() + self._timeout.total_seconds()
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip() or "another process"
                    os.close(descriptor)
                    raise Unavailable(
                        f"{self._root} is being written by {holder}",
                        hint="wait until it is done and run this again; if it hangs, end that process",
                    ) from None
                time.sleep(_PAUSE)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        self._descriptor = descriptor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None
