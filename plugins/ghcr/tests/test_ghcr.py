"""ghcr.io, held to the contract of registries."""

from __future__ import annotations

from image_factory.model.settings import RegistrySettings, Settings
from image_factory.ports import Registry
from image_factory.testing.registry_contract import Bench, RegistryContract
from image_factory.testing.registry_server import RegistryServer
from image_factory_ghcr import Ghcr


class TestGhcr(RegistryContract):
    host = "ghcr.io"

    def make(self, bench: Bench) -> Registry:
        return Ghcr(bench.settings, bench.http, bench.clock, bench.credentials)

    def settings(self, server: RegistryServer) -> Settings:
        return Settings(
            registries={"ghcr.io": RegistrySettings(endpoint=server.url)},
            plugins={"ghcr": {"api": server.url}},
        )
