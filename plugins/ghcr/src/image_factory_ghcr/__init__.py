"""GitHub's container registry, ghcr.io: digests by HEAD, versions with dates by the Packages API.

Sources: docs.github.com/packages/working-with-a-github-packages-registry/working-with-the-container-registry,
docs.github.com/rest/packages/packages (versions of a package of an organization or a user).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from image_factory.errors import AuthenticationRequired, InvalidReference, ProtocolError, RemoteNotFound
from image_factory.hookspecs import hookimpl
from image_factory.model.settings import Settings
from image_factory.oci.distribution import check_status, next_page
from image_factory.oci.manifest import Index, Manifest, parse_instant, parse_json_object
from image_factory.oci.reference import Digest, Repository, Tag, is_tag
from image_factory.ports import (
    Clock,
    Credentials,
    Http,
    HttpRequest,
    ImageMetadata,
    RateProfile,
    Registry,
    Version,
    WebhookReceiver,
)
from image_factory.shell.registry import OciRegistry
from image_factory.shell.registry_api import api_address, every_page

HOST = "ghcr.io"
API = "https://api.github.com"
PAGE_SIZE = 100


@hookimpl
def register_registries(
    register: Callable[[Registry], None],
    settings: Settings,
    http: Http,
    clock: Clock,
    credentials: Callable[[Repository], Credentials | None],
) -> None:
    """Register ghcr.io."""
    register(Ghcr(settings, http, clock, credentials))


@hookimpl(trylast=True)
def credentials_for(repository: Repository, settings: Settings) -> Credentials | None:
    """Return the environment's GitHub token for ghcr.io, where nobody logged in to it expressly."""
    token = os.environ.get("GITHUB_TOKEN") or os.environ.get("GH_TOKEN") or ""
    # GitHub takes any user name beside a token.
    return Credentials("token", token) if repository.registry == HOST and token else None


class Ghcr:
    """ghcr.io as a `Registry`."""

    def __init__(
        self,
        settings: Settings,
        http: Http,
        clock: Clock,
        credentials: Callable[[Repository], Credentials | None],
    ) -> None:
        self._http = http
        self._clock = clock
        self._credentials = credentials
        # A job's own token may be good for its repository and no other package, public ones included.
        self._oci = OciRegistry(http, settings, clock, credentials, anonymous_fallback=True)
        self._api = api_address(settings, "ghcr", HOST, API)
        self._kinds: dict[str, str] = {}
        """Owner → where its packages are asked for, once that answered."""

    @property
    def name(self) -> str:
        return "ghcr"

    def claims(self, repository: Repository) -> bool:
        return repository.registry == HOST

    def resolve(self, tag: Tag) -> Digest:
        return self._oci.resolve(tag)

    def tags(self, repository: Repository) -> Iterator[Tag]:
        return self._oci.tags(repository)

    def manifest(self, repository: Repository, digest: Digest) -> Manifest | Index:
        return self._oci.manifest(repository, digest)

    def metadata(self, repository: Repository, digest: Digest) -> ImageMetadata:
        return self._oci.metadata(repository, digest)

    def versions(self, repository: Repository) -> Iterator[Version]:
        """Yield every tag of every version with its digest, date and page, newest first.

        The Packages API wants a token with read:packages: without one, or where it shows nothing,
        the tags alone.
        """
        credentials = self._credentials(repository)
        if credentials is None or not self._api:
            yield from self._oci.versions(repository)
            return
        owner = repository.path.partition("/")[0]
        # A user's private packages are told to that user alone, at a path that names nobody.
        for kind in ("orgs", "users", "user") if owner not in self._kinds else (self._kinds[owner],):
            url = self._versions_url(repository, kind)
            try:
                first, following = self._page(url, credentials, repository)
            except (RemoteNotFound, AuthenticationRequired):
                continue
            if kind == "user" and not all(_is_of(owner, entry) for entry in first):
                continue
            self._kinds[owner] = kind
            break
        else:
            yield from self._oci.versions(repository)
            return
        what = f"the version pages of {repository}"
        for page in every_page(url, first, following, lambda url: self._page(url, credentials, repository), what):
            for entry in page:
                yield from _versions(entry)

    def rate_profile(self, repository: Repository) -> RateProfile | None:
        """Return what the settings allow; GitHub states no limit for pulls."""
        return self._oci.rate_profile(repository)

    def web_url(self, repository: Repository, tag: str | None = None) -> str | None:
        """Return the package's address, which GitHub redirects to its page; it has none for a tag."""
        return f"https://{HOST}/{repository.path}"

    def webhook_receiver(self) -> WebhookReceiver | None:
        return WebhookReceiver("github", "secret")

    def _versions_url(self, repository: Repository, kind: str) -> str:
        owner, _, package = repository.path.partition("/")
        # A nested name is one part of the path: web/api is web%2Fapi.
        owners = kind if kind == "user" else f"{kind}/{quote(owner)}"
        path = f"{owners}/packages/container/{quote(package, safe='')}/versions"
        return f"{self._api}/{path}?per_page={PAGE_SIZE}"

    def _page(
        self, url: str, credentials: Credentials, repository: Repository
    ) -> tuple[Sequence[Mapping[str, Any]], str | None]:
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {credentials.password}",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        response = self._http.send(HttpRequest("GET", url, headers))
        check_status(response, f"the versions of {repository}", self._clock.now())
        # The answer is a list; wrapped, it passes through the same bounds as every other one.
        entries = parse_json_object(b'{"list":' + response.body + b"}", f"the list of versions of {repository}")["list"]
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ProtocolError(f"the list of versions of {repository} is none")
        return entries, next_page(response, url)


def _versions(entry: Mapping[str, Any]) -> Iterator[Version]:
    metadata = entry.get("metadata")
    container = metadata.get("container") if isinstance(metadata, dict) else None
    tags = container.get("tags") if isinstance(container, dict) else None
    try:
        digest = Digest.parse(str(entry.get("name")))
    except InvalidReference:
        digest = None
    for tag in tags if isinstance(tags, list) else ():
        if isinstance(tag, str) and is_tag(tag):
            yield Version(tag, digest, published_at=parse_instant(entry.get("created_at")), url=_web_page(entry))


def _is_of(owner: str, entry: Mapping[str, Any]) -> bool:
    """Whether a version is of a package of `owner`'s, and not of the token's own user's by the same name."""
    parts = urlsplit(str(entry.get("package_html_url"))).path.split("/")
    return len(parts) > 2 and parts[2].lower() == owner.lower()


def _web_page(entry: Mapping[str, Any]) -> str | None:
    """Return the version's page on GitHub; what is no plain https URL is not shown to people as one."""
    url = entry.get("html_url")
    return url if isinstance(url, str) and url.startswith("https://") and url.isascii() and url.isprintable() else None
