"""The registry protocol without a socket: requests as values, answers read into values or errors.

Specification: OCI distribution-spec 1.1, Docker's registry HTTP API V2 where it differs, RFC 8288
(`Link`), RFC 9110 (`Retry-After`), Docker Hub's `ratelimit-*`. Whatever an answer gets wrong is a
ProtocolError; a status is an error by who acts next. Pure: `shell.registry` sends.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from urllib.parse import quote, urljoin, urlsplit

from image_factory.errors import (
    AuthenticationRequired,
    ImageFactoryError,
    InvalidReference,
    ProtocolError,
    RateLimited,
    RemoteNotFound,
    RemoteRefused,
    Unavailable,
)
from image_factory.oci.authentication import host_of
from image_factory.oci.exchange import HttpRequest, HttpResponse
from image_factory.oci.manifest import (
    ACCEPTED,
    MAX_MANIFEST,
    OCI_INDEX,
    Index,
    Manifest,
    check_digest,
    parse_json_object,
    parse_manifest,
)
from image_factory.oci.reference import DOCKER_HUB, Digest, is_tag

HUB_ENDPOINT = "https://registry-1.docker.io"
MAX_PAGES = 10_000
"""Pages of one tag list. At 100 tags a page, a million tags; beyond it we stop and say so."""
PAGE_SIZE = 1000
"""Tags asked for on a page; registries cap it as they like."""
MAX_WAIT = timedelta(days=1)
"""The longest `Retry-After` that is believed."""

_LINK = re.compile(r'<([^<>]*)>((?:\s*;\s*[^\s=;,"<>]+\s*(?:=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"<>]*))?)*)\s*(?:,|\Z)')
_REL = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))', re.IGNORECASE)
_RATE = re.compile(r"\s*([0-9]{1,9})\s*(?:[;,].*)?\Z", re.DOTALL)
_WINDOW = re.compile(r";\s*w\s*=\s*([0-9]{1,9})")
_CODE = re.compile(r"[A-Z][A-Z0-9_ ]{0,60}\Z")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FIXDATE = re.compile(
    r"[A-Za-z]{3,9}, ([0-9]{1,2})[ -]([A-Za-z]{3})[ -]([0-9]{2,4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) (?:GMT|UTC)\Z"
)
_ASCTIME = re.compile(r"[A-Za-z]{3} ([A-Za-z]{3}) +([0-9]{1,2}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([0-9]{4})\Z")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a registry is asked: an origin, and the path below which its repositories lie."""

    origin: str
    """Such as `https://mirror.example.com`."""
    base: str = "/v2"
    """`/v2`, or `/v2/hub` for a mirror that keeps Docker Hub's repositories below `hub`."""

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Return the endpoint of a URL from the settings.

        A path is a prefix of the repositories: `https://mirror.example.com/hub` asks `/v2/hub/…`, as
        Harbor, Artifactory and most proxies have it. One that holds `v2` itself is taken as it stands.

        Raises:
            InvalidReference: it is no http or https URL, or holds a user name, a query or a fragment.
        """
        split = urlsplit(url)
        host = host_of(url)
        if host is None or split.username is not None or split.query or split.fragment:
            hint = "write a URL such as https://mirror.example.com/hub, without user name or query"
            raise InvalidReference(f"not an endpoint: {redacted(url)!r}", hint=hint)
        path = split.path.strip("/")
        base = path if "v2" in path.split("/") else f"v2/{path}"
        return cls(f"{split.scheme}://{host}", f"/{base.rstrip('/')}")

    @classmethod
    def of(cls, registry: str, *, plain_http: bool = False) -> Endpoint:
        """Return where a registry's host is asked if nothing else is configured."""
        if registry == DOCKER_HUB:
            return cls(HUB_ENDPOINT)
        return cls(f"{'http' if plain_http else 'https'}://{registry}")

    @property
    def prefix(self) -> str:
        """What stands before a repository's path in scopes: `hub/` for `/v2/hub`, else nothing."""
        _, _, prefix = f"{self.base}/".partition("/v2/")
        return prefix

    def url(self, path: str, *rest: str) -> str:
        """Return the URL of something in the repository `path`; every part is quoted."""
        parts = "/".join(quote(part, safe=":") for part in rest)
        return f"{self.origin}{self.base}/{quote(path)}/{parts}"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What a registry said of our quota with an answer; what it left out is None."""

    limit: int | None
    remaining: int | None
    window: timedelta | None


# --- requests ---------------------------------------------------------------------------------


def manifest_request(endpoint: Endpoint, path: str, reference: str, *, method: str = "HEAD") -> HttpRequest:
    """Return the request for a manifest by tag or digest, accepting all four media types."""
    return HttpRequest(method, endpoint.url(path, "manifests", reference), {"Accept": ", ".join(ACCEPTED)})


def blob_request(endpoint: Endpoint, path: str, digest: Digest) -> HttpRequest:
    """Return the request for a blob, such as an image's configuration."""
    return HttpRequest("GET", endpoint.url(path, "blobs", str(digest)), {"Accept": "*/*"})


