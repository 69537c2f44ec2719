"""How long `inspect --json` takes over a tree of Dockerfiles, beside Renovate's extraction of the same tree."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks._renovate import renovate
from benchmarks.harness import Figure, Job, Room, growth, program

SIZES = (1_000, 10_000)

# 15 lines with 5 references, as services have them: a frontend, an ARG in a FROM, two images to copy and mount from.
_DOCKERFILE = """\
# syntax=docker/dockerfile:1.{minor}
ARG GO_VERSION=1.{minor}
FROM golang:${{GO_VERSION}}-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/root/.cache go mod download
COPY . .
COPY --from=ghcr.io/acme/tools-{number}:2.{minor} /usr/bin/tool /usr/bin/tool
RUN --mount=from=ghcr.io/acme/certificates:{number},target=/certs go build -o /out/app ./cmd/app
FROM gcr.io/distroless/static-debian12:nonroot
LABEL org.opencontainers.image.title="service {number}"
COPY --from=build /out/app /app
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/app"]
"""
_REFERENCES = 5


def run(room: Room) -> Iterator[Figure]:
    """Yield a figure a size and one for the growth between two of them."""
    figures = []
    for size in room.sizes:
        tree = room.folder / str(size)
        _plant(tree, size)
        ours = Job(program("inspect", str(tree), "--json"))
        _check(ours, size)
        limit = 0.25 if size <= 1_000 else 0.5
        theirs = renovate(room.cache, tree)
        figures.append(room.compare("inspect --json", size, ours=ours, yardstick=theirs, limit=limit, memory_limit=0.1))
        yield figures[-1]
    for small, large in itertools.pairwise(figures):
        yield growth("inspect --json, the larger tree beside the smaller", small, large)


def _plant(tree: Path, size: int) -> None:
    """Write `size` Dockerfiles, no two alike, a hundred services to a folder, with other files beside them."""
    for number in range(size):
        folder = tree / f"team-{number // 100:03d}" / f"service-{number:05d}"
        folder.mkdir(parents=True)
        (folder / "Dockerfile").write_text(_DOCKERFILE.format(number=number, minor=number % 20))
        (folder / "main.go").write_text("package main\n")
        (folder / ".dockerignore").write_text("*.md\n")


def _check(job: Job, size: int) -> None:
    """Fail where the answer is not what the tree holds: a quick wrong answer is worth nothing."""
    found = json.loads(subprocess.run(list(job.command), capture_output=True, check=True).stdout)
    counted = sum(len(file["references"]) for file in found)
    if (len(found), counted) != (size, size * _REFERENCES):
        raise RuntimeError(f"inspect found {counted} references in {len(found)} files of {size}")
