"""What registry plugins share that ask an API beside the registry itself: where it is, and its pages to their end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from image_factory.errors import ProtocolError
from image_factory.model.settings import RegistrySettings, Settings
from image_factory.oci.distribution import MAX_PAGES

Page = TypeVar("Page")


def api_address(settings: Settings, plugin: str, registry: str, public: str) -> str:
    """Return where a plugin's API is, without a slash at its end: `plugins.<plugin>.api`, else `public`.

    Who has a mirror (`registries.<registry>.endpoint`) may reach nothing else: then it is empty, for none,
    unless the settings name it.
    """
    is_mirrored = settings.registries.get(registry, RegistrySettings()).endpoint is not None
    return str(settings.plugins.get(plugin, {}).get("api", "" if is_mirrored else public)).rstrip("/")


def every_page(
    url: str, page: Page, following: str | None, ask: Callable[[str], tuple[Page, str | None]], what: str
) -> Iterator[Page]:
    """Yield a first page and those that follow it.

    Args:
        url: the first page's own.
        following: where the next one is; None where there is none.
        ask: returns the page of an address, and where the next one is.
        what: such as `the tag pages of docker.io/library/node`.

    Raises:
        ProtocolError: they run in a circle, or do not end.
    """
    visited = {url}
    yield page
    while following is not None:
        if following in visited or len(visited) == MAX_PAGES:
            raise ProtocolError(f"{what} run in a circle, or do not end")
        visited.add(following)
        page, following = ask(following)
        yield page