def tags_request(endpoint: Endpoint, path: str, *, page_size: int | None = PAGE_SIZE) -> HttpRequest:
    """Return the request for the first page of tags; no page size where a registry refuses one."""
    suffix = "" if page_size is None else f"?n={page_size}"
    return HttpRequest("GET", endpoint.url(path, "tags", "list") + suffix, {"Accept": "application/json"})


def referrers_request(endpoint: Endpoint, path: str, digest: Digest) -> HttpRequest:
    """Return the request for what refers to `digest`; a 404 means to ask for `referrers_tag` instead."""
    return HttpRequest("GET", endpoint.url(path, "referrers", str(digest)), {"Accept": OCI_INDEX})


def referrers_tag(digest: Digest) -> str:
    """Return the tag that holds the referrers where the API is missing (distribution-spec, "Referrers Tag Schema")."""
    return f"{digest.algorithm[:32]}-{digest.hex[:64]}"


# --- answers ----------------------------------------------------------------------------------


def check_status(response: HttpResponse, what: str, now: datetime) -> None:
    """Return for a 2xx; raise by who acts next for everything else.

    Args:
        response: the answer.
        what: what was asked for, for the message, such as `ghcr.io/acme/web:1.2`.
        now: the instant that a `Retry-After` date counts from.

    Raises:
        AuthenticationRequired: 401, 403, which many registries also answer for what does not exist.
        RemoteNotFound: 404, 410.
        RateLimited: 429, and a 403 that says when to ask again, as GitHub's API answers.
        Unavailable: 408, 5xx.
        RemoteRefused: every other 4xx.
        ProtocolError: a status that answers nothing.
    """
    status = response.status
    if 200 <= status < 300:
        return
    detail = f"{what} (HTTP {status}{_codes(response)})"
    error: ImageFactoryError
    wait = retry_after(response.headers, now)
    if status == 429 or (status == 403 and wait is not None):
        error = RateLimited(
            f"too many requests: {detail}",
            retry_after=wait,
            hint=f"{when_again(wait)}; credentials raise the limit of most registries",
        )
    elif status in (401, 403):
        hint = "missing or no access: check its name, and the credentials for its registry (docker login)"
        error = AuthenticationRequired(f"missing or no access: {detail}", hint=hint)
    elif status in (404, 410):
        error = RemoteNotFound(f"not found: {detail}", hint="check its name and its tag")
    elif status == 408 or status >= 500:
        error = Unavailable(f"unavailable: {detail}", hint=when_again(wait))
    elif 400 <= status < 500:
        error = RemoteRefused(f"refused: {detail}", hint="is the address that of a registry?")
    else:
        error = ProtocolError(f"no answer of a registry: {detail}")
    raise error


def when_again(wait: timedelta | None) -> str:
    """Return a hint's words for when to ask again: in so many seconds, or later where nobody says."""
    return f"try again in {ceil(wait.total_seconds())} s" if wait else "try again later"


def read_head(response: HttpResponse, what: str) -> Digest | None:
    """Return the digest that a HEAD's 200 names, or None where it names none and the body must be hashed.

    Raises:
        ProtocolError: the answer is a web page, schema 1, or names what is no digest.
    """
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type.startswith(("text/", "image/")) or media_type == "application/xhtml+xml":
        raise ProtocolError(
            f"answered {media_type} for {what}", hint="the address answers web pages; is it a registry?"
        )
    if ".manifest.v1+" in media_type and media_type not in ACCEPTED:
        parse_manifest(b'{"schemaVersion":1}', media_type)
    named = response.headers.get("docker-content-digest", "").strip()
    if not named:
        return None
    try:
        return Digest.parse(named)
    except InvalidReference as error:
        raise ProtocolError(f"answered a digest that is none for {what}: {named[:100]!r}") from error


def read_manifest(response: HttpResponse, what: str, expected: Digest | None = None) -> tuple[Digest, Manifest | Index]:
    """Return the digest and content of a GET's 200, checked against the header and against `expected`.

    Raises:
        ProtocolError: it is no manifest, or its bytes have another digest.
    """
    head = read_head(response, what)
    for digest in {head, expected} - {None}:
        check_digest(response.body, digest)  # type: ignore[arg-type]
    manifest = parse_manifest(response.body, response.headers.get("content-type", ""))
    return expected or head or digest_of(response.body), manifest


def digest_of(content: bytes) -> Digest:
    """Return the sha256 digest of `content`."""
    return Digest("sha256", hashlib.sha256(content).hexdigest())


def read_tags(response: HttpResponse, what: str) -> tuple[str, ...]:
    """Return the tags of one page; `null` is none.

    Raises:
        ProtocolError: the answer is no tag list, or holds what is no tag.
    """
    body = parse_json_object(response.body, f"the tag list of {what}")
    tags = body.get("tags")
    if tags is None and "tags" in body:
        return ()
    if not isinstance(tags, list):
        raise ProtocolError(f"the tag list of {what} holds no list of tags")
    for tag in tags:
        if not isinstance(tag, str) or not is_tag(tag):
            raise ProtocolError(f"the tag list of {what} holds what is no tag: {str(tag)[:140]!r}")
    return tuple(tags)


