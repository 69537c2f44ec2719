"""How long a `run` with nothing to learn takes beside bare httpx asking for the same digests and `git status`.

Three of ten images have a base of their own, all of which are due: each is asked for with one HEAD,
which is counted. The yardstick sends the same HEADs on one kept-alive connection, one after the other.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from benchmarks.harness import Figure, Job, Room, Run, Sample, program
from image_factory.testing.image_content import build_image
from image_factory.testing.registry_server import RegistryServer

SIZES = (1_000, 10_000)
MEMORY = 500_000_000
"""Bytes that a run over 10,000 images may take."""
LIMIT = 2.0
"""What a run over the smaller size may take beside the yardstick."""
DECIDING = 0.25
"""The part of a run that deciding may be."""
GROWTH = 1.2
"""Ten times the images may take this much more than ten times as long."""

_HTTPX = """
import subprocess, sys
import httpx

with httpx.Client(trust_env=False) as client:
    for number in range(int(sys.argv[2])):
        answer = client.head(f"http://{sys.argv[1]}/v2/library/base/manifests/{number}")
        assert answer.headers["docker-content-digest"].startswith("sha256:")
subprocess.run(["git", "-C", sys.argv[3], "status", "--porcelain"], check=True, capture_output=True)
"""

_DECIDING = """
import gc, sys, time
from pathlib import Path
from image_factory.decide.rebuilds import decide_rebuilds
from image_factory.usecases.coordinate import gather_facts
from image_factory_cli.folder import open_workbench

bench = open_workbench(Path(sys.argv[1]), "text", None)
facts, _ = gather_facts(bench)
facts.images.items(), facts.bases.items()  # built, as observing builds them
gc.freeze()  # the program looks for cycles seldom, and never through all that it has read
begin = time.perf_counter()
decide_rebuilds(facts, now=bench.clock.now())
print(time.perf_counter() - begin)
"""


def run(room: Room) -> Iterator[Figure]:
    """Measure each size against the same registry."""
    figures: list[Figure] = []
    with RegistryServer() as server:
        bases = max(room.sizes) * 3 // 10
        server.push("library/base", [str(number) for number in range(bases)], build_image())
        for size in room.sizes:
            folder = _checkout(room.folder / str(size), size, server)
            root = folder / "image-factory"
            command = program("run", "--image-factory-dir", str(root))
            subprocess.run(command, check=True, capture_output=True)
            asked = root / ".image-factory-cache" / "asked.json"

            def all_due(asked: Path = asked) -> None:
                asked.unlink(missing_ok=True)
                server.forget()

            all_due()
            subprocess.run(command, check=True, capture_output=True)
            count, due = server.count("HEAD"), size * 3 // 10
            if count != due or server.count() != due:
                raise RuntimeError(f"{server.count()} requests, {count} of them HEADs, and {due} references are due")
            figures.append(
                room.compare(
                    f"run with nothing to learn, {due} requests",
                    size,
                    ours=Job(command, prepare=all_due),
                    yardstick=Job([sys.executable, "-c", _HTTPX, server.host, str(due), str(folder)]),
                    limit=LIMIT if size == SIZES[0] else LIMIT * GROWTH,
                )
            )
            yield figures[-1]
            yield Figure("deciding, beside the run", size, _deciding(room, root), figures[-1].ours, DECIDING)
    for small, large in pairwise(figures):
        times = GROWTH * large.size / small.size
        name = "run with nothing to learn, beside the smaller size"
        memory = MEMORY * large.size / SIZES[-1] / small.ours.peak
        yield Figure(name, large.size, large.ours, small.ours, times, memory)


def _deciding(room: Room, root: Path) -> Sample:
    runs = []
    for _ in range(room.runs):
        told = subprocess.run([sys.executable, "-c", _DECIDING, str(root)], check=True, capture_output=True, text=True)
        runs.append(Run(float(told.stdout), 0))
    return Sample(tuple(runs))


def _checkout(folder: Path, size: int, server: RegistryServer) -> Path:
    """Make a repository of `size` services and a folder that enrolls them, in one checkout."""
    entries = []
    for number in range(size):
        service = folder / "services" / f"service-{number:05}"
        service.mkdir(parents=True)
        (service / "Dockerfile").write_text(f"FROM base:{number % (size * 3 // 10)}\nRUN make\n")
        entries.append(
            f"- name: service-{number:05}\n  registry: ghcr.io\n  repository: acme/service-{number:05}\n"
            f"  source:\n    provider: git\n    repo: {folder / 'services'}\n"
            f"    dockerfile: service-{number:05}/Dockerfile\n"
        )
    root = folder / "image-factory"
    root.mkdir()
    (root / "images.yaml").write_text("".join(entries))
    (root / "config.yaml").write_text(f"registries:\n  docker.io:\n    endpoint: {server.url}\n")
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.com", "-c", "gc.auto=0"]
    for place in (folder / "services", folder):
        ignored = "services/\n" if place == folder else ""
        (place / ".gitignore").write_text(ignored)
        for words in (["init", "--quiet", "--initial-branch=main"], ["add", "."], ["commit", "--quiet", "-m", "one"]):
            subprocess.run(["git", *identity, *words], cwd=place, check=True)
    return folder
