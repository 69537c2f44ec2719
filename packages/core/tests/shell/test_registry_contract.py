"""The generic registry, held to the contract: against the embedded server, and against distribution's own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from image_factory.model.settings import Settings
from image_factory.oci.reference import Repository
from image_factory.ports import Registry
from image_factory.shell.http import HttpClient
from image_factory.shell.registry import OciRegistry
from image_factory.testing.clock import FixedClock
from image_factory.testing.image_content import ImageContent, digest_of
from image_factory.testing.registry_contract import (
    IMAGE,
    SINGLE,
    TAGS,
    Bench,
    RegistryContract,
    RegistryReading,
    World,
)


class TestOciRegistry(RegistryContract):
    def make(self, bench: Bench) -> Registry:
        return OciRegistry(bench.http, bench.settings, bench.clock, bench.credentials)


def push(url: str, repository: str, tags: tuple[str, ...], content: ImageContent) -> None:
    """Push by the protocol: blobs in one POST and PUT each, then manifests."""
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        for blob in content.blobs:
            location = client.post(f"/v2/{repository}/blobs/uploads/").raise_for_status().headers["location"]
            joined = f"{location}{'&' if '?' in location else '?'}digest={digest_of(blob)}"
            client.put(joined, content=blob).raise_for_status()
        for media_type, body in content.manifests:
            names = tags if body is content.manifests[-1][1] else (str(digest_of(body)),)
            for name in names:
                path = f"/v2/{repository}/manifests/{name}"
                client.put(path, content=body, headers={"Content-Type": media_type}).raise_for_status()


@pytest.fixture(scope="module")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of Debian's docker-registry, filled."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed (Debian: apt-get install docker-registry)")
    folder: Path = tmp_path_factory.mktemp("distribution")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    config = folder / "config.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder / 'data'}}}}}\n"
        f"http: {{addr: '{address}'}}\n"
    )
    with subprocess.Popen([program, "serve", str(config)], stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(200):
                try:
                    httpx.get(f"http://{address}/v2/", trust_env=False)
                    break
                except httpx.TransportError:
                    time.sleep(0.05)
            push(f"http://{address}", "acme/web", TAGS, IMAGE)
            push(f"http://{address}", "acme/web", ("single",), SINGLE)
            yield address
        finally:
            process.terminate()


class TestAgainstDistribution(RegistryReading):
    @pytest.fixture
    def world(self, distribution: str) -> Iterator[World]:
        clock, settings = FixedClock(), Settings()
        with HttpClient(settings, clock) as http:
            registry = OciRegistry(http, settings, clock, lambda _: None)
            yield World(registry, Repository(distribution, "acme/web"))