def next_page(response: HttpResponse, request_url: str) -> str | None:
    """Return the absolute URL of the next page, or None on the last one (RFC 8288, `rel="next"`).

    Raises:
        ProtocolError: the next page is on another origin than `request_url`.
    """
    header = response.headers.get("link", "")[:16384]
    at = 0
    while (match := _LINK.search(header, at)) is not None:
        at = match.end()
        relations = _REL.search(match[2])
        if relations is None or "next" not in (relations[1] or relations[2] or "").lower().split():
            continue
        url: str = urljoin(request_url, match[1])
        split, own = urlsplit(url), urlsplit(request_url)
        if (split.scheme, host_of(url)) != (own.scheme, host_of(request_url)) or split.username is not None:
            raise ProtocolError(f"links to its next page on another host: {host_of(url) or 'none'}")
        return url
    return None


def read_rate_limit(headers: Mapping[str, str]) -> RateLimit | None:
    """Return what `ratelimit-limit` and `ratelimit-remaining` say, or None where neither is sent.

    Docker Hub appends the window in seconds: `100;w=21600`. Paid plans get no such headers.
    """
    limit, remaining = headers.get("ratelimit-limit", ""), headers.get("ratelimit-remaining", "")
    limits, left = _RATE.match(limit), _RATE.match(remaining)
    if limits is None and left is None:
        return None
    window = _WINDOW.search(limit) or _WINDOW.search(remaining)
    return RateLimit(
        limit=int(limits[1]) if limits else None,
        remaining=int(left[1]) if left else None,
        window=timedelta(seconds=int(window[1])) if window and int(window[1]) > 0 else None,
    )


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Return how long `Retry-After` asks to wait, in seconds or as a date (RFC 9110, section 10.2.3).

    Where it is missing: until the second since 1970 that Docker Hub's API names as `x-retry-after`,
    and GitHub's as `x-ratelimit-reset` once `x-ratelimit-remaining` is 0. Between nothing and
    `MAX_WAIT`; None where nothing is said, or nothing readable.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return MAX_WAIT if len(text) > 9 else min(timedelta(seconds=int(text)), MAX_WAIT)
    instant = parse_http_date(text) or _reset_at(headers)
    return None if instant is None else min(max(instant - now, timedelta()), MAX_WAIT)


def _reset_at(headers: Mapping[str, str]) -> datetime | None:
    is_spent = headers.get("x-ratelimit-remaining", "").strip() == "0"
    text = headers.get("x-retry-after", "") or (headers.get("x-ratelimit-reset", "") if is_spent else "")
    text = text.strip()
    # Ten digits last until the year 2286.
    return datetime.fromtimestamp(int(text), UTC) if text.isascii() and text.isdigit() and len(text) <= 10 else None


def parse_http_date(text: str) -> datetime | None:
    """Return the instant of an HTTP date in any of its three forms (RFC 9110, section 5.6.7), or None.

    Not `email.utils`, which knows more forms and takes 15 ms to import.
    """
    if match := _FIXDATE.match(text):
        day, month, year, *clock = match.groups()
    elif match := _ASCTIME.match(text):
        month, day, *clock, year = match.groups()
    else:
        return None
    if month.lower() not in _MONTHS:
        return None
    # Two digits stand for 1970 to 2069, as in Go's net/http.
    full = int(year) if len(year) == 4 else int(year) + (1900 if int(year) >= 70 else 2000)
    try:
        return datetime(full, _MONTHS.index(month.lower()) + 1, int(day), *(int(part) for part in clock), tzinfo=UTC)  # type: ignore[misc,arg-type]
    except ValueError:
        return None


def read_referrers(response: HttpResponse, what: str) -> Index:
    """Return the index of what refers to something.

    Raises:
        ProtocolError: it is no index.
    """
    manifest = parse_manifest(response.body, response.headers.get("content-type", ""))
    if not isinstance(manifest, Index):
        raise ProtocolError(f"the referrers of {what} are no index")
    return manifest


def redacted(url: str) -> str:
    """Return a URL without user name, password, query and fragment, for messages."""
    try:
        split = urlsplit(url)
        host = split.hostname or ""
        port = f":{split.port}" if split.port else ""
    except ValueError:
        return "(no URL)"
    return f"{split.scheme}://{host}{port}{split.path}" if split.scheme else split.path


def _codes(response: HttpResponse) -> str:
    """Return the codes of an error body (distribution-spec, "Error Codes"), never its free text.

    The text is the server's: it may echo what was sent, a token included.
    """
    if not response.body or len(response.body) > MAX_MANIFEST:
        return ""
    try:
        errors = parse_json_object(response.body, "an error").get("errors")
    except ProtocolError:
        return ""
    listed = errors if isinstance(errors, list) else []
    codes = [entry.get("code") for entry in listed[:3] if isinstance(entry, dict)]
    named = [code for code in codes if isinstance(code, str) and _CODE.match(code)]
    return f", {', '.join(named)}" if named else ""
