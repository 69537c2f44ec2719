"""quay.io for Image Factory."""

from collections.abc import Callable

from image_factory.hookspecs import hookimpl
from image_factory.model.settings import Settings
from image_factory.oci.reference import Repository
from image_factory.ports import Clock, Credentials, Http, Registry, WebhookReceiver
from image_factory.shell.registry import OciRegistry

image_factory_api = 1


@hookimpl
def register_registries(
    register: Callable[[Registry], None],
    settings: Settings,
    http: Http,
    clock: Clock,
    credentials: Callable[[Repository], Credentials | None],
) -> None:
    register(Quay(http, settings, clock, credentials))


class Quay(OciRegistry):
    name = "quay"

    def claims(self, repository: Repository) -> bool:
        return repository.registry == "quay.io"

    def web_url(self, repository: Repository, tag: str | None = None) -> str:
        page = f"https://quay.io/repository/{repository.path}"
        return page if tag is None else f"{page}?tab=tags&tag={tag}"

    def webhook_receiver(self) -> WebhookReceiver:
        return WebhookReceiver("quay", "secret")
