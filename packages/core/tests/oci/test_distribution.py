"""The registry protocol: every odd answer of a registry is a case here."""

from __future__ import annotations

import hashlib
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from image_factory.oci.distribution import (
    MAX_WAIT,
    Endpoint,
    RateLimit,
    blob_request,
    check_status,
    manifest_request,
    next_page,
    parse_http_date,
    read_head,
    read_manifest,
    read_rate_limit,
    read_referrers,
    read_tags,
    redacted,
    referrers_request,
    referrers_tag,
    retry_after,
    tags_request,
)
from image_factory.oci.exchange import HttpResponse
from image_factory.oci.manifest import OCI_INDEX, OCI_MANIFEST
from image_factory.oci.reference import Digest

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DIGEST = Digest("sha256", "a" * 64)
INDEX = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).encode()
INDEX_DIGEST = Digest("sha256", hashlib.sha256(INDEX).hexdigest())
TAGS_URL = "https://r.example/v2/a/tags/list?n=2"


def response(status: int = 200, body: bytes = b"", **headers: str) -> HttpResponse:
    return HttpResponse(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, TAGS_URL)


@pytest.mark.parametrize(
    ("url", "manifest", "prefix"),
    [
        ("https://mirror.example.com", "https://mirror.example.com/v2/library/node/manifests/22", ""),
        ("https://mirror.example.com/", "https://mirror.example.com/v2/library/node/manifests/22", ""),
        ("https://Mirror.example.com/hub", "https://mirror.example.com/v2/hub/library/node/manifests/22", "hub/"),
        ("https://m.example/a/b/", "https://m.example/v2/a/b/library/node/manifests/22", "a/b/"),
        ("http://127.0.0.1:5000/v2", "http://127.0.0.1:5000/v2/library/node/manifests/22", ""),
        ("https://m.example/v2/hub", "https://m.example/v2/hub/library/node/manifests/22", "hub/"),
        ("https://m.example/api/docker/hub/v2", "https://m.example/api/docker/hub/v2/library/node/manifests/22", ""),
    ],
)
def test_an_endpoint_says_where_repositories_lie(url: str, manifest: str, prefix: str) -> None:
    endpoint = Endpoint.parse(url)

    assert manifest_request(endpoint, "library/node", "22").url == manifest
    assert endpoint.prefix == prefix


@pytest.mark.parametrize(
    "url",
    [
        "mirror.example.com",
        "ftp://m.example",
        "https://user:pw@m.example",
        "https://m.example?x=y",
        "https://m.example#x",
        "",
    ],
)
def test_what_is_no_endpoint_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InvalidReference, match="not an endpoint") as caught:
        Endpoint.parse(url)

    assert "pw" not in caught.value.message


@pytest.mark.parametrize(
    ("registry", "plain_http", "origin"),
    [
        ("docker.io", False, "https://registry-1.docker.io"),
        ("ghcr.io", False, "https://ghcr.io"),
        ("localhost:5000", True, "http://localhost:5000"),
        ("[::1]:5000", True, "http://[::1]:5000"),
    ],
)
def test_a_registry_is_asked_where_it_is(registry: str, plain_http: bool, origin: str) -> None:
    assert Endpoint.of(registry, plain_http=plain_http).origin == origin


def test_a_manifest_is_asked_for_in_all_four_types() -> None:
    request = manifest_request(Endpoint("https://r.example"), "a/b", "1")

    assert request.method == "HEAD"
    assert request.headers["Accept"].split(", ") == [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ]


def test_every_part_of_a_url_is_quoted() -> None:
    endpoint = Endpoint("https://r.example")

    assert manifest_request(endpoint, "a", "../x?y#z").url == "https://r.example/v2/a/manifests/..%2Fx%3Fy%23z"
    assert blob_request(endpoint, "a", DIGEST).url == f"https://r.example/v2/a/blobs/{DIGEST}"
    assert referrers_request(endpoint, "a", DIGEST).url == f"https://r.example/v2/a/referrers/{DIGEST}"
    assert tags_request(endpoint, "a").url == "https://r.example/v2/a/tags/list?n=1000"
    assert tags_request(endpoint, "a", page_size=None).url == "https://r.example/v2/a/tags/list"


