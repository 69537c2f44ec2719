"""Asking registries: endpoints, credentials, tokens and pauses around one request at a time.

`oci.distribution` and `oci.authentication` say what to send and what an answer means; this module
holds what is remembered between requests. Thread-safe.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from image_factory.errors import AuthenticationRequired, InvalidReference, InvalidSettings, RateLimited, RemoteNotFound
from image_factory.model.settings import RegistrySettings, Settings
from image_factory.oci.authentication import (
    Challenge,
    Token,
    basic_authorization,
    check_realm,
    choose_challenge,
    host_of,
    pull_scope,
    read_token,
    token_request,
)
from image_factory.oci.distribution import Endpoint, RateLimit, check_status, read_rate_limit, when_again
from image_factory.oci.manifest import MAX_MANIFEST
from image_factory.oci.reference import DOCKER_HUB, Repository
from image_factory.ports import Clock, Credentials, Http, HttpRequest, HttpResponse
from image_factory.shell.http import is_loopback

PAUSE = timedelta(minutes=1)
"""How long a registry is left alone after a 429 that does not say."""
RESERVE = 10
"""Of a quota, one part in so many is left to people's pulls, which share it: no GET of ours is counted there."""
HOLD = timedelta(minutes=10)
"""How long a spent quota is believed without news of it: its window slides, and other answers renew it."""
MAX_TOKEN_ANSWER = 256 * 1024

Account = tuple[str, Credentials | None]
"""Whom a registry counts: its host as named in references, and the credentials that it is shown."""
Build = Callable[[Endpoint, str], HttpRequest]
"""Makes a request for a repository's path at an endpoint."""


@dataclass(slots=True)
class _Host:
    """What is known of one registry's host."""

    registry: str
    endpoint: Endpoint
    settings: RegistrySettings
    is_mirror: bool
    challenge: Challenge | None = None
    uses_other_name: bool = False
    """Whether `library/` made the difference here once."""
    lock: threading.Lock = field(default_factory=threading.Lock)


