"""How long listing ten thousand tags in pages takes beside bare httpx that follows the same links.

Both are whole processes that ask an embedded registry on loopback for pages of a hundred, the most
that large registries give, and read every name. Ours checks each name, each link, and that the
pages do not run in a circle. What is left between them is mostly the start of the program.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from benchmarks.harness import Figure, Job, Room, growth, python
from image_factory.testing.image_content import build_image
from image_factory.testing.registry_server import RegistryServer

SIZES = (10_000, 100_000)

_OURS = """
import sys
from image_factory.model.settings import Settings
from image_factory.oci.reference import Repository
from image_factory.shell.clock import SystemClock
from image_factory.shell.http import HttpClient
from image_factory.shell.registry import OciRegistry

settings, clock = Settings(), SystemClock()
registry = OciRegistry(HttpClient(settings, clock), settings, clock, lambda repository: None)
repository = Repository(sys.argv[1], f"acme/tags{sys.argv[2]}")
assert sum(1 for tag in registry.tags(repository)) == int(sys.argv[2])
"""

_HTTPX = """
import sys
import httpx

with httpx.Client(trust_env=False, base_url=f"http://{sys.argv[1]}") as client:
    url, count = f"/v2/acme/tags{sys.argv[2]}/tags/list?n=1000", 0
    while url:
        answer = client.get(url)
        count += len(answer.json()["tags"])
        url = answer.links.get("next", {}).get("url")
assert count == int(sys.argv[2])
"""


def run(room: Room) -> Iterator[Figure]:
    """Measure each size against the same registry, a repository a size."""
    figures: list[Figure] = []
    with RegistryServer(page_size=100) as server:
        image = build_image()
        for size in room.sizes:
            server.push(f"acme/tags{size}", [f"1.0.{number}" for number in range(size)], image)
            figures.append(
                room.compare(
                    "tags in pages",
                    size,
                    ours=Job(python(_OURS, server.host, str(size))),
                    yardstick=Job(python(_HTTPX, server.host, str(size))),
                    limit=2.0,
                    memory_limit=None,
                )
            )
            yield figures[-1]
    for small, large in pairwise(figures):
        yield growth("tags in pages, ten times the size", small, large)
