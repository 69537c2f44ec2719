"""What root may do, a test of refusals must not: it gives its rights up for a while."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

NOBODY = 65534


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are for their owner alone."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
        for place, _, _ in os.walk(folder):
            Path(place).chmod(0o755)


@pytest.fixture
def without_privileges() -> Callable[[], AbstractContextManager[None]]:
    """A block that is run as nobody where we are root, who may read and write everything."""

    @contextmanager
    def block() -> Iterator[None]:
        if os.geteuid() != 0:
            yield
            return
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)

    return block
