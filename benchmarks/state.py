"""How long reading a state directory takes beside parsing its files with libyaml.

Half of the files are managed images with four references and two rebuilds, half are bases with ten
recorded updates, labels and platforms: the middle of what real ones hold. Ours is a whole process
that reads everything and builds every record; the yardstick is PyYAML's `CSafeLoader` over the same
files, with nothing checked.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from benchmarks.harness import Figure, Job, Room, growth, python
from image_factory.model.enrollment import Enrollment
from image_factory.model.image_state import (
    BaseConfiguration,
    BaseSite,
    BaseState,
    Build,
    DiscoveryStatus,
    ImageConfiguration,
    ImageState,
)
from image_factory.state.codec import dump
from image_factory.state.merge import (
    merge_base,
    merge_image,
    record_build,
    record_digest,
    record_discovery,
    record_rebuild,
)

SIZES = (10_000, 100_000)

_OURS = """
import sys
from pathlib import Path
from image_factory.model.settings import Settings
from image_factory.shell.store import Store

def main():
    store = Store(Path(sys.argv[1]), Settings(), cache=sys.argv[3] == "cache")
    images, bases = store.images(), store.bases()
    assert not images.problems and not bases.problems
    built = [*images.records.values(), *bases.records.values()]
    assert len(built) == int(sys.argv[2])

main()
"""

_LIBYAML = """
import os, sys, yaml

def main():
    parsed = []
    for folder in ("images", "base-images"):
        path = os.path.join(sys.argv[1], "state", folder)
        for name in sorted(os.listdir(path)):
            with open(os.path.join(path, name), "rb") as file:
                parsed.append(yaml.load(file.read(), Loader=yaml.CSafeLoader))
    assert len(parsed) == int(sys.argv[2])

main()
"""


def run(room: Room) -> Iterator[Figure]:
    """Yield warm and cold reading at each size, then how warm reading grows."""
    warm = []
    for size in room.sizes:
        folder = room.folder / str(size)
        write_state(folder, size)
        yardstick = Job(python(_LIBYAML, str(folder), str(size)))
        if size == room.sizes[0]:
            # Cold first: the files are then old enough for the cache to trust their times.
            cold = Job(python(_OURS, str(folder), str(size), "no-cache"))
            yield room.compare("read cold", size, ours=cold, yardstick=yardstick, limit=1.5)
        ours = Job(python(_OURS, str(folder), str(size), "cache"))
        warm.append(room.compare("read warm", size, ours=ours, yardstick=yardstick, limit=0.25))
        yield warm[-1]
        shutil.rmtree(folder)
    for small, large in pairwise(warm):
        yield growth("read warm, more files", small, large)


def write_state(folder: Path, size: int) -> None:
    """Write the state of `size` records, half of them bases."""
    for kind in ("images", "base-images"):
        (folder / "state" / kind).mkdir(parents=True)
    for number in range(size // 2):
        for kind, record in (("images", _image(number)), ("base-images", _base(number))):
            (folder / "state" / kind / f"{record.name}.yaml").write_text(dump(record), encoding="utf-8")


_START = datetime(2026, 1, 5, 8, 30, tzinfo=UTC)


def _digest(*parts: object) -> str:
    return f"sha256:{hashlib.sha256(repr(parts).encode()).hexdigest()}"


def _image(number: int) -> ImageState:
    bases = tuple(sorted(f"base-{(number + step) % 997:05}-slim" for step in (0, 1)))
    enrollment = Enrollment.model_validate(
        {
            "name": f"service-{number:05}",
            "registry": "ghcr.io",
            "repository": f"acme/service-{number:05}",
            "source": {"repo": f"acme/service-{number:05}", "dockerfile": f"apps/service-{number:05}/Dockerfile"},
        }
    )
    sites = tuple(
        BaseSite(
            name=bases[line % 2],
            reference=f"docker.io/library/{bases[line % 2]}:3.10",
            role="stage" if line else "final",
            file=f"apps/service-{number:05}/Dockerfile",
            line=line + 1,
        )
        for line in range(4)
    )
    configuration = ImageConfiguration(name=enrollment.name, enrollment=enrollment, base_images=bases, references=sites)
    state = merge_image(None, configuration, at=_START)
    state = record_discovery(state, DiscoveryStatus.SUCCESS, at=_START)
    state = record_build(state, version=f"1.{number}.0", digest=_digest("built", number), at=_START)
    for week in (1, 2):
        at = _START + timedelta(weeks=week)
        build = Build(
            at=at, reason="a base moved", trigger="base-update", result="succeeded", request_id=f"{number:05}-{week}"
        )
        state = record_rebuild(state, build)
    return state


def _base(number: int) -> BaseState:
    name = f"base-{number:05}-slim"
    configuration = BaseConfiguration(
        name=name,
        full_image=f"docker.io/library/{name}:3.10",
        registry="docker.io",
        repository=f"library/{name}",
        tag="3.10",
        repo_url=f"docker.io/library/{name}",
        allow_tags=r"^3\.10$",
        image_selection_strategy="Digest",
    )
    state = merge_base(None, configuration, at=_START)
    for week in range(10):
        metadata = {
            "architecture": "amd64",
            "os": "linux",
            "size": 48_123_456 + week,
            "created": _START,
            "labels": {"org.opencontainers.image.version": "3.10", "org.opencontainers.image.licenses": "MIT"},
            "platforms": {f"linux/{name}": _digest(name, week, number) for name in ("amd64", "arm64")},
        }
        at = _START + timedelta(weeks=week)
        state = record_digest(state, _digest("base", number, week), at=at, metadata=metadata)
    return state
