"""Any OCI registry, over `Http` and the protocol of `image_factory.oci`: the built-in plugin `oci`.

It answers for every repository that no other plugin claims, and plugins for registries with an API
of their own are built upon it. Specification: OCI distribution-spec 1.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from image_factory.errors import ProtocolError, RemoteNotFound, RemoteRefused
from image_factory.hookspecs import hookimpl
from image_factory.model.settings import Settings
from image_factory.oci.distribution import (
    MAX_PAGES,
    PAGE_SIZE,
    Endpoint,
    RateLimit,
    blob_request,
    manifest_request,
    next_page,
    read_head,
    read_manifest,
    read_referrers,
    read_tags,
    referrers_request,
    referrers_tag,
    tags_request,
)
from image_factory.oci.manifest import OCI_INDEX, ImageConfig, Index, Manifest, check_digest, parse_config
from image_factory.oci.platform import DEFAULT_PLATFORM
from image_factory.oci.reference import Digest, Repository, Tag
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
from image_factory.shell.registry_session import RegistrySession

_CONFIGS = frozenset({"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"})


@hookimpl
def register_registries(
    register: Callable[[Registry], None],
    settings: Settings,
    http: Http,
    clock: Clock,
    credentials: Callable[[Repository], Credentials | None],
) -> None:
    """Register the registry that answers where no plugin claims a repository."""
    register(OciRegistry(http, settings, clock, credentials))


class OciRegistry:
    """A `Registry` for whatever speaks the distribution protocol.

    Args:
        http: the network.
        settings: endpoints, token realms and the like, by host.
        clock: what tokens and pauses are measured by.
        credentials: asked when a registry first wants authentication.
        anonymous_fallback: ask without credentials where those found are refused for a token.
    """

    def __init__(
        self,
        http: Http,
        settings: Settings,
        clock: Clock,
        credentials: Callable[[Repository], Credentials | None],
        *,
        anonymous_fallback: bool = False,
    ) -> None:
        self._settings = settings
        self._session = RegistrySession(http, settings, clock, credentials, anonymous_fallback=anonymous_fallback)
        self._without_head: set[str] = set()
        """Registries that refuse HEAD."""

    @property
    def name(self) -> str:
        return "oci"

    def claims(self, repository: Repository) -> bool:
        """Claim everything: the plugin table asks others first."""
        return True

    def resolve(self, tag: Tag) -> Digest:
        """Return the digest that a tag points at, with one HEAD once there is a token.

        A GET follows only where a registry refuses HEAD or names no digest, never after a 429.
        """
        repository, what = tag.repository, str(tag)
        if repository.registry not in self._without_head:
            try:
                response = self._session.ask(repository, _manifest(tag.name, "HEAD"), what)
            except RemoteRefused:
                self._without_head.add(repository.registry)
            else:
                digest = read_head(response, what)
                if digest is not None:
                    return digest
        response = self._session.ask(repository, _manifest(tag.name, "GET"), what)
        return read_manifest(response, what)[0]

    def tags(self, repository: Repository) -> Iterator[Tag]:
        """Yield every tag once, page by page.

        Raises:
            ProtocolError: the pages run in a circle, lead elsewhere, or are more than `MAX_PAGES`.
        """
        what = f"the tags of {repository}"
        try:
            response = self._session.ask(repository, lambda at, path: tags_request(at, path), what)
        except RemoteRefused:
            # Some refuse a page size they do not like, in place of capping it.
            response = self._session.ask(repository, lambda at, path: tags_request(at, path, page_size=None), what)
        path = self._session.path(repository)
        url = tags_request(self._session.endpoint(repository), path, page_size=PAGE_SIZE).url
        visited, seen = {url}, set()
        for _ in range(MAX_PAGES):
            for name in read_tags(response, str(repository)):
                if name not in seen:
                    seen.add(name)
                    yield Tag(repository, name)
            following = next_page(response, url)
            if following is None:
                return
            if following in visited:
                raise ProtocolError(f"the pages of {what} run in a circle")
            visited.add(following)
            url = following
            response = self._session.ask_at(repository, path, _at(following), what)
        raise ProtocolError(f"{what} have more than {MAX_PAGES} pages")

    def manifest(self, repository: Repository, digest: Digest) -> Manifest | Index:
        """Return the content of `digest`, checked against it; costs a GET."""
        what = f"{repository}@{digest}"
        response = self._session.ask(repository, _manifest(str(digest), "GET"), what)
        return read_manifest(response, what, digest)[1]

    def metadata(self, repository: Repository, digest: Digest) -> ImageMetadata:
        """Return platforms, size, creation time and labels of `digest`.

        Of an index: those of its linux/amd64 image, else of its first. Costs a GET for a manifest,
        two for an index, and one that registries do not count, for the configuration.
        """
        top = self.manifest(repository, digest)
        platforms: dict[str, Digest] = {}
        image: Manifest | Index = top
        if isinstance(top, Index):
            platforms = dict(top.platforms)
            chosen = platforms.get(str(DEFAULT_PLATFORM)) or next(iter(platforms.values()), None)
            if chosen is None:
                return ImageMetadata(digest, platforms, labels=dict(top.annotations))
            image = self.manifest(repository, chosen)
        if isinstance(image, Index):
            raise ProtocolError(f"{repository}@{digest} is an index of indexes")
        config = self._config(repository, image)
        if config.platform is not None and not platforms:
            platforms = {str(config.platform): digest}
        return ImageMetadata(
            digest=digest,
            platforms=platforms,
            architecture=config.platform.architecture if config.platform else None,
            os=config.platform.os if config.platform else None,
            size=sum(layer.size for layer in image.layers),
            created=config.created,
            labels={**top.annotations, **image.annotations, **config.labels},
        )

    def versions(self, repository: Repository) -> Iterator[Version]:
        """Yield the tags alone: the protocol tells no dates, and a digest costs a request each."""
        for tag in self.tags(repository):
            yield Version(tag.name)

    def referrers(self, repository: Repository, digest: Digest) -> Index:
        """Return what refers to `digest`, by the referrers API or by its tag; an empty index where nothing does."""
        what = f"the referrers of {repository}@{digest}"
        try:
            response = self._session.ask(repository, lambda at, path: referrers_request(at, path, digest), what)
        except (RemoteNotFound, RemoteRefused):
            try:
                response = self._session.ask(repository, _manifest(referrers_tag(digest), "GET"), what)
            except RemoteNotFound:
                return Index(OCI_INDEX, ())
        return read_referrers(response, what)

    def rate_profile(self, repository: Repository) -> RateProfile | None:
        """Return what the registry last said of our quota, else what the settings allow, else None."""
        observed = self.observed_limit(repository)
        if observed is not None and observed.limit and observed.window:
            return RateProfile(observed.limit, observed.window)
        return configured_rate(self._settings, repository)

    def observed_limit(self, repository: Repository) -> RateLimit | None:
        """Return quota and remainder as the registry's last answer told them; None before the first answer."""
        return self._session.limit(repository)

    def has_credentials(self, repository: Repository) -> bool:
        """Whether there are credentials for `repository`; may run a credential helper."""
        return self._session.has_credentials(repository)

    def web_url(self, repository: Repository, tag: str | None = None) -> str | None:
        """Return None: the protocol knows no pages for people."""
        return None

    def webhook_receiver(self) -> WebhookReceiver | None:
        """Return None: the protocol announces nothing."""
        return None

    def _config(self, repository: Repository, image: Manifest) -> ImageConfig:
        if image.config.media_type not in _CONFIGS:
            return ImageConfig(None)
        what = f"the configuration {image.config.digest.short} of {repository}"
        response = self._session.ask(repository, lambda at, path: blob_request(at, path, image.config.digest), what)
        check_digest(response.body, image.config.digest)
        return parse_config(response.body)


def configured_rate(settings: Settings, repository: Repository) -> RateProfile | None:
    """Return the limit that the settings name for a registry, or None."""
    registry = settings.registries.get(repository.registry)
    if registry is None or registry.requests_per_day is None:
        return None
    return RateProfile(registry.requests_per_day, timedelta(days=1))


def _manifest(reference: str, method: str) -> Callable[[Endpoint, str], HttpRequest]:
    return lambda endpoint, path: manifest_request(endpoint, path, reference, method=method)


def _at(url: str) -> Callable[[Endpoint, str], HttpRequest]:
    return lambda endpoint, path: HttpRequest("GET", url, {"Accept": "application/json"})
