"""How long `image-factory --version` takes beside starting Python to do nothing."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.harness import Figure, Job, Room, program, python

SIZES = (1,)


def run(room: Room) -> Iterator[Figure]:
    """Yield one figure: what scripts ask most takes at most five empty Pythons."""
    ours = Job(program("--version"))
    yield room.compare("image-factory --version", 1, ours=ours, yardstick=Job(python("pass")), limit=5)