class RegistrySession:
    """What is remembered of registries during one run.

    Args:
        anonymous_fallback: ask without credentials where those given are refused for a token, for
            credentials that nobody meant for this registry, such as a CI job's own token.
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
        self._http = http
        self._settings = settings
        self._clock = clock
        self._find_credentials = credentials
        self._anonymous_fallback = anonymous_fallback
        self._lock = threading.Lock()
        self._hosts: dict[str, _Host] = {}
        self._credentials: dict[Repository, Credentials | None] = {}
        self._tokens: dict[tuple[Account, str], Token] = {}
        self._turns: dict[tuple[Account, str], threading.Lock] = {}
        self._pauses: dict[Account, datetime] = {}
        self._limits: dict[Account, tuple[RateLimit, datetime]] = {}
        """What was last said of a quota, and when."""
        self._missing: set[Repository] = set()
        """Repositories that are under no other name either."""

    def ask(self, repository: Repository, build: Build, what: str) -> HttpResponse:
        """Return the 2xx answer to a request about `repository`.

        Where it is not found under its own name, the name with or without `library/` is tried once,
        as Artifactory's and Harbor's proxies want it, and remembered for the host.

        Raises:
            RemoteError: by who acts next, see `oci.distribution.check_status`.
        """
        host = self._host(repository.registry)
        first, *others = self._paths(host, repository)
        try:
            return self.ask_at(repository, first, build, what)
        except RemoteNotFound:
            for other in others:
                try:
                    answer = self.ask_at(repository, other, build, what)
                except (RemoteNotFound, AuthenticationRequired):
                    self._missing.add(repository)
                    continue
                host.uses_other_name = not host.uses_other_name
                return answer
            raise

    def path(self, repository: Repository) -> str:
        """Return the path under which `repository` is asked for now."""
        return next(self._paths(self._host(repository.registry), repository))

    def ask_at(self, repository: Repository, path: str, build: Build, what: str) -> HttpResponse:
        """Return the 2xx answer for `repository` at exactly this path; raises what `ask` raises."""
        host = self._host(repository.registry)
        account = self._account(host, repository)
        self._check_pause(account, what)
        request = build(host.endpoint, path)
        self._check_quota(account, request, what)
        scope = pull_scope(host.endpoint.prefix + path)
        sent = self._authorization(host, account, scope, repository)
        response = self._send(request, sent)
        if response.status == 401:
            challenge = choose_challenge(response.headers.get("www-authenticate", ""))
            if challenge is not None:
                # Whether it is the first challenge or the end of what was good until now: once more.
                host.challenge = challenge
                account = self._forget(host, account, scope, repository, sent)
                response = self._send(request, self._authorization(host, account, scope, repository))
        self._note(account, response)
        check_status(response, what, self._clock.now())
        return response

    def endpoint(self, repository: Repository) -> Endpoint:
        """Return where the registry of `repository` is asked."""
        return self._host(repository.registry).endpoint

    def limit(self, repository: Repository) -> RateLimit | None:
        """Return what the registry last said of our quota, or None where it was not asked for a manifest yet.

        All its fields are None where it answered and said nothing.
        """
        known = self._limits.get(self._account(self._host(repository.registry), repository))
        return known[0] if known else None

    def has_credentials(self, repository: Repository) -> bool:
        """Whether requests about `repository` are made with credentials; may run a credential helper."""
        return self._secret(self._host(repository.registry), repository) is not None

    # --- where ----------------------------------------------------------------------------------

    def _host(self, registry: str) -> _Host:
        with self._lock:
            if registry not in self._hosts:
                settings = self._settings.registries.get(registry, RegistrySettings())
                plain = settings.plain_http or is_loopback(registry)
                endpoint = Endpoint.of(registry, plain_http=plain)
                is_mirror = False
                if settings.endpoint:
                    try:
                        configured = Endpoint.parse(settings.endpoint)
                    except InvalidReference as error:
                        raise InvalidSettings(f"registries: {registry}: {error.message}", hint=error.hint) from error
                    is_mirror, endpoint = configured != endpoint, configured
                self._hosts[registry] = _Host(registry, endpoint, settings, is_mirror)
            return self._hosts[registry]

    def _paths(self, host: _Host, repository: Repository) -> Iterator[str]:
        """Yield the path to ask for, and the one to try where that is not found."""
        path, other = repository.path, None
        parent, _, name = path.rpartition("/")
        if repository.registry == DOCKER_HUB:
            # Docker Hub itself always wants it; a mirror may keep the official images without.
            if host.is_mirror and parent == "library":
                other = name
        elif "/" not in parent and parent != "library":
            other = f"{parent}/library/{name}".lstrip("/")
        if other is None or repository in self._missing:
            yield path
            return
        yield from (other, path) if host.uses_other_name else (path, other)

    # --- as whom --------------------------------------------------------------------------------

    def _account(self, host: _Host, repository: Repository) -> Account:
        # Nobody is looked up before a registry asks for it: a helper may be slow, or want a password.
        credentials = self._secret(host, repository) if host.challenge is not None else None
        return host.registry, credentials

    def _secret(self, host: _Host, repository: Repository) -> Credentials | None:
        owner = repository
        if host.is_mirror:
            # Credentials belong to the host that they are sent to, not to the name of the image.
            mirror = host_of(host.endpoint.origin) or ""
            owner = Repository(mirror, host.endpoint.prefix + repository.path)
        with host.lock:
            if owner not in self._credentials:
                self._credentials[owner] = self._find_credentials(owner)
            return self._credentials[owner]

    def _authorization(self, host: _Host, account: Account, scope: str, repository: Repository) -> str | None:
        credentials, challenge = account[1], host.challenge
        if challenge is None:
            return None
        if credentials is not None and not credentials.username:
            return f"Bearer {credentials.password}"
        if challenge.scheme == "basic":
            if credentials is None:
                return None
            return basic_authorization(credentials.username, credentials.password)
        with self._lock:
            turn = self._turns.setdefault((account, scope), threading.Lock())
        # One thread asks for a scope's token, the others that need it wait for it.
        with turn:
            token = self._tokens.get((account, scope))
            if token is None or token.expires_at <= self._clock.now():
                token = self._fetch_token(host, challenge, scope, credentials, repository)
                self._tokens[account, scope] = token
        return f"Bearer {token.value}"

    def _fetch_token(
        self, host: _Host, challenge: Challenge, scope: str, credentials: Credentials | None, repository: Repository
    ) -> Token:
        endpoint = host.endpoint
        realm = challenge.parameters["realm"]
        check_realm(
            realm,
            registry=(host_of(endpoint.origin) or "") if host.is_mirror else host.registry,
            origin=endpoint.origin,
            allowed=host.settings.token_realms,
            plain_http=endpoint.origin.startswith("http://"),
        )
        username, password = (credentials.username, credentials.password) if credentials else ("", "")
        request = token_request(challenge, scope, username=username, password=password)
        response = self._http.send(request, max_bytes=MAX_TOKEN_ANSWER)
        if credentials is not None and self._anonymous_fallback and response.status in (400, 401, 403):
            response = self._http.send(token_request(challenge, scope), max_bytes=MAX_TOKEN_ANSWER)
        kind = "with the credentials that are configured" if credentials else "without credentials"
        check_status(response, f"{repository}, asking {host_of(realm)} for a token {kind}", self._clock.now())
        return read_token(response, self._clock.now())

    def _forget(self, host: _Host, account: Account, scope: str, repository: Repository, sent: str | None) -> Account:
        """Drop what was sent and is no longer taken, and return the account to ask with now."""
        with host.lock:
            token = self._tokens.get((account, scope))
            # Another thread may have a new token by now, which was not what was refused.
            if token is not None and sent == f"Bearer {token.value}":
                del self._tokens[account, scope]
            if account[1] is not None:
                # A helper's answer may have expired: those of clouds live for hours.
                self._credentials = {key: value for key, value in self._credentials.items() if value != account[1]}
        return self._account(host, repository)

    # --- how often ------------------------------------------------------------------------------

    def _send(self, request: HttpRequest, authorization: str | None) -> HttpResponse:
        if authorization is not None:
            headers = {**request.headers, "Authorization": authorization}
            request = HttpRequest(request.method, request.url, headers, request.body)
        return self._http.send(request, max_bytes=MAX_MANIFEST)

    def _check_pause(self, account: Account, what: str) -> None:
        until, now = self._pauses.get(account), self._clock.now()
        if until is not None and now < until:
            raise RateLimited(
                f"not asked: {what}; {account[0]} wants to be left alone until {until:%Y-%m-%d %H:%M:%S} UTC",
                retry_after=until - now,
                hint=f"{when_again(until - now)}; credentials raise the limit of most registries",
            )

    def _check_quota(self, account: Account, request: HttpRequest, what: str) -> None:
        """Refuse to spend what is left of a quota that people's pulls share; HEADs spend nothing."""
        known = self._limits.get(account)
        if known is None or request.method != "GET" or "/manifests/" not in request.url:
            return
        limit, noted = known
        if limit.limit is None or limit.remaining is None or limit.remaining > limit.limit // RESERVE:
            return
        until = noted + min(HOLD, limit.window or HOLD)
        wait = until - self._clock.now()
        if wait > timedelta():
            raise RateLimited(
                f"not asked: {what}; of {limit.limit} pulls {limit.remaining} are left, which are kept for others",
                retry_after=wait,
                hint=f"{when_again(wait)}; credentials raise the limit of most registries",
            )

    def _note(self, account: Account, response: HttpResponse) -> None:
        limit = read_rate_limit(response.headers)
        if limit is not None or (response.status == 200 and "/manifests/" in response.url):
            self._limits[account] = limit or RateLimit(None, None, None), self._clock.now()
        if response.status == 429:
            try:
                check_status(response, account[0], self._clock.now())
            except RateLimited as error:
                self._pauses[account] = self._clock.now() + (error.retry_after or PAUSE)
