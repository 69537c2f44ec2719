"""One GitHub host's REST API through PyGithub, bounded: in time, in size, in retries, in what is logged.

PyGithub's requester does authentication, connection reuse and retries. What it would do without
bounds is replaced here: it reads whole bodies of any size, waits for hours at a rate limit, follows
redirects in a circle, and logs every body when debugging. No exception of its own leaves this file.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import github.Auth
import requests
from github.Requester import HTTPRequestsConnectionClass, HTTPSRequestsConnectionClass, Requester
from urllib3 import Retry

from image_factory.errors import ImageFactoryError, ProtocolError, RateLimited, Unavailable
from image_factory.ports import Clock
from image_factory.shell.process import redact
from image_factory_github.hosts import API_VERSION, Host, Hosts
from image_factory_github.refusals import refusal

MAX_ANSWER = 32 * 1024 * 1024
"""Bytes of one answer; a file of 16 MiB takes 22 in base64."""
MAX_SECONDS = 120
"""Seconds for one whole answer."""
MAX_PAGES = 1_000
"""Pages of one list: 100,000 branches. Beyond it we stop and say so."""
PAGE = 100
"""Items a page, the most that GitHub gives."""
TIMEOUT = 30
"""Seconds without a byte."""

_QUIET = logging.Logger("image_factory_github.quiet", logging.CRITICAL + 1)


class Client:
    """Asks one host with the token that belongs to it. Threads may share it."""

    def __init__(self, host: Host, hosts: Hosts, clock: Clock) -> None:
        self.host = host
        self._hosts = hosts
        self._clock = clock
        self._local = threading.local()
        self._opened: list[Requester] = []
        self._lock = threading.Lock()
        self._blocked: tuple[datetime, str] | None = None
        self._app_token: tuple[str, datetime] | None = None

    def get(
        self, path: str, *, doing: str, parameters: Mapping[str, str | int] | None = None, accept: str = "json"
    ) -> Any:
        """Return a GET's JSON, or its text where `accept` is not `json`; raises as `send` does."""
        return self._ask("GET", path, doing, parameters=parameters, accept=accept)[1]

    def send(self, method: str, path: str, body: Mapping[str, object] | None, *, doing: str) -> tuple[int, Any]:
        """Return status and JSON of a request that changes something.

        Raises:
            Unavailable, RateLimited, AuthenticationRequired, RemoteNotFound, RemoteRefused, ProtocolError.
        """
        return self._ask(method, path, doing, body=body)

    def pages(
        self, path: str, *, doing: str, items: str | None = None, parameters: Mapping[str, str | int] | None = None
    ) -> Iterator[Any]:
        """Yield the entries of a list over all its pages.

        Whether there is a next page is read from the Link header, where it is never: the number counts up
        on our own path, so that no answer can send us to another origin or in a circle.
        """
        for number in range(1, MAX_PAGES + 1):
            asked = {**(parameters or {}), "per_page": PAGE, "page": number}
            headers, parsed = self._ask("GET", path, doing, parameters=asked, wants_headers=True)
            found = parsed.get(items) if items is not None and isinstance(parsed, dict) else parsed
            if not isinstance(found, list):
                raise self.odd(doing, "a list was expected")
            yield from found
            if 'rel="next"' not in headers.get("link", "") or not found:
                return
        raise ProtocolError(f"{doing}: more than {MAX_PAGES} pages", hint="ask for less")

    def token(self) -> str | None:
        """Return the token for this host: an App's installation's, else one of the environment, else None."""
        app = self._hosts.app(self.host)
        if app is None:
            return self._hosts.token(self.host)
        with self._lock:
            if self._app_token is None or self._clock.now() >= self._app_token[1]:
                self._app_token = self._installation_token(*app)
            return self._app_token[0]

    def odd(self, doing: str, why: str) -> ProtocolError:
        """Return the error for an answer that is no GitHub's."""
        return ProtocolError(f"{doing}: {why}", hint=f"is {self.host.api} a GitHub? check source.host")

    # --- inner ---------------------------------------------------------------------------------------

    def _ask(
        self,
        method: str,
        path: str,
        doing: str,
        *,
        body: Mapping[str, object] | None = None,
        parameters: Mapping[str, str | int] | None = None,
        accept: str = "json",
        wants_headers: bool = False,
        auth: github.Auth.Auth | None = None,
    ) -> tuple[Any, Any]:
        now = self._clock.now()
        if self._blocked is not None and now < self._blocked[0]:
            left = self._blocked[0] - now
            raise RateLimited(
                f"{doing}: {self._blocked[1]}",
                retry_after=left,
                hint=f"GitHub takes requests again in {int(left.total_seconds()) + 1} s",
            )
        headers = {"Accept": f"application/vnd.github+{accept}", "X-GitHub-Api-Version": API_VERSION}
        if accept != "json":
            headers["Accept"] = f"application/vnd.github.{accept}"
        asked = {key: value for key, value in (parameters or {}).items() if value != ""} or None
        try:
            requester, secret = self._requester(auth)
            status, raw, text = requester.requestJson(
                method, quote(path, safe="/"), parameters=asked, headers=headers, input=body
            )
        except ImageFactoryError as error:
            raise type(error)(f"{doing}: {error.message}", hint=error.hint) from None
        except requests.RequestException as error:
            # Its text may hold the URL and proxy with credentials; its kind says enough.
            raise Unavailable(
                f"{doing}: {self.host.name} does not answer ({type(error).__name__})",
                hint="check the network and the host's name, and try again later",
            ) from None
        except Exception as error:  # noqa: BLE001  # nothing of PyGithub's may cross the port
            raise self.odd(doing, f"the answer cannot be read ({type(error).__name__})") from None
        told = {str(key).lower(): str(value) for key, value in raw.items()}
        if not 200 <= status < 300:
            # A proxy's refusal may repeat the request, its token included.
            refused = refusal(status, told, redact(text, secret), doing, self._clock.now())
            if isinstance(refused, RateLimited) and refused.retry_after is not None:
                self._blocked = (self._clock.now() + refused.retry_after, "its rate limit is spent")
            raise refused
        first = told if wants_headers else status
        if accept != "json":
            return first, text
        if not text.strip():
            return first, None
        try:
            return first, json.loads(text)
        except (ValueError, RecursionError):
            raise self.odd(doing, "the answer is no JSON") from None

    def _requester(self, auth: github.Auth.Auth | None) -> tuple[Requester, tuple[str, ...]]:
        """Return this thread's requester, for PyGithub's connections are not to be shared, and what it must not say."""
        if auth is not None:
            return self._new(auth), (auth.token,)
        token = self.token()
        known: tuple[str | None, Requester] | None = getattr(self._local, "requester", None)
        if known is None or known[0] != token:
            known = (token, self._new(None if token is None else _Bearer(token)))
            self._local.requester = known
        return known[1], (token,) if token else ()

    def close(self) -> None:
        """Close the connections of all threads; a later request opens new ones."""
        for requester in list(self._opened):
            requester.close()

    def _new(self, auth: github.Auth.Auth | None) -> Requester:
        requester = self._made(auth)
        self._opened.append(requester)
        return requester

    def _made(self, auth: github.Auth.Auth | None) -> Requester:
        return _BoundedRequester(
            auth=auth,
            base_url=self.host.api,
            timeout=TIMEOUT,
            user_agent="image-factory",
            per_page=PAGE,
            verify=True,
            retry=Retry(
                total=3,
                backoff_factor=0.2,
                status_forcelist=(502, 503, 504),
                allowed_methods=frozenset({"GET"}),
                respect_retry_after_header=False,
                raise_on_status=False,
                redirect=False,
            ),
            pool_size=None,
        )

    def _installation_token(self, app: Any, key: str) -> tuple[str, datetime]:
        doing = f"cannot act as the App on {self.host.name}"
        try:
            claim = github.Auth.AppAuthToken(github.Auth.AppAuth(str(app.app_id), key).token)
        except Exception as error:  # noqa: BLE001  # PyJWT's and cryptography's many kinds
            raise ProtocolError(
                f"{doing}: its private key cannot be used ({type(error).__name__})",
                hint="give the .pem as GitHub made it",
            ) from None
        path = f"/app/installations/{app.installation_id}/access_tokens"
        _, told = self._ask("POST", path, doing, body={}, auth=claim)
        try:
            expires = datetime.fromisoformat(told["expires_at"])
            return str(told["token"]), expires - timedelta(minutes=2)
        except (KeyError, TypeError, ValueError):
            raise self.odd(doing, "the answer holds no token") from None


