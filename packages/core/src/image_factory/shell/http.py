"""The port `Http` over httpx's transports: bounded in size, time and patience; secrets stay with their origin.

TLS is always verified. Plain HTTP is spoken to loopback, and to hosts that the settings name. httpx
is imported with the first request, since most commands send none. Thread-safe.
"""

from __future__ import annotations

import random
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, cast
from urllib.parse import urljoin, urlsplit

from image_factory import __version__
from image_factory.errors import ProtocolError, RemoteError, Unavailable
from image_factory.model.settings import Settings
from image_factory.oci.authentication import host_of
from image_factory.oci.distribution import redacted, retry_after
from image_factory.ports import Clock, HttpRequest, HttpResponse

if TYPE_CHECKING:
    from types import ModuleType

    import httpx

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_RETRIED = frozenset({429, 500, 502, 503, 504})
_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
# What may go to another origin than the one asked: whatever else a header holds may be a secret.
_HARMLESS = frozenset({"accept", "accept-language", "range", "if-none-match", "user-agent"})
_IMPORT = threading.Lock()


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """How long and how often is tried."""

    connect: timedelta = timedelta(seconds=10)
    read: timedelta = timedelta(seconds=20)
    """Between two pieces of an answer."""
    whole: timedelta = timedelta(seconds=90)
    """For one whole answer."""
    redirects: int = 5
    attempts: int = 4
    first_wait: timedelta = timedelta(milliseconds=500)
    """Doubled with each attempt."""
    longest_wait: timedelta = timedelta(seconds=30)
    """What a service asks beyond it is not waited for; its answer is returned."""
    patience: timedelta = timedelta(minutes=2)
    """All waiting of one run together."""
    connections: int = 16


