"""How a registry asks who we are, and how we answer: challenges, tokens, the realms that may be asked.

Specifications: RFC 9110 section 11 (`WWW-Authenticate`), RFC 7617 (Basic), distribution's token
authentication (docs, "Token Authentication Specification") and its OAuth2 form. Pure: builds requests
and reads answers; never sends.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from image_factory.errors import ProtocolError
from image_factory.oci.exchange import HttpRequest, HttpResponse
from image_factory.oci.manifest import parse_instant, parse_json_object

IDENTITY_USER = "<token>"
"""The user name under which Docker's credential helpers give an identity token (docker-credential-helpers)."""
CLIENT_ID = "image-factory"
DEFAULT_LIFETIME = timedelta(seconds=60)
"""How long a token lives that does not say (distribution, "Token Response Fields")."""
MAX_LIFETIME = timedelta(hours=12)
MARGIN = timedelta(seconds=10)
"""How long before its end a token is no longer used, at most a fifth of its life."""
MAX_HEADER = 16 * 1024
"""Characters of a challenge or of a token; the longest real tokens have about 4 KiB."""

KNOWN_REALMS: Mapping[str, frozenset[str]] = {
    # docs.docker.com/reference/api/registry/auth
    "docker.io": frozenset({"auth.docker.io"}),
    "registry-1.docker.io": frozenset({"auth.docker.io"}),
    # docs.gitlab.com/administration/packages/container_registry: gitlab.com/jwt/auth
    "registry.gitlab.com": frozenset({"gitlab.com"}),
}
"""Registries whose tokens are known to come from another host."""

_NAME = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_SCHEME = re.compile(rf"[\s,]*({_NAME})(?:[ \t]+|(?=,|\Z))")
_TOKEN68 = re.compile(r"([A-Za-z0-9\-._~+/]+=*)[ \t]*(?=,|\Z)")
_PARAMETER = re.compile(rf'[\s,]*({_NAME})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|({_NAME}(?![^\s,])|[^\s,"]+))')
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_VISIBLE = re.compile(r"[\x21-\x7e]+\Z")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way in that a server offers: a scheme in lower case, and its parameters by lower-case name."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Token:
    """What opens a scope until `expires_at`; `repr` hides it."""

    value: str = field(repr=False)
    expires_at: datetime


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """Return every challenge of a `WWW-Authenticate` header, in its order; unreadable ends are dropped.

    Several may stand in one header, parted by the same commas that part their parameters.
    """
    header, at, found = header[:MAX_HEADER], 0, []
    while (match := _SCHEME.match(header, at)) is not None:
        scheme, at = match[1].lower(), match.end()
        parameters: dict[str, str] = {}
        if token68 := _TOKEN68.match(header, at):
            # `Negotiate YII…=`: a scheme with one blob in place of parameters.
            at = token68.end()
        while (parameter := _PARAMETER.match(header, at)) is not None:
            quoted = parameter[2]
            value = _ESCAPE.sub(r"\1", quoted) if quoted is not None else parameter[3]
            parameters.setdefault(parameter[1].lower(), value)
            at = parameter.end()
        found.append(Challenge(scheme, parameters))
    return tuple(found)


def choose_challenge(header: str) -> Challenge | None:
    """Return the challenge to answer: Bearer with a realm before Basic, or None where neither is offered."""
    challenges = parse_challenges(header)
    for challenge in challenges:
        if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
            return challenge
    return next((challenge for challenge in challenges if challenge.scheme == "basic"), None)


