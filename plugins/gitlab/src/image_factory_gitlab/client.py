"""One GitLab's REST API through python-gitlab, bounded: in time, in size, in retries, in what is logged.

python-gitlab does authentication, URLs and JSON. What it would do without bounds is replaced here:
it reads whole bodies of any size, sleeps as long as a rate limit says and up to ten times, follows
redirects, and lets requests look for passwords in ~/.netrc. No exception of its own leaves this file.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import gitlab
import requests
from requests.adapters import HTTPAdapter
from requests.utils import parse_header_links
from urllib3 import Retry

from image_factory.errors import ImageFactoryError, ProtocolError, RateLimited, Unavailable
from image_factory.ports import Clock
from image_factory.shell.process import redact
from image_factory_gitlab.hosts import Host, Hosts, Token, TokenKind
from image_factory_gitlab.refusals import refusal

MAX_ANSWER = 32 * 1024 * 1024
"""Bytes of one answer."""
MAX_SECONDS = 120
"""Seconds for one whole answer."""
MAX_PAGES = 1_000
"""Pages of one list: 100,000 entries. Beyond it we stop and say so."""
PAGE = 100
"""Items a page, the most that GitLab gives."""
TIMEOUT = 30
"""Seconds without a byte."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What python-gitlab and we read of a response."""

    status_code: int
    headers: Mapping[str, str]
    """Names in lower case."""
    content: bytes
    reason: str = ""
    history: tuple[()] = ()


class Client:
    """Asks one GitLab with the token that belongs to it. Threads may share it."""

    def __init__(self, host: Host, hosts: Hosts, clock: Clock) -> None:
        self.host = host
        self._hosts = hosts
        self._clock = clock
        self._local = threading.local()
        self._blocked: datetime | None = None

    def get(self, path: str, *, doing: str, parameters: Mapping[str, str | int] | None = None) -> Any:
        """Return a GET's JSON; raises as `send` does."""
        return self._parsed(self._ask("GET", path, doing, parameters=parameters), doing)

    def raw(self, path: str, *, doing: str, parameters: Mapping[str, str | int]) -> bytes:
        """Return a GET's bytes, whole; raises as `send` does."""
        answer = self._ask("GET", path, doing, parameters=parameters)
        told = answer.headers.get("x-gitlab-size", "")
        if told.isdecimal() and int(told) != len(answer.content):
            raise self.odd(doing, "the content has another size than told")
        return answer.content

    def send(
        self, method: str, path: str, body: Mapping[str, object] | None, *, doing: str, secret: str | None = None
    ) -> Any:
        """Return the JSON of a request that changes something.

        Args:
            secret: a token within the body, with which it is sent instead of with ours.

        Raises:
            Unavailable, RateLimited, AuthenticationRequired, RemoteNotFound, RemoteRefused, ProtocolError.
        """
        return self._parsed(self._ask(method, path, doing, body=body, secret=secret), doing)

    def pages(self, path: str, *, doing: str, parameters: Mapping[str, str | int] | None = None) -> Iterator[Any]:
        """Yield the entries of a list over all its pages.

        Only whether there is a next page is read from the answer: the number counts up on our own path, so
        that no answer can send us to another origin or in a circle.
        """
        for number in range(1, MAX_PAGES + 1):
            asked = {**(parameters or {}), "per_page": PAGE, "page": number}
            answer = self._ask("GET", path, doing, parameters=asked)
            found = self._list(answer, doing)
            yield from found
            if not found or not (answer.headers.get("x-next-page", "").strip() or _next_link(answer)):
                return
        raise ProtocolError(f"{doing}: more than {MAX_PAGES} pages", hint="ask for less")

    def keyset(self, path: str, *, doing: str, parameters: Mapping[str, str | int]) -> Iterator[Any]:
        """Yield the entries of a list that is paged by keys (docs.gitlab.com/api/rest, "Keyset-based pagination").

        Of the link to the next page only its `page_token` is taken, and none twice.
        """
        asked = {**parameters, "per_page": PAGE, "pagination": "keyset"}
        seen: set[str] = set()
        while True:
            answer = self._ask("GET", path, doing, parameters=asked)
            found = self._list(answer, doing)
            yield from found
            link = _next_link(answer)
            if link is None or not found:
                return
            token = parse_qs(urlsplit(link).query).get("page_token", [""])[0]
            if not token or token in seen:
                raise self.odd(doing, "its pages run in a circle")
            if len(seen) == MAX_PAGES:
                raise ProtocolError(f"{doing}: more than {MAX_PAGES} pages", hint="ask for less")
            seen.add(token)
            asked = {**asked, "page_token": token}

    def odd(self, doing: str, why: str) -> ProtocolError:
        """Return the error for an answer that is no GitLab's."""
        return ProtocolError(f"{doing}: {why}", hint=f"is {self.host.web} a GitLab? check source.host")

    # --- inner ---------------------------------------------------------------------------------------

    def _ask(
        self,
        method: str,
        path: str,
        doing: str,
        *,
        parameters: Mapping[str, str | int] | None = None,
        body: Mapping[str, object] | None = None,
        secret: str | None = None,
    ) -> Answer:
        now = self._clock.now()
        if self._blocked is not None and now < self._blocked:
            left = self._blocked - now
            raise RateLimited(
                f"{doing}: the rate limit of {self.host.name} is spent",
                retry_after=left,
                hint=f"GitLab takes requests again in {int(left.total_seconds()) + 1} s",
            )
        token = None if secret else self._hosts.token(self.host)
        try:
            asked: Any = self._session(token).http_request(
                method.lower(),
                path,
                query_data=dict(parameters or {}),
                post_data=None if body is None else dict(body),
                obey_rate_limit=False,
                retry_transient_errors=False,
                max_retries=0,
            )
            answer: Answer = asked
        except _Refused as refused:
            answer = refused.answer
        except ImageFactoryError as error:
            raise type(error)(f"{doing}: {error.message}", hint=error.hint) from None
        except requests.RequestException as error:
            # Its text may hold the URL and proxy with credentials; its kind says enough.
            raise Unavailable(
                f"{doing}: {self.host.name} does not answer ({type(error).__name__})",
                hint="check the network and the host's name, and try again later",
            ) from None
        except Exception as error:  # noqa: BLE001  # nothing of python-gitlab's may cross the port
            raise self.odd(doing, f"the answer cannot be read ({type(error).__name__})") from None
        if 200 <= answer.status_code < 300:
            return answer
        secrets = [one for one in (secret, token.value if token else None) if one]
        text = redact(answer.content[:65536].decode("utf-8", "replace"), secrets)
        failed = refusal(answer.status_code, answer.headers, text, doing, self._clock.now())
        if token is not None and token.kind is TokenKind.JOB and answer.status_code in (401, 403, 404):
            failed.hint = f"{failed.hint}; a CI job's token reads files and starts pipelines alone: set GITLAB_TOKEN"
        if isinstance(failed, RateLimited) and failed.retry_after is not None:
            self._blocked = self._clock.now() + failed.retry_after
        raise failed

    def _session(self, token: Token | None) -> gitlab.Gitlab:
        """Return this thread's python-gitlab, since its connections are not to be shared between threads."""
        known: dict[Token | None, gitlab.Gitlab] | None = getattr(self._local, "sessions", None)
        if known is None:
            known = self._local.sessions = {}
        if token not in known:
            known[token] = gitlab.Gitlab(
                self.host.web,
                timeout=TIMEOUT,
                user_agent="image-factory",
                session=_BoundedSession(),
                private_token=token.value if token and token.kind is TokenKind.ACCESS else None,
                job_token=token.value if token and token.kind is TokenKind.JOB else None,
                oauth_token=token.value if token and token.kind is TokenKind.OAUTH else None,
            )
        return known[token]

    def _parsed(self, answer: Answer, doing: str) -> Any:
        if not answer.content.strip():
            return None
        try:
            return json.loads(answer.content)
        except (ValueError, RecursionError):
            raise self.odd(doing, "the answer is no JSON") from None

    def _list(self, answer: Answer, doing: str) -> list[Any]:
        found = self._parsed(answer, doing)
        if not isinstance(found, list):
            raise self.odd(doing, "a list was expected")
        return found


