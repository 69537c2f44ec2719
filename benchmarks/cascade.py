"""How many builds and runs a cascade takes, beside a rebuild for each update of what an image is built on.

Counted, not timed: images in four layers, each built on three of the layer above, and the first on two bases
that move an hour apart. The decisions themselves are made over simulated time, with the limit of concurrent
rebuilds that is the default. Each image must be built once. The yardstick rebuilds an image whenever one
thing that it is built on has a new digest, as an updater does that opens a change for each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from benchmarks.harness import Count, Room
from image_factory.decide.replay import Moved, Outcomes, Simulation
from image_factory.model.image_state import DigestUpdate
from image_factory.testing.rebuild_world import START, RebuildWorld, fake_digest

SIZES = (500,)
LAYERS = 4
PARENTS = 3
BASES = ("node", "nginx")
BUILD_TIME = timedelta(minutes=10)


def run(room: Room) -> Iterator[Count]:
    """Count builds, and runs that start any."""
    for size in room.sizes:
        world, parents = _world(size)
        simulation = Simulation(world.facts(), start=START, outcomes=Outcomes(BUILD_TIME))
        moved = [
            Moved(at, base, DigestUpdate(at=at, old_digest=world.bases[base].runtime.current_digest, new_digest=digest))
            for base, digest, at in zip(
                BASES,
                (fake_digest(10**6), fake_digest(10**6 + 1)),
                (START + timedelta(days=1), START + timedelta(days=1, minutes=20)),
                strict=True,
            )
        ]
        simulation.run(moved, START + timedelta(days=100))
        built = Counter(build.image for build in simulation.builds)
        if set(built.values()) != {1} or len(built) != size:
            raise RuntimeError(f"of {size} images {len(built)} were built, the most often {max(built.values())} times")
        each: dict[str, int] = dict.fromkeys(BASES, 1)
        for name, above in parents.items():
            each[name] = sum(each[parent] for parent in above)
        per_update = sum(each[name] for name in parents)
        runs = len({build.requested_at for build in simulation.builds})
        length = max(build.finished_at for build in simulation.builds) - moved[0].at
        more = {"layers": LAYERS, "moves": len(moved), "hoursToConverge": round(length / timedelta(hours=1), 2)}
        yield Count("builds of a cascade", size, ours=len(simulation.builds), yardstick=per_update,
                    limit=0.5, unit="builds", more=more)  # fmt: skip
        yield Count("runs of a cascade that start builds", size, ours=runs, yardstick=per_update,
                    limit=0.5, unit="runs", more=more)  # fmt: skip


def _world(size: int) -> tuple[RebuildWorld, dict[str, tuple[str, ...]]]:
    """Return the world, and what each image is built on, parents before children."""
    world = RebuildWorld()
    parents: dict[str, tuple[str, ...]] = {}
    above: list[str] = list(BASES)
    width = -(-size // LAYERS)
    for start in range(0, size, width):
        layer = [f"image-{number}" for number in range(start, min(start + width, size))]
        for place, name in enumerate(layer):
            on = tuple(dict.fromkeys(above[(place * PARENTS + step) % len(above)] for step in range(PARENTS)))
            parents[name] = on
            world.enroll(name, on)
        above = layer
    return world, parents
