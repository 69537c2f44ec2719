"""How long recording one thing takes in a repository of five thousand state files, beside git's own commit of one.

Ours reads all state, writes one record and commits it. The yardstick changes the same file by a line
and commits it with `git commit -a`, which looks at every file too.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from benchmarks.harness import Figure, Job, Room, growth, program

SIZES = (500, 5_000)

_OURS = """
import subprocess, sys, time
words = ["analyze", "--image", "image-00000", "--tag", f"1.0.{time.time_ns()}", "--image-factory-dir", sys.argv[2]]
subprocess.run([sys.argv[1], *words], check=True, capture_output=True)
"""
_GIT = """
import subprocess, sys, time
file = f"{sys.argv[1]}/state/images/image-00001.yaml"
with open(file, "a") as stream:
    stream.write(f"# {time.time_ns()}\\n")
identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.com", "-c", "gc.auto=0"]
subprocess.run(["git", *identity, "commit", "--quiet", "-a", "-m", "one"], cwd=sys.argv[1], check=True)
"""


def run(room: Room) -> Iterator[Figure]:
    """Yield the ratio for each size, then how ours grows with the files."""
    figures: list[Figure] = []
    for size in room.sizes:
        root = _checkout(room.folder / str(size), size)
        figures.append(
            room.compare(
                "one record and its commit, beside git's own",
                size,
                ours=Job([sys.executable, "-c", _OURS, program()[0], str(root)]),
                yardstick=Job([sys.executable, "-c", _GIT, str(root)]),
                limit=40.0,
            )
        )
        yield figures[-1]
    for small, large in pairwise(figures):
        yield growth("one record and its commit, ten times the files", small, large)


def _checkout(folder: Path, size: int) -> Path:
    """Make a repository with the state of `size` images."""
    root = folder / "image-factory"
    root.mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    entries = [
        f"- name: image-{number:05}\n  registry: ghcr.io\n  repository: acme/image-{number:05}\n"
        f"  source: {{provider: git, repo: {folder}}}\n"
        for number in range(size)
    ]
    (root / "images.yaml").write_text("".join(entries))
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.com", "-c", "gc.auto=0"]
    for words in (["init", "--quiet", "--initial-branch=main"], ["add", "."], ["commit", "--quiet", "-m", "one"]):
        subprocess.run(["git", *identity, *words], cwd=folder, check=True)
    subprocess.run(program("analyze", "--all", "--image-factory-dir", str(root)), check=True, capture_output=True)
    return root