class HttpClient:
    """An `Http` for one run.

    Args:
        settings: names the hosts with plain HTTP or a CA file of their own.
        clock: what waits, and what `Retry-After` dates count from.
        limits: how long and how often is tried.
        randomness: a number from 0 up to 1, for the jitter of waits.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        clock: Clock | None = None,
        *,
        limits: HttpLimits | None = None,
        randomness: Callable[[], float] = random.random,
    ) -> None:
        from image_factory.shell.clock import SystemClock

        self._clock: Clock = clock or SystemClock()
        self._limits = limits or HttpLimits()
        self._randomness = randomness
        self._plain, self._ca_files = _hosts(settings or Settings())
        self._lock = threading.Lock()
        self._ways: dict[tuple[str, bool], _Way] = {}
        self._transports: dict[_Way, httpx.HTTPTransport] = {}
        self._timeouts = dict.fromkeys(("read", "write", "pool"), self._limits.read.total_seconds())
        self._timeouts["connect"] = self._limits.connect.total_seconds()
        self._waited = timedelta()
        self._refused: dict[tuple[str, int], datetime] = {}
        """(origin, hash of the credential) → until when a 429 asked us to stay away."""

    def send(self, request: HttpRequest, *, max_bytes: int = 4 * 1024 * 1024) -> HttpResponse:
        """Return the answer, whatever its status, after redirects and retries; see the port."""
        for attempt in range(1, self._limits.attempts + 1):
            until = self._refused.get(_account(request))
            now = self._clock.now()
            if until is not None and now < until:
                # Asked again before its time: answer as the service would, and leave it alone.
                seconds = max(1, int((until - now).total_seconds()))
                return HttpResponse(429, {"retry-after": str(seconds)}, b"", request.url)
            last = attempt == self._limits.attempts
            try:
                response = self._follow(request, max_bytes)
            except Unavailable as error:
                started = not isinstance(error, _NotSent)
                if last or (started and request.method not in _IDEMPOTENT) or not self._wait(attempt, None):
                    raise
                continue
            if response.status not in _RETRIED:
                return response
            asked = retry_after(response.headers, self._clock.now())
            if response.status != 429 and request.method not in _IDEMPOTENT:
                return response
            if last or not self._wait(attempt, asked):
                if response.status == 429:
                    self._stay_away(request, asked or self._backoff(attempt))
                return response
        raise AssertionError("the last attempt returns or raises")  # pragma: no cover

    def close(self) -> None:
        """Give back all connections; this may be used again."""
        with self._lock:
            transports, self._transports = list(self._transports.values()), {}
        for transport in transports:
            transport.close()

    def __enter__(self) -> HttpClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- patience -----------------------------------------------------------------------------

    def _backoff(self, attempt: int) -> timedelta:
        wait: timedelta = min(self._limits.first_wait * 2 ** (attempt - 1), self._limits.longest_wait)
        return wait * (0.5 + self._randomness() / 2)

    def _wait(self, attempt: int, asked: timedelta | None) -> bool:
        """Wait before the next attempt; return False, without waiting, where that would take too long."""
        wait = self._backoff(attempt)
        if asked is not None:
            # Never before what was asked, and not all clients at the same instant after it.
            wait = asked + self._limits.first_wait * self._randomness()
        if wait > self._limits.longest_wait:
            return False
        with self._lock:
            if self._waited + wait > self._limits.patience:
                return False
            self._waited += wait
        self._clock.sleep(wait)
        return True

    def _stay_away(self, request: HttpRequest, wait: timedelta) -> None:
        with self._lock:
            self._refused[_account(request)] = self._clock.now() + wait

    # --- redirects ------------------------------------------------------------------------------

    def _follow(self, request: HttpRequest, max_bytes: int) -> HttpResponse:
        method, url, body = request.method, request.url, request.body
        headers = {"User-Agent": f"image-factory/{__version__}", "Accept-Encoding": "identity", **request.headers}
        _check_headers(headers, url)
        for _ in range(self._limits.redirects + 1):
            self._check_url(url)
            response = self._exchange(HttpRequest(method, url, headers, body), max_bytes)
            location = response.headers.get("location")
            if response.status not in _REDIRECTS or not location:
                return response
            try:
                target: str = urljoin(url, location)
            except ValueError:
                raise ProtocolError(f"{redacted(url)} redirects to what is no URL") from None
            self._check_redirect(url, target)
            if response.status == 303 or (response.status in (301, 302) and method == "POST"):
                method, body = ("HEAD" if method == "HEAD" else "GET"), None
            if _origin(target) != _origin(url):
                if body is not None:
                    raise ProtocolError(f"{redacted(url)} redirects what was sent to another host: {host_of(target)}")
                headers = {name: value for name, value in headers.items() if name.lower() in _HARMLESS}
            url = target
        raise ProtocolError(f"{redacted(request.url)} redirects more than {self._limits.redirects} times")

    def _check_url(self, url: str) -> None:
        host, split = host_of(url), urlsplit(url)
        if host is None or split.username is not None or split.password is not None:
            raise ProtocolError(f"no http or https URL, or one with a password in it: {redacted(url)}")
        if split.scheme == "http" and not is_loopback(host) and host not in self._plain:
            hint = f"if it has no https, write registries: {{{host}: {{plainHttp: true}}}} in config.yaml"
            raise ProtocolError(f"plain http is not spoken to {host}", hint=hint)

    def _check_redirect(self, source: str, target: str) -> None:
        host = host_of(target)
        if host is None:
            raise ProtocolError(f"{redacted(source)} redirects to what is no http or https URL")
        if urlsplit(source).scheme == "https" and urlsplit(target).scheme == "http":
            raise ProtocolError(f"{redacted(source)} redirects from https to plain http on {host}")
        if is_inner(host) and not is_inner(host_of(source) or ""):
            raise ProtocolError(f"{redacted(source)} redirects into this machine: {host}")

    # --- one exchange ---------------------------------------------------------------------------

    def _exchange(self, request: HttpRequest, max_bytes: int) -> HttpResponse:
        _import_httpx()
        import httpx

        host = host_of(request.url) or ""
        transport = self._transport(host, is_secure=urlsplit(request.url).scheme == "https")
        deadline = time.monotonic() + self._limits.whole.total_seconds()
        try:
            asked = httpx.Request(
                request.method,
                request.url,
                headers=dict(request.headers),
                content=request.body,
                extensions={"timeout": self._timeouts},
            )
            with closing(transport.handle_request(asked)) as answer:
                answer.request = asked
                headers = _headers(answer)
                # A HEAD's nothing is read too: a connection with an unread answer is not used again.
                is_head = request.method == "HEAD"
                body = answer.read() if is_head else _read(answer, host, max_bytes, deadline)
                return HttpResponse(answer.status_code, headers, body, request.url)
        except httpx.TimeoutException as error:
            raise Unavailable(f"no answer in time from {host}", hint="try again later") from error
        except httpx.ConnectError as error:
            reason = str(error)
            if "CERTIFICATE" in reason.upper():
                hint = f"for a CA of your own, write registries: {{{host}: {{caFile: …}}}} in config.yaml"
                raise ProtocolError(f"cannot trust {host}: {reason}", hint=hint) from error
            raise _NotSent(f"cannot reach {host}: {reason}", hint="check the address and the network") from error
        except (httpx.ProxyError, httpx.NetworkError, httpx.RemoteProtocolError) as error:
            raise Unavailable(f"no whole answer from {host}: {error}", hint="try again later") from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError, ValueError) as error:
            # Their text may hold what was to be sent, so neither it nor its chain goes further.
            raise ProtocolError(f"cannot ask {redacted(request.url)}: {type(error).__name__}") from None

    def _transport(self, host: str, *, is_secure: bool) -> httpx.HTTPTransport:
        """Return what sends to a host.

        Not an `httpx.Client`: looking for redirects, cookies and authentication, none of which it may see to
        here, costs it a quarter of the time of a whole request.
        """
        with self._lock:
            way = self._ways.get((host, is_secure))
            if way is None:
                way = _Way(is_secure, is_loopback(host), self._ca_files.get(host), _proxy(host, is_secure=is_secure))
                self._ways[host, is_secure] = way
            if way not in self._transports:
                self._transports[way] = self._open(way)
            return self._transports[way]

    def _open(self, way: _Way) -> httpx.HTTPTransport:
        import ssl

        import httpx

        # A context of its own trusts nobody, and needs no list of authorities read, which plain HTTP asks nothing of.
        # A proxy that is itself spoken to by https is checked against the list too.
        verify = (
            httpx.create_ssl_context(trust_env=not way.is_loopback)
            if way.is_secure or way.proxy is not None
            else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        )
        if way.ca_file is not None:
            try:
                verify.load_verify_locations(way.ca_file)
            except (OSError, ssl.SSLError) as error:
                raise ProtocolError(
                    f"cannot read the CA file {way.ca_file}: {error}", hint="registries: caFile in config.yaml names it"
                ) from error
        most = self._limits.connections
        limits = httpx.Limits(max_connections=most, max_keepalive_connections=most)
        try:
            return httpx.HTTPTransport(verify=verify, limits=limits, proxy=way.proxy)
        except (ImportError, ValueError, httpx.InvalidURL):
            # Never shown: a proxy's address may hold its password.
            scheme = "HTTPS_PROXY" if way.is_secure else "HTTP_PROXY"
            hint = "write one such as http://proxy.example.com:3128"
            raise ProtocolError(f"the proxy that {scheme} or ALL_PROXY names cannot be used", hint=hint) from None


@dataclass(frozen=True, slots=True)
class _Way:
    """How a host is reached; hosts that are reached alike share their connections' pool."""

    is_secure: bool
    is_loopback: bool
    ca_file: str | None
    proxy: str | None = field(repr=False)


