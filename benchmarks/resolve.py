"""How long asking a registry for a thousand digests takes beside bare httpx sending the same HEADs.

Both are whole processes that ask an embedded registry on loopback, one reference after the other, on
one kept-alive connection. Loopback makes the figure the harsher: nearly all of its time is the
program's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from benchmarks.harness import Figure, Job, Room, growth, python
from image_factory.testing.image_content import build_image
from image_factory.testing.registry_server import RegistryServer

SIZES = (1_000, 10_000)

_OURS = """
import sys
from image_factory.model.settings import Settings
from image_factory.oci.reference import Reference
from image_factory.shell.clock import SystemClock
from image_factory.shell.http import HttpClient
from image_factory.shell.registry import OciRegistry

settings, clock = Settings(), SystemClock()
registry = OciRegistry(HttpClient(settings, clock), settings, clock, lambda repository: None)
for number in range(int(sys.argv[2])):
    digest = registry.resolve(Reference.parse(f"{sys.argv[1]}/acme/web:{number}").tagged)
    assert digest.algorithm == "sha256"
"""

_HTTPX = """
import sys
import httpx

with httpx.Client(trust_env=False) as client:
    for number in range(int(sys.argv[2])):
        answer = client.head(f"http://{sys.argv[1]}/v2/acme/web/manifests/{number}")
        assert answer.headers["docker-content-digest"].startswith("sha256:")
"""


def run(room: Room) -> Iterator[Figure]:
    """Measure each size against the same registry."""
    figures: list[Figure] = []
    with RegistryServer() as server:
        server.push("acme/web", [str(number) for number in range(max(room.sizes))], build_image())
        for size in room.sizes:
            figures.append(
                room.compare(
                    "resolve",
                    size,
                    ours=Job(python(_OURS, server.host, str(size))),
                    yardstick=Job(python(_HTTPX, server.host, str(size))),
                    limit=2.0,
                    memory_limit=None,
                )
            )
            server.forget()
            yield figures[-1]
    for small, large in pairwise(figures):
        yield growth("resolve, ten times the size", small, large)
