"""Docker Hub for Image Factory: digests by HEAD, its rate limit, and versions with dates.

Sources: docs.docker.com/docker-hub/usage/pulls (limits; HEADs are free),
docs.docker.com/reference/api/hub (tags with dates; `POST /v2/auth/token` for private repositories).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from image_factory.errors import AuthenticationRequired, InvalidReference, ProtocolError, RemoteNotFound
from image_factory.hookspecs import hookimpl
from image_factory.model.settings import Settings
from image_factory.oci.authentication import IDENTITY_USER
from image_factory.oci.distribution import check_status
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
from image_factory.shell.registry_api import api_address, every_page

API = "https://hub.docker.com"
WINDOW = timedelta(hours=6)
ANONYMOUS = 100
LOGGED_IN = 200
LOGIN_LIFETIME = timedelta(minutes=4)
"""How long a login to the API is used: its tokens are promised to be short-lived, and a new one costs one request."""


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
        self._credentials = credentials
        self._logins: dict[Credentials, tuple[str, datetime]] = {}
        """The API's token for a login, and until when it is used."""
        self._oci = OciRegistry(http, settings, clock, credentials)
        self._api = api_address(settings, "dockerhub", DOCKER_HUB, API)

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

        A private repository is shown to a login alone, and nothing else is asked with one; what the API
        does not show at all is listed by its tags.
        """
        found = self._first_page(repository) if self._api else None
        if found is None:
            yield from self._oci.versions(repository)
            return
        (first, following), token = found

        def ask(url: str) -> tuple[Mapping[str, Any], str | None]:
            if not url.startswith(f"{self._api}/"):
                raise ProtocolError(f"the tag pages of {repository} lead elsewhere")
            return self._page(url, repository, token)

        what = f"the tag pages of {repository}"
        for page in every_page(self._tags_url(repository), first, following, ask, what):
            yield from (_version(entry) for entry in page.get("results") or () if is_tag(str(entry.get("name"))))

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

    def _first_page(self, repository: Repository) -> tuple[tuple[Mapping[str, Any], str | None], str | None] | None:
        """Return the first page and the token that opened it, or None where the API shows nothing."""
        token: str | None = None
        for attempt in range(2):
            try:
                return self._page(self._tags_url(repository), repository, token), token
            except (RemoteNotFound, AuthenticationRequired):
                token = self._login(repository) if attempt == 0 else None
                if token is None:
                    break
        return None

    def _login(self, repository: Repository) -> str | None:
        """Return a token of the API for the credentials of `repository`; None without any that are good for one."""
        found = self._credentials(repository)
        # An identity token is the registry's: the API knows names with passwords or access tokens.
        if found is None or found.username in ("", IDENTITY_USER):
            return None
        token, until = self._logins.get(found, ("", self._clock.now()))
        if self._clock.now() < until:
            return token
        body = json.dumps({"identifier": found.username, "secret": found.password}).encode()
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        response = self._http.send(HttpRequest("POST", f"{self._api}/v2/auth/token", headers, body))
        try:
            check_status(response, "a token for Docker Hub's API", self._clock.now())
        except AuthenticationRequired:
            return None
        answered = parse_json_object(response.body, "the answer to a login at Docker Hub").get("access_token")
        if not isinstance(answered, str) or not answered:
            raise ProtocolError("the answer to a login at Docker Hub holds no access_token")
        self._logins[found] = answered, self._clock.now() + LOGIN_LIFETIME
        return answered

    def _page(self, url: str, repository: Repository, token: str | None = None) -> tuple[Mapping[str, Any], str | None]:
        """Return a page, and where the next one is."""
        headers = {"Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        response = self._http.send(HttpRequest("GET", url, headers))
        check_status(response, f"the versions of {repository}", self._clock.now())
        body = parse_json_object(response.body, f"the list of versions of {repository}")
        results = body.get("results")
        if results is not None and not (isinstance(results, list) and all(isinstance(e, dict) for e in results)):
            raise ProtocolError(f"the list of versions of {repository} is none")
        return body, str(body.get("next") or "") or None


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
