"""A folder that is served by a real server on loopback, and an issuer of tokens that it believes."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from image_factory.model.settings import Settings
from image_factory.shell.http import HttpClient
from image_factory.testing.clock import FixedClock
from image_factory.testing.oidc_server import OidcServer
from image_factory.usecases.analyze import analyze
from image_factory.usecases.commit import write_and_commit
from image_factory.usecases.observe import record_observed
from image_factory_server.counts import Counts
from image_factory_server.desk import Desk
from image_factory_server.serve import configured, listen

OLD, NEW, NEWEST = (f"sha256:{digit * 64}" for digit in "abc")


@dataclass
class Site:
    """A checkout with an image-factory folder in it, and the issuer that it believes."""

    checkout: Path
    issuer: OidcServer
    http: HttpClient
    clock: FixedClock = field(default_factory=FixedClock)

    @property
    def root(self) -> Path:
        return self.checkout / "image-factory"

    def desk(self, **rest: Any) -> Desk:
        return Desk(self.root, self.http, self.clock, environ=rest.pop("environ", {}), **rest)

    def git(self, *words: str, folder: Path | None = None) -> str:
        identity = ("-c", "user.name=Someone", "-c", "user.email=someone@example.com", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", *identity, *words], cwd=folder or self.checkout, check=True, capture_output=True, text=True
        )
        return done.stdout

    def configure(self, text: str) -> None:
        (self.root / "config.yaml").write_text(text)
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", "Configure")

    def move(self, digest: str) -> None:
        bench = self.desk().workbench()
        seen = record_observed(bench, "node-22", digest)
        write_and_commit(bench, seen.changes, subject="Observe node-22")

    def written(self, path: str) -> str:
        return (self.root / "state" / path).read_text()


POLICY = """
registries: {{}}
kargo: {{stateRepository: "https://127.0.0.1/acme/platform.git"}}
emergency:
  actors: ["@security"]
  teams: {{security: [alice]}}
  oidcIssuers: ["{issuer}"]
"""


@pytest.fixture(scope="session")
def issuer() -> Iterator[OidcServer]:
    with OidcServer(now=FixedClock().now()) as server:
        yield server


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, issuer: OidcServer) -> Path:
    """web and shop are built on node, api on redis; node has just moved. Made once, and copied for each test."""
    folder = tmp_path_factory.mktemp("site")
    clock = FixedClock()
    with HttpClient(Settings(), clock) as http:
        site = Site(folder / "checkout", issuer, http, clock)
        services = folder / "services"
        for path in (site.checkout, services):
            path.mkdir()
            site.git("init", "--quiet", "--initial-branch=main", folder=path)
        entries = ""
        for name, base in (("web", "node:22"), ("shop", "node:22"), ("api", "redis:7")):
            (services / name).mkdir()
            (services / name / "Dockerfile").write_text(f"FROM {base}\n")
            entries += (
                f"- name: {name}\n  registry: ghcr.io\n  repository: acme/{name}\n"
                f"  source: {{provider: git, repo: {services}, dockerfile: {name}/Dockerfile}}\n"
            )
        site.git("add", ".", folder=services)
        site.git("commit", "--quiet", "--message", "Services", folder=services)
        site.root.mkdir()
        (site.root / "images.yaml").write_text(entries)
        site.configure(POLICY.format(issuer=issuer.origin))
        bench = site.desk().workbench()
        write_and_commit(bench, analyze(bench).changes, subject="Analyze")
        site.move(OLD)
        site.move(NEW)
    return site.checkout


@pytest.fixture
def site(made: Path, issuer: OidcServer, tmp_path: Path) -> Iterator[Site]:
    """A copy of the folder for one test."""
    shutil.copytree(made, tmp_path / "checkout")
    clock = FixedClock()
    with HttpClient(Settings(), clock) as http:
        yield Site(tmp_path / "checkout", issuer, http, clock)


Serving = Callable[[Desk], httpx.Client]


@pytest.fixture
def serving() -> Iterator[Serving]:
    """Start a server for a desk, and return a client of it; each is stopped at the end."""
    stops: list[Callable[[], None]] = []

    def start(desk: Desk) -> httpx.Client:
        listening = listen("127.0.0.1", 0)
        server = uvicorn.Server(configured(desk))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        client = httpx.Client(base_url=f"{address}/api/image-factory", timeout=30, trust_env=False)

        def stop() -> None:
            client.close()
            server.should_exit = True
            thread.join(30)
            listening.close()
            assert not thread.is_alive()

        stops.append(stop)
        end = time.monotonic() + 30
        while not server.started:
            assert time.monotonic() < end, "the server does not start"
            time.sleep(0.01)
        return client

    yield start
    for stop in stops:
        stop()


@pytest.fixture
def api(site: Site, serving: Serving) -> httpx.Client:
    """The folder, served."""
    return serving(site.desk(counts=Counts()))


@pytest.fixture
def bearer(site: Site) -> Callable[..., Mapping[str, str]]:
    """Make the header of somebody's token; claims may be changed."""

    def header(actor: str = "alice", **claims: object) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {site.issuer.token(site.issuer.claims(actor=actor, **claims))}"}

    return header