class _Bearer(github.Auth.Token):
    """PyGithub says `token`; `Bearer` is the word of GitHub's documentation, and of our `TriggerCall`."""

    token_type = "Bearer"  # noqa: S105  # the scheme's name


class _Answer:
    """What PyGithub reads of a response."""

    def __init__(self, status: int, headers: Mapping[str, str], text: str) -> None:
        self.status = status
        self.headers = headers
        self._text = text

    def getheaders(self) -> Any:
        return self.headers.items()

    def read(self) -> str:
        return self._text


def _bounded(connection: Any) -> Any:
    """Send a PyGithub connection's request and read the answer within our bounds."""
    url = f"{connection.protocol}://{connection.host}:{connection.port}{connection.url}"
    ends_at = time.monotonic() + MAX_SECONDS
    response = connection.session.request(
        connection.verb,
        url,
        headers=connection.headers,
        data=connection.input,
        timeout=connection.timeout,
        verify=connection.verify,
        allow_redirects=False,
        stream=True,
    )
    with response:
        body = bytearray()
        for chunk in response.iter_content(65536):
            body += chunk
            if len(body) > MAX_ANSWER:
                raise ProtocolError(f"the answer is larger than {MAX_ANSWER} bytes", hint="ask for less")
            if time.monotonic() > ends_at:
                raise Unavailable(f"no whole answer within {MAX_SECONDS} s", hint="try again later")
    if response.status_code == 202 and connection.verb == "GET":
        # PyGithub would ask again every two seconds for ever.
        raise Unavailable("GitHub is still preparing the answer", hint="try again in a minute")
    connection.moves = connection.moves + 1 if response.status_code == 301 else 0
    if connection.moves > 5:
        raise ProtocolError("redirects run in a circle", hint="check the repository's name")
    return _Answer(response.status_code, response.headers, body.decode("utf-8", "replace"))


class _BoundedHttp(HTTPRequestsConnectionClass):
    moves = 0
    getresponse: Callable[..., Any] = _bounded


class _BoundedHttps(HTTPSRequestsConnectionClass):
    moves = 0
    getresponse: Callable[..., Any] = _bounded


class _BoundedRequester(Requester):
    """PyGithub's requester over bounded connections, and silent: its debug log shows bodies, tokens in them."""

    # PyGithub offers to inject these into the class for everybody; this is for our own requester alone.
    _Requester__httpConnectionClass = _BoundedHttp
    _Requester__httpsConnectionClass = _BoundedHttps
    _logger = _QUIET