def test_the_tag_of_referrers_is_the_digest_with_a_hyphen() -> None:
    assert referrers_tag(DIGEST) == f"sha256-{'a' * 64}"
    assert referrers_tag(Digest("sha512", "b" * 128)) == f"sha512-{'b' * 64}"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AuthenticationRequired),
        (403, AuthenticationRequired),
        (404, RemoteNotFound),
        (410, RemoteNotFound),
        (429, RateLimited),
        (408, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
        (599, Unavailable),
        (400, RemoteRefused),
        (405, RemoteRefused),
        (422, RemoteRefused),
        (100, ProtocolError),
        (304, ProtocolError),
        (307, ProtocolError),
        (999, Unavailable),
    ],
)
def test_a_status_is_an_error_by_who_acts_next(status: int, kind: type[ImageFactoryError]) -> None:
    with pytest.raises(kind, match=rf"ghcr\.io/a:1 \(HTTP {status}") as caught:
        check_status(response(status), "ghcr.io/a:1", NOW)

    assert type(caught.value) is kind


def test_success_is_no_error() -> None:
    for status in (200, 201, 204):
        check_status(response(status), "x", NOW)


@pytest.mark.parametrize("status", [401, 403])
def test_what_is_missing_and_what_is_closed_look_alike(status: int) -> None:
    with pytest.raises(AuthenticationRequired) as caught:
        check_status(response(status), "ghcr.io/a:1", NOW)

    assert caught.value.message.startswith("missing or no access: ghcr.io/a:1")
    assert "docker login" in caught.value.hint


def test_an_error_body_gives_its_codes_and_never_its_words() -> None:
    body = b'{"errors":[{"code":"DENIED","message":"token s3cret is no good"},{"code":"x s3cret"},{"code":5},7]}'

    with pytest.raises(AuthenticationRequired) as caught:
        check_status(response(403, body), "x", NOW)

    assert caught.value.message == "missing or no access: x (HTTP 403, DENIED)"


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"errors":5}', b'{"errors":[[]]}', b"\xff", b"[" * 100_000])
def test_an_error_body_may_be_anything(body: bytes) -> None:
    with pytest.raises(RemoteNotFound, match=r"x \(HTTP 404\)$"):
        check_status(response(404, body), "x", NOW)


def test_a_refusal_for_now_says_for_how_long() -> None:
    with pytest.raises(RateLimited) as caught:
        check_status(response(429, retry_after="30"), "x", NOW)

    assert caught.value.retry_after == timedelta(seconds=30)
    assert caught.value.hint.startswith("try again in 30 s; ")


def test_an_outage_says_for_how_long_where_it_is_known() -> None:
    for answer, hint in ((response(503, retry_after="120"), "try again in 120 s"), (response(503), "try again later")):
        with pytest.raises(Unavailable) as caught:
            check_status(answer, "x", NOW)

        assert caught.value.hint == hint


@pytest.mark.parametrize(
    "headers",
    [{"retry-after": "30"}, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW.timestamp()) + 30)}],
)
def test_a_closed_door_that_says_when_to_come_back_is_a_limit(headers: dict[str, str]) -> None:
    with pytest.raises(RateLimited) as caught:
        check_status(HttpResponse(403, headers, b"", TAGS_URL), "x", NOW)

    assert caught.value.retry_after == timedelta(seconds=30)


# --- digests -----------------------------------------------------------------------------------


def test_a_head_names_the_digest() -> None:
    assert read_head(response(docker_content_digest=f" {DIGEST} ", content_type=OCI_INDEX), "x") == DIGEST


def test_a_head_may_name_none() -> None:
    assert read_head(response(content_type=OCI_INDEX), "x") is None