def _proxy(host: str, *, is_secure: bool) -> str | None:
    """Return the proxy that the environment names for a host; none for this machine itself."""
    if is_loopback(host):
        return None
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    named = proxies.get("https" if is_secure else "http") or proxies.get("all")
    if not named or proxy_bypass(host):
        return None
    return named if "://" in named else f"http://{named}"


def _import_httpx() -> None:
    """Import httpx without the command line that comes with it, which costs as much as the rest of it.

    Where its command line cannot be imported httpx goes without, as where `rich` is not installed; and
    None among the modules is how Python is told that one cannot be.
    """
    if "httpx" in sys.modules:
        return
    with _IMPORT:
        sys.modules.setdefault("httpx._main", cast("ModuleType", None))
        try:
            import httpx  # noqa: F401
        finally:
            sys.modules.pop("httpx._main", None)


class _NotSent(Unavailable):
    """No connection was made, so nothing was sent and anything may be tried again."""


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """Whether a host, with or without its port, is this machine by its very name."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def is_inner(host: str) -> bool:
    """Whether a host is this machine or its link, such as a cloud's metadata service at 169.254.169.254."""
    if is_loopback(host):
        return True
    try:
        address = ip_address(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False
    return address.is_link_local or address.is_unspecified


def _hosts(settings: Settings) -> tuple[frozenset[str], dict[str, str]]:
    """Return the hosts with plain HTTP, and the CA files by host; a registry's endpoint has what it has."""
    plain: set[str] = set()
    ca_files: dict[str, str] = {}
    for name, registry in settings.registries.items():
        endpoint = host_of(registry.endpoint) if registry.endpoint else None
        if registry.plain_http:
            plain.add(endpoint or name)
        if endpoint is not None and registry.endpoint is not None and registry.endpoint.startswith("http://"):
            plain.add(endpoint)
        if registry.ca_file:
            ca_files[name] = ca_files[endpoint or name] = registry.ca_file
    return frozenset(plain), ca_files


def _account(request: HttpRequest) -> tuple[str, int]:
    secrets = tuple(v for name, v in sorted(request.headers.items()) if name.lower() not in _HARMLESS)
    return _origin(request.url), hash(secrets)


def _origin(url: str) -> str:
    return f"{urlsplit(url).scheme}://{host_of(url)}"


def _check_headers(headers: dict[str, str], url: str) -> None:
    for name, value in headers.items():
        if not (name + value).isascii() or not (name + value).isprintable():
            raise ProtocolError(f"a header {name!r} for {redacted(url)} holds what no header may hold")


def _headers(answer: httpx.Response) -> dict[str, str]:
    """Return the headers by lower-case name, those that came more than once joined by commas.

    From the raw bytes: httpx guesses the encoding anew for each header that it is asked for.
    """
    headers: dict[str, str] = {}
    for raw_name, raw_value in answer.headers.raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _read(answer: httpx.Response, host: str, max_bytes: int, deadline: float) -> bytes:
    announced = answer.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and (len(announced) > 15 or int(announced) > max_bytes):
        raise _too_large(host, max_bytes)
    parts, total = [], 0
    for part in _decoded(answer, max_bytes):
        total += len(part)
        if total > max_bytes:
            raise _too_large(host, max_bytes)
        if time.monotonic() > deadline:
            raise Unavailable(f"no whole answer in time from {host}", hint="try again later")
        parts.append(part)
    return b"".join(parts)


def _decoded(answer: httpx.Response, max_bytes: int) -> Iterator[bytes]:
    """Yield the body's pieces, none longer than just over `max_bytes`.

    We ask for no compression; where a service compresses all the same, httpx would unpack a piece
    whole, a thousandfold, before its size could be seen.
    """
    encoding = answer.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        yield from answer.iter_raw()
        return
    if encoding not in ("gzip", "x-gzip"):
        raise ProtocolError(f"{host_of(str(answer.url))} compresses as {encoding[:40]!r}, which was not asked for")
    unpacker = zlib.decompressobj(wbits=31)
    for part in answer.iter_raw():
        try:
            yield unpacker.decompress(part, max_bytes + 1)
        except zlib.error as error:
            raise ProtocolError(f"{host_of(str(answer.url))} sends gzip that is none") from error
    if not unpacker.eof:
        raise ProtocolError(f"{host_of(str(answer.url))} sends gzip that is none, or half of it")


def _too_large(host: str, max_bytes: int) -> RemoteError:
    return ProtocolError(
        f"an answer of {host} has more than {max_bytes} bytes", hint="is the address that of a service?"
    )
