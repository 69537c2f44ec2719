"""Open files that people name, without ever waiting for a pipe or a device. I/O, and light.

Opening a named pipe waits until somebody writes to it, and reading a device may never end: what is no
regular file is refused instead.
"""

from __future__ import annotations

import errno
import os
import stat
from io import FileIO
from pathlib import Path

NOT_REGULAR = "not a regular file"
"""What the error of `open_regular` says (its `strerror`)."""


def open_regular(path: str | Path) -> FileIO:
    """Return the file, opened for reading.

    Raises:
        OSError: it cannot be opened, or is a folder, a pipe, a socket or a device.
    """
    file = FileIO(path, opener=_open)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, NOT_REGULAR, str(path))
    return file


def read_regular(path: str | Path) -> bytes:
    """Return the file's bytes; raises what `open_regular` raises."""
    with open_regular(path) as file:
        return file.readall()


def _open(path: str, flags: int) -> int:
    # O_NONBLOCK means nothing to a regular file, and spares the wait for a pipe's other end.
    return os.open(path, flags | os.O_NONBLOCK)
