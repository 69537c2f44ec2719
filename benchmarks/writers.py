"""How long twenty writers take to bring their news to one bare repository, at once and one after the other.

Each has a clone of its own, records a build of an image of its own (`analyze --image … --push`, as
Kargo's job does) and pushes; one that loses the race rebases and tries again. Nothing may be lost:
every image's new version is looked for in the repository afterwards.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import Figure, Job, Room, program

SIZES = (20,)

_WRITERS = """
import subprocess, sys
program, folder, count, width = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
def start(number):
    root = f"{folder}/clone-{number}/image-factory"
    words = ["analyze", "--image", f"image-{number}", "--tag", "1.0.1", "--push", "--image-factory-dir", root]
    return subprocess.Popen([program, *words], stdout=subprocess.DEVNULL)
waiting = []
for number in range(count):
    waiting.append(start(number))
    if len(waiting) == width:
        for process in waiting:
            assert process.wait() == 0
        waiting = []
for process in waiting:
    assert process.wait() == 0
"""


def run(room: Room) -> Iterator[Figure]:
    """Measure all writers at once beside the same ones in a row."""
    for size in room.sizes:
        folder = room.folder / str(size)

        def fresh(folder: Path = folder, size: int = size) -> None:
            _clones(folder, size)

        def job(width: int, folder: Path = folder, size: int = size) -> Job:
            words = [program()[0], str(folder), str(size), str(width)]
            return Job([sys.executable, "-c", _WRITERS, *words], prepare=fresh)

        yield room.compare(
            "writers at once beside one after the other", size, ours=job(size), yardstick=job(1), limit=2.0
        )
        _check(folder, size)


def _clones(folder: Path, size: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    first = folder / "first"
    (first / "image-factory").mkdir(parents=True)
    (first / "Dockerfile").write_text("FROM scratch\n")
    entries = [
        f"- name: image-{number}\n  registry: ghcr.io\n  repository: acme/image-{number}\n"
        f"  source: {{provider: git, repo: {first}}}\n"
        for number in range(size)
    ]
    (first / "image-factory" / "images.yaml").write_text("".join(entries))
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.com", "-c", "gc.auto=0"]
    for words in (["init", "--quiet", "--initial-branch=main"], ["add", "."], ["commit", "--quiet", "-m", "one"]):
        subprocess.run(["git", *identity, *words], cwd=first, check=True)
    subprocess.run(["git", "clone", "--quiet", "--bare", str(first), str(folder / "state.git")], check=True)
    for number in range(size):
        clone = ["git", "clone", "--quiet", str(folder / "state.git"), str(folder / f"clone-{number}")]
        subprocess.run(clone, check=True)


def _check(folder: Path, size: int) -> None:
    for number in range(size):
        path = f"main:image-factory/state/images/image-{number}.yaml"
        shown = subprocess.run(
            ["git", "show", path], cwd=folder / "state.git", check=True, capture_output=True, text=True
        )
        if 'currentVersion: "1.0.1"' not in shown.stdout:
            raise RuntimeError(f"what was learned of image-{number} is lost")
