"""How long `analyze --all` takes where nothing changed, beside the cold run that learned everything."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from benchmarks.harness import Figure, Job, Room, growth, program

SIZES = (1_000, 10_000)

DOCKERFILE = """\
ARG VERSION={version}
FROM golang:1.{version} AS build
WORKDIR /src
COPY . .
RUN go build -o /out/service{number} ./cmd/service
FROM node:{version}-bookworm-slim AS assets
COPY --from=build /src/web /web
RUN npm ci && npm run build
FROM debian:bookworm-slim
COPY --from=ghcr.io/astral-sh/uv:0.{version} /uv /usr/local/bin/uv
COPY --from=build /out/service{number} /usr/local/bin/service
COPY --from=assets /web/dist /srv
USER 65532
ENTRYPOINT ["service"]
"""


def run(room: Room) -> Iterator[Figure]:
    """Yield the ratio of a run with nothing to learn to the first one, in the same checkout."""
    warm: list[Figure] = []
    for size in room.sizes:
        folder = _checkout(room.folder / str(size), size)
        root = folder / "image-factory"

        def cold(root: Path = root) -> None:
            for name in ("state", ".image-factory-cache"):
                shutil.rmtree(root / name, ignore_errors=True)

        command = program("analyze", "--all", "--no-commit", "--image-factory-dir", str(root))
        warm.append(
            room.compare(
                "analyze --all with nothing changed, beside the cold run",
                size,
                ours=Job(command),
                # The cold run leaves the state that the next run of ours finds unchanged.
                yardstick=Job(command, prepare=cold),
                limit=0.1,
            )
        )
        yield warm[-1]
    for small, large in pairwise(warm):
        yield growth("analyze --all with nothing changed, ten times the size", small, large)


def _checkout(folder: Path, size: int) -> Path:
    """Make a repository of `size` services, each enrolled with a Dockerfile of its own."""
    entries = []
    for number in range(size):
        service = folder / "services" / f"service-{number:05}"
        service.mkdir(parents=True)
        (service / "Dockerfile").write_text(DOCKERFILE.format(number=number, version=number % 100))
        entries.append(
            f"- name: service-{number:05}\n  registry: ghcr.io\n  repository: acme/service-{number:05}\n"
            f"  source:\n    provider: git\n    repo: {folder / 'services'}\n"
            f"    dockerfile: service-{number:05}/Dockerfile\n"
        )
    root = folder / "image-factory"
    root.mkdir()
    (root / "images.yaml").write_text("".join(entries))
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.com", "-c", "gc.auto=0"]
    for words in (["init", "--quiet", "--initial-branch=main"], ["add", "."], ["commit", "--quiet", "-m", "services"]):
        subprocess.run(["git", *identity, *words], cwd=folder / "services", check=True)
    return folder
