"""Docker Hub, held to the contract of registries."""

from __future__ import annotations

from image_factory.model.settings import RegistrySettings, Settings
from image_factory.ports import Registry
from image_factory.testing.registry_contract import Bench, RegistryContract
from image_factory.testing.registry_server import RegistryServer
from image_factory_dockerhub import DockerHub


class TestDockerHub(RegistryContract):
    host = "docker.io"
    path = "library/node"

    def make(self, bench: Bench) -> Registry:
        return DockerHub(bench.settings, bench.http, bench.clock, bench.credentials)

    def settings(self, server: RegistryServer) -> Settings:
        return Settings(
            registries={"docker.io": RegistrySettings(endpoint=server.url)},
            plugins={"dockerhub": {"api": server.url}},
        )