def basic_authorization(username: str, password: str) -> str:
    """Return the value of an `Authorization` header (RFC 7617, in UTF-8)."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode("ascii")


def pull_scope(path: str) -> str:
    """Return the scope that reading a repository needs."""
    return f"repository:{path}:pull"


def check_realm(realm: str, *, registry: str, origin: str, allowed: Collection[str], plain_http: bool) -> None:
    """Make sure that a token may be asked for at `realm`, and what comes back sent to the registry.

    Args:
        realm: the URL of the challenge.
        registry: the registry's host in references, such as `docker.io`.
        origin: scheme, host and port of where the registry was asked.
        allowed: further hosts (with a port other than the scheme's own) from the settings.
        plain_http: whether `http` is allowed for the registry itself.

    Raises:
        ProtocolError: the realm is on another host that nobody allowed, or is no https URL.
    """
    host, own = host_of(realm), host_of(origin)
    if host is None or urlsplit(realm).username is not None:
        raise ProtocolError(f"{registry} names a token realm that is no http or https URL: {_shown(realm)}")
    known = KNOWN_REALMS.get(registry, frozenset()) | KNOWN_REALMS.get(own or "", frozenset())
    if host != own and host not in known and host not in allowed:
        raise ProtocolError(
            f"{registry} names a token realm on another host: {host}",
            hint=f"if it is to be trusted, write registries: {{{registry}: {{tokenRealms: [{host}]}}}} in config.yaml",
        )
    if urlsplit(realm).scheme != "https" and not (plain_http and (host == own or host in allowed)):
        raise ProtocolError(f"{registry} wants a token over plain http from {host}", hint="tokens need https")


@lru_cache(maxsize=1024)
def host_of(url: str) -> str | None:
    """Return a URL's host in lower case, with its port where that is not the scheme's own; None for no such URL."""
    try:
        split = urlsplit(url)
        host, port = split.hostname, split.port
    except ValueError:
        return None
    if split.scheme not in ("http", "https") or not host:
        return None
    host = f"[{host}]" if ":" in host else host
    return host if port in (None, {"http": 80, "https": 443}[split.scheme]) else f"{host}:{port}"


def token_request(challenge: Challenge, scope: str, *, username: str = "", password: str = "") -> HttpRequest:
    """Return the request for a token: anonymous without credentials, OAuth2 for an identity token.

    The realm must have passed `check_realm`.
    """
    realm = urlsplit(challenge.parameters["realm"])
    query = [pair for pair in parse_qsl(realm.query, keep_blank_values=True) if pair[0] not in ("service", "scope")]
    wanted = [
        (name, value) for name, value in (("service", challenge.parameters.get("service")), ("scope", scope)) if value
    ]
    if username == IDENTITY_USER:
        form = [("grant_type", "refresh_token"), ("refresh_token", password), ("client_id", CLIENT_ID), *wanted]
        return HttpRequest(
            "POST",
            urlunsplit((realm.scheme, realm.netloc, realm.path, urlencode(query), "")),
            {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"},
            urlencode(form).encode(),
        )
    headers = {"Accept": "application/json"}
    if password:
        headers["Authorization"] = basic_authorization(username, password)
    url = urlunsplit((realm.scheme, realm.netloc, realm.path, urlencode(query + wanted), ""))
    return HttpRequest("GET", url, headers)


def read_token(response: HttpResponse, now: datetime) -> Token:
    """Return the token of a 200: `token` or `access_token`, usable until shortly before it expires.

    Raises:
        ProtocolError: the answer holds no token that a header could carry.
    """
    body = parse_json_object(response.body, "the answer to a request for a token")
    value = body.get("token") or body.get("access_token")
    if not isinstance(value, str) or len(value) > MAX_HEADER or not _VISIBLE.match(value):
        raise ProtocolError(f"{host_of(response.url) or 'the token service'} answers without a token")
    lifetime = DEFAULT_LIFETIME
    seconds = body.get("expires_in")
    if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and seconds > 0:
        # Compared before it is converted: a timedelta of 1e300 seconds is an OverflowError.
        lifetime = MAX_LIFETIME if seconds >= MAX_LIFETIME.total_seconds() else timedelta(seconds=float(seconds))
    start = now
    issued = parse_instant(body.get("issued_at"))
    if issued is not None and now - MAX_LIFETIME < issued < now:
        # A cached token is older than its answer; a service whose clock is ahead must not make it younger.
        start = issued
    return Token(value, start + lifetime - min(MARGIN, lifetime / 5))


def _shown(text: str) -> str:
    return repr(text if len(text) <= 100 else f"{text[:100]}…")
