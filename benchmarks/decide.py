"""How long deciding takes as images and edges grow: five layers, each image built on three of the layer below.

The figure is the processor time of `decide_rebuilds` alone, for facts at hand: once where nothing has
moved, and once where every base has. What part of a run it is, is measured by `run`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise

from benchmarks.harness import Figure, Room, Run, Sample

SIZES = (1_000, 10_000)
GROWTH = 1.5
"""Ten times the images may take this much more than ten times as long: they do not fit a processor's caches."""

_DECIDE = """
import gc, json, resource, sys, time
from datetime import timedelta
from image_factory.decide.rebuilds import Policy, decide_rebuilds
from image_factory.testing.rebuild_world import RebuildWorld

size, moves = int(sys.argv[1]), sys.argv[2] == "moved"
world = RebuildWorld(policy=Policy())
layer = [f"base-{number}" for number in range(size // 5)]
for name in layer:
    world.add_base(name)
for depth in range(5):
    upper = [f"image-{depth}-{number}" for number in range(size // 5)]
    for number, name in enumerate(upper):
        world.enroll(name, [layer[(number + step) % len(layer)] for step in (0, 1, 7)])
    layer = upper
if moves:
    world.wait(hours=1)
    for number in range(size // 5):
        world.move(f"base-{number}")
    world.wait(hours=24 * 30)
facts = world.facts()
gc.freeze()  # the program looks for cycles seldom, and never through all that it has read
times = []
for _ in range(3):
    begin = time.process_time()
    plan = decide_rebuilds(facts, now=world.now)
    times.append(time.process_time() - begin)
assert len(plan.decisions) == size and bool(plan.due) is moves
print(json.dumps([min(times), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]))
"""


def run(room: Room) -> Iterator[Figure]:
    """Measure each size, and set it beside the one before."""
    for what in ("unmoved", "moved"):
        samples = [(size, _sample(room, size, what)) for size in room.sizes]
        for (small, before), (large, after) in pairwise(samples):
            yield Figure(f"deciding, bases {what}", large, after, before, GROWTH * large / small)


def _sample(room: Room, size: int, what: str) -> Sample:
    runs = []
    for _ in range(room.runs):
        command = [sys.executable, "-c", _DECIDE, str(size), what]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        seconds, peak = json.loads(told)
        runs.append(Run(seconds, peak))
    return Sample(tuple(runs))