@pytest.mark.parametrize(
    "media_type", ["", "application/json", "application/octet-stream", f"{OCI_INDEX}; charset=utf-8"]
)
def test_a_head_may_be_vague_about_its_type(media_type: str) -> None:
    assert read_head(response(docker_content_digest=str(DIGEST), content_type=media_type), "x") == DIGEST


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"content_type": "text/html; charset=utf-8"}, "text/html"),
        ({"content_type": "Text/HTML", "docker_content_digest": str(DIGEST)}, "text/html"),
        ({"docker_content_digest": "sha256:short"}, "a digest that is none"),
        ({"docker_content_digest": "md5:" + "a" * 32}, "a digest that is none"),
        ({"content_type": "application/vnd.docker.distribution.manifest.v1+prettyjws"}, "schema 1"),
    ],
)
def test_a_head_that_is_no_registrys_is_refused(headers: dict[str, Any], message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        read_head(response(**headers), "x")


def test_a_manifest_without_a_digest_is_hashed() -> None:
    assert read_manifest(response(body=INDEX, content_type=OCI_INDEX), "x")[0] == INDEX_DIGEST


def test_a_manifest_is_checked_against_its_header_and_what_was_asked_for() -> None:
    good = response(body=INDEX, content_type=OCI_INDEX, docker_content_digest=str(INDEX_DIGEST))
    sha512 = Digest("sha512", hashlib.sha512(INDEX).hexdigest())

    assert read_manifest(good, "x", INDEX_DIGEST)[0] == INDEX_DIGEST
    assert read_manifest(good, "x", sha512)[0] == sha512
    with pytest.raises(ProtocolError, match="has the digest"):
        read_manifest(good, "x", DIGEST)
    with pytest.raises(ProtocolError, match="has the digest"):
        read_manifest(response(body=INDEX, docker_content_digest=str(DIGEST)), "x")


def test_referrers_are_an_index() -> None:
    assert read_referrers(response(body=INDEX, content_type=OCI_INDEX), "x").manifests == ()
    with pytest.raises(ProtocolError, match="no index"):
        read_referrers(
            response(
                body=json.dumps(
                    {"config": {"mediaType": "x", "digest": str(DIGEST), "size": 1}, "layers": []}
                ).encode(),
                content_type=OCI_MANIFEST,
            ),
            "x",
        )


# --- tag lists ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "tags"),
    [(b'{"name":"a","tags":["2","1"]}', ("2", "1")), (b'{"tags":null}', ()), (b'{"tags":[]}', ())],
    ids=["in its order", "null is none", "none"],
)
def test_a_page_of_tags_is_read(body: bytes, tags: tuple[str, ...]) -> None:
    assert read_tags(response(body=body), "a") == tags


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"tags":"1"}',
        b'{"tags":[1]}',
        b'{"tags":["../x"]}',
        b'{"tags":["a\\nb"]}',
        b'{"tags":[""]}',
    ],
)
def test_what_is_no_page_of_tags_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_tags(response(body=body), "a")


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        pytest.param(
            '</v2/a/tags/list?last=b&n=2>; rel="next"', "https://r.example/v2/a/tags/list?last=b&n=2", id="a path"
        ),
        pytest.param(
            "<?last=b>; rel=next", "https://r.example/v2/a/tags/list?last=b", id="a query, rel without quotes"
        ),
        pytest.param('<https://r.example/x>; rel="next"', "https://r.example/x", id="the same host in full"),
        pytest.param(
            '<https://R.example:443/x>; rel="next"', "https://R.example:443/x", id="the same host, written otherwise"
        ),
        pytest.param('</p>; rel="prev", </n>; rel="next"', "https://r.example/n", id="the second of two"),
        pytest.param('</n>; title="a, b"; REL="Last NEXT"', "https://r.example/n", id="one of several relations"),
        pytest.param('</p>; rel="previous"', None, id="another relation"),
        pytest.param("</p>", None, id="no relation"),
        pytest.param("", None, id="nothing"),
        pytest.param("nonsense", None, id="nonsense"),
    ],
)
def test_the_next_page_is_found(link: str, expected: str | None) -> None:
    assert next_page(response(link=link), TAGS_URL) == expected


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/v2/a/tags/list",
        "//evil.example/x",
        "http://r.example/x",
        "https://r.example:8443/x",
        "https://r.example@evil.example/x",
        "https://user@r.example/x",
        "file:///etc/passwd",
    ],
)
def test_a_next_page_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(ProtocolError, match="another host"):
        next_page(response(link=f'<{url}>; rel="next"'), TAGS_URL)


@pytest.mark.parametrize(
    "link", ["<" * 16_000, "<a>" + ";" * 16_000, "<a>;a=" * 3000, '<a>;b="' + "\\" * 16_000, "<a>; " * 4000]
)
def test_a_hostile_link_takes_no_longer_than_another(link: str) -> None:
    started = time.perf_counter()
    next_page(response(link=link), TAGS_URL)

    assert time.perf_counter() - started < 0.5


