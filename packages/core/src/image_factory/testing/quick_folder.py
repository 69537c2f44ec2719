"""A temporary folder in memory, where the system has one: for tests that write thousands of small files.

What is tested is what files hold when, which a file system in memory tells as well; renaming a file over
another one there takes microseconds, and milliseconds on most disks.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux has one, by its Filesystem Hierarchy Standard
ENOUGH = 256 * 1024 * 1024
"""Bytes that must be free: memory is short where there are not as many, as in some containers."""


@contextmanager
def quick_folder(prefix: str = "image-factory-", memory: Path = MEMORY) -> Iterator[Path]:
    """Give an empty folder, which is gone afterwards; an ordinary temporary one where there is none in memory."""
    folder = tempfile.mkdtemp(prefix=prefix, dir=memory if _has_room(memory) else None)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _has_room(memory: Path) -> bool:
    try:
        return os.access(memory, os.W_OK | os.X_OK) and shutil.disk_usage(memory).free >= ENOUGH
    except OSError:
        return False
