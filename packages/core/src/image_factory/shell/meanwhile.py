"""One thing done beside another, which waits for the disk or computes outside of Python. The standard library alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def meanwhile(work: Callable[[], object]) -> Iterator[None]:
    """Have `work` done beside the block, in a thread of its own; it has ended when the block has.

    Raises:
        BaseException: what `work` raised, at the block's end; where the block raises itself, that goes on alone.
    """
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    if errors:
        raise errors[0]
