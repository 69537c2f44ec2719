"""quay.io, held to the contract of registries."""

from image_factory_quay import Quay

from image_factory.oci.reference import Repository
from image_factory.ports import Registry
from image_factory.testing.registry_contract import Bench, RegistryContract, World


class TestQuay(RegistryContract):
    host = "quay.io"

    def make(self, bench: Bench) -> Registry:
        return Quay(bench.http, bench.settings, bench.clock, bench.credentials)

    def test_it_claims_its_host_alone(self, world: World) -> None:
        assert world.registry.claims(Repository("quay.io", "acme/web"))
        assert not world.registry.claims(Repository("quay.example.com", "acme/web"))

    def test_a_tag_has_a_page(self, world: World) -> None:
        page = world.registry.web_url(Repository("quay.io", "acme/web"), "1.2")

        assert page == "https://quay.io/repository/acme/web?tab=tags&tag=1.2"