class _Refused(Exception):
    """Carries an answer with its headers past python-gitlab, whose own errors leave them out."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status_code)
        self.answer = answer


class _BoundedSession(requests.Session):
    """Sends python-gitlab's requests and reads the answers within our bounds."""

    def __init__(self) -> None:
        super().__init__()
        retry = Retry(
            total=3,
            backoff_factor=0.2,
            status_forcelist=(502, 503, 504),
            allowed_methods=frozenset({"GET"}),
            respect_retry_after_header=False,
            raise_on_status=False,
            redirect=False,
        )
        for scheme in ("http://", "https://"):
            self.mount(scheme, HTTPAdapter(max_retries=retry))

    def request(self, *arguments: Any, **words: Any) -> Any:
        ends_at = time.monotonic() + MAX_SECONDS
        # Without an auth of ours, requests would take one out of ~/.netrc.
        ours = {"auth": words.get("auth") or _no_auth, "stream": True, "allow_redirects": False}
        response = super().request(*arguments, **{**words, **ours})
        with response:
            body = bytearray()
            for chunk in response.iter_content(65536):
                body += chunk
                if len(body) > MAX_ANSWER:
                    raise ProtocolError(f"the answer is larger than {MAX_ANSWER} bytes", hint="ask for less")
                if time.monotonic() > ends_at:
                    raise Unavailable(f"no whole answer within {MAX_SECONDS} s", hint="try again later")
        headers = {str(key).lower(): str(value) for key, value in response.headers.items()}
        answer = Answer(response.status_code, headers, bytes(body))
        if not 200 <= answer.status_code < 300:
            raise _Refused(answer)
        return answer


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _next_link(answer: Answer) -> str | None:
    """Return where the Link header says that the next page is; None where there is none."""
    text = answer.headers.get("link", "")
    if not re.search(r'rel="?next', text):
        return None
    return next((link["url"] for link in parse_header_links(text) if link.get("rel") == "next"), None)