# --- limits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param(
            {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600"},
            RateLimit(100, 76, timedelta(hours=6)),
            id="Docker Hub's",
        ),
        pytest.param({"ratelimit-limit": "200"}, RateLimit(200, None, None), id="without a window"),
        pytest.param(
            {"ratelimit-remaining": "0; w=60"}, RateLimit(None, 0, timedelta(minutes=1)), id="what is left alone"
        ),
        pytest.param(
            {"ratelimit-limit": "10, 10;w=1, 50;w=60"}, RateLimit(10, None, timedelta(seconds=1)), id="several"
        ),
        pytest.param({"ratelimit-limit": "5;w=0"}, RateLimit(5, None, None), id="a window of nothing"),
        pytest.param({}, None, id="none, as on paid plans"),
        pytest.param({"ratelimit-limit": "many"}, None, id="nonsense"),
        pytest.param({"ratelimit-limit": "-1"}, None, id="below nothing"),
        pytest.param({"ratelimit-limit": "٣"}, None, id="Arabic digits"),
        pytest.param({"ratelimit-limit": "9" * 5000}, None, id="a number without end"),
    ],
)
def test_a_quota_is_read(headers: dict[str, str], expected: RateLimit | None) -> None:
    assert read_rate_limit(headers) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", timedelta()),
        ("120", timedelta(minutes=2)),
        (" 120 ", timedelta(minutes=2)),
        ("Sun, 01 Mar 2026 12:00:30 GMT", timedelta(seconds=30)),
        ("Sun, 01 Mar 2026 11:00:00 GMT", timedelta()),
        ("Sunday, 01-Mar-26 12:00:30 GMT", timedelta(seconds=30)),
        ("Sun Mar  1 12:00:30 2026", timedelta(seconds=30)),
        ("999999", MAX_WAIT),
        ("9" * 5000, MAX_WAIT),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_WAIT),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("", None),
        ("Sun, 99 Mar 2026 12:00:30 GMT", None),
        ("Sun, 01 Foo 2026 12:00:30 GMT", None),
    ],
)
def test_how_long_to_wait_comes_in_seconds_or_as_a_date(text: str, expected: timedelta | None) -> None:
    assert retry_after({"retry-after": text}, NOW) == expected


def test_no_header_means_no_wait_is_known() -> None:
    assert retry_after({}, NOW) is None


SOON = str(int(NOW.timestamp()) + 90)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-retry-after": SOON}, 90),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": SOON}, 90),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"}, 0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": SOON, "retry-after": "5"}, 5),
        ({"x-ratelimit-remaining": "1", "x-ratelimit-reset": SOON}, None),
        ({"x-ratelimit-reset": SOON}, None),
        ({"x-ratelimit-remaining": "0"}, None),
        ({"x-retry-after": "9" * 11}, None),
        ({"x-retry-after": "soon"}, None),
        ({"x-retry-after": "٣"}, None),
    ],
)
def test_without_it_an_instant_of_reset_counts_where_it_means_now(
    headers: dict[str, str], expected: int | None
) -> None:
    assert retry_after(headers, NOW) == (None if expected is None else timedelta(seconds=expected))


def test_a_far_reset_is_no_longer_than_the_longest_wait() -> None:
    assert retry_after({"x-retry-after": "9" * 10}, NOW) == MAX_WAIT


@given(st.integers(0, 3_155_760_000 - 1))
def test_every_form_of_a_date_reads_alike(seconds: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][moment.month - 1]
    clock = f"{moment:%H:%M:%S}"

    assert parse_http_date(f"Mon, {moment:%d} {month} {moment.year} {clock} GMT") == moment
    assert parse_http_date(f"Monday, {moment:%d}-{month}-{moment:%y} {clock} GMT") == moment
    assert parse_http_date(f"Mon {month} {moment.day:2} {clock} {moment.year}") == moment


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pw@r.example:8443/a?token=x#y", "https://r.example:8443/a"),
        ("https://r.example/a", "https://r.example/a"),
        ("https://r.example:port/a", "(no URL)"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert redacted(url) == shown
