"""Docker Hub for Image Factory: digests by HEAD, its rate limit, and versions with dates.

Sources: docs.docker.com/docker-hub/usage/pulls (limits; HEADs are free),
docs.docker.com/reference/api/hub (tags with dates).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from image_factory.errors import InvalidReference, ProtocolError, RemoteNotFound
from image_factory.hookspecs import hookimpl
from image_factory.model.settings import Settings
from image_factory.oci.distribution import MAX_PAGES, check_status
from image_factory.oci.manifest import Index, Manifest, parse_instant, parse_json_object
from image_factory.oci.platform import Platform
from image_factory.oci.reference import DOCKER_HUB, Digest, Repository, Tag, is_tag
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
from image_factory.shell.registry import OciRegistry, configured_rate

API = "https://hub.docker.com"
WINDOW = timedelta(hours=6)
ANONYMOUS = 100
LOGGED_IN = 200


@hookimpl
def register_registries(
    register: Callable[[Registry], None],
    settings: Settings,
    http: Http,
    clock: Clock,
    credentials: Callable[[Repository], Credentials | None],
) -> None:
    """Register Docker Hub."""
    register(DockerHub(settings, http, clock, credentials))


class DockerHub:
    """Docker Hub as a `Registry`."""

    def __init__(
        self,
        settings: Settings,
        http: Http,
        clock: Clock,
        credentials: Callable[[Repository], Credentials | None],
    ) -> None:
        self._settings = settings
        self._http = http
        self._clock = clock
        self._oci = OciRegistry(http, settings, clock, credentials)
        self._api = str(settings.plugins.get("dockerhub", {}).get("api", API)).rstrip("/")

    @property
    def name(self) -> str:
        return "dockerhub"

    def claims(self, repository: Repository) -> bool:
        return repository.registry == DOCKER_HUB

    def resolve(self, tag: Tag) -> Digest:
        """Return the tag's digest with one HEAD, which does not count against the limit."""
        return self._oci.resolve(tag)

    def tags(self, repository: Repository) -> Iterator[Tag]:
        return self._oci.tags(repository)

    def manifest(self, repository: Repository, digest: Digest) -> Manifest | Index:
        return self._oci.manifest(repository, digest)

    def metadata(self, repository: Repository, digest: Digest) -> ImageMetadata:
        return self._oci.metadata(repository, digest)

    def versions(self, repository: Repository) -> Iterator[Version]:
        """Yield the tags with digest, date, size and platforms from Docker Hub's own API, newest first.

        What the API does not show, such as a private repository, is listed by its tags alone.
        """
        try:
            first = self._page(self._tags_url(repository), repository)
        except RemoteNotFound:
            yield from self._oci.versions(repository)
            return
        page, visited = first, {self._tags_url(repository)}
        while True:
            yield from (_version(entry) for entry in page.get("results") or () if is_tag(str(entry.get("name"))))
            url = str(page.get("next") or "")
            if not url:
                return
            if not url.startswith(f"{self._api}/"):
                raise ProtocolError(f"the tag pages of {repository} lead elsewhere")
            if url in visited or len(visited) == MAX_PAGES:
                raise ProtocolError(f"the tag pages of {repository} run in a circle, or do not end")
            visited.add(url)
            page = self._page(url, repository)

    def rate_profile(self, repository: Repository) -> RateProfile | None:
        """Return the limit that Docker Hub last named for us, else its published one, by login.

        A logged-in answer without a limit is a paid plan's: None.
        """
        logged_in = self._oci.has_credentials(repository)
        observed = self._oci.observed_limit(repository)
        if observed is not None and observed.limit:
            return RateProfile(observed.limit, observed.window or WINDOW, heads_are_free=True)
        configured = configured_rate(self._settings, repository)
        if configured is not None:
            return RateProfile(configured.requests, configured.window, heads_are_free=True)
        if observed is not None and logged_in:
            return None
        return RateProfile(LOGGED_IN if logged_in else ANONYMOUS, WINDOW, heads_are_free=True)

    def web_url(self, repository: Repository, tag: str | None = None) -> str | None:
        space, _, image = repository.path.partition("/")
        page = f"{API}/_/{image}" if space == "library" else f"{API}/r/{repository.path}"
        return page if tag is None else f"{page}/tags?name={quote(tag)}"

    def webhook_receiver(self) -> WebhookReceiver | None:
        return WebhookReceiver("dockerhub", "secret")

    def _tags_url(self, repository: Repository) -> str:
        space, _, image = repository.path.partition("/")
        # The API knows repositories of two parts alone; anything else is answered 404, and listed by tags.
        return f"{self._api}/v2/namespaces/{quote(space)}/repositories/{quote(image, safe='')}/tags?page_size=100"

    def _page(self, url: str, repository: Repository) -> Mapping[str, Any]:
        response = self._http.send(HttpRequest("GET", url, {"Accept": "application/json"}))
        check_status(response, f"the versions of {repository}", self._clock.now())
        body = parse_json_object(response.body, f"the list of versions of {repository}")
        results = body.get("results")
        if results is not None and not (isinstance(results, list) and all(isinstance(e, dict) for e in results)):
            raise ProtocolError(f"the list of versions of {repository} is none")
        return body


def _version(entry: Mapping[str, Any]) -> Version:
    images = [image for image in entry.get("images") or () if isinstance(image, dict)]
    platforms = []
    for image in images:
        parts = [image.get("os"), image.get("architecture"), image.get("variant")]
        try:
            platforms.append(Platform.parse("/".join(str(part) for part in parts if part)))
        except InvalidReference:
            continue
    try:
        digest = Digest.parse(str(entry.get("digest")))
    except InvalidReference:
        digest = None
    size = entry.get("full_size")
    return Version(
        tag=str(entry["name"]),
        digest=digest,
        size=size if isinstance(size, int) and size > 0 else None,
        published_at=parse_instant(entry.get("tag_last_pushed") or entry.get("last_updated")),
        platforms=tuple(platform for platform in platforms if platform.os != "unknown"),
    )
