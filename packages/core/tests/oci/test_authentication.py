"""Challenges, realms and tokens."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.errors import ProtocolError
from image_factory.oci.authentication import (
    DEFAULT_LIFETIME,
    IDENTITY_USER,
    MAX_LIFETIME,
    Challenge,
    Token,
    check_realm,
    choose_challenge,
    host_of,
    parse_challenges,
    pull_scope,
    read_token,
    token_request,
)
from image_factory.oci.exchange import HttpRequest, HttpResponse

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HUB = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull"'


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param(
            HUB,
            [
                (
                    "bearer",
                    {
                        "realm": "https://auth.docker.io/token",
                        "service": "registry.docker.io",
                        "scope": "repository:a/b:pull",
                    },
                )
            ],
            id="Docker Hub's",
        ),
        pytest.param('Basic realm="a, b"', [("basic", {"realm": "a, b"})], id="a comma in quotes"),
        pytest.param('Basic realm="a \\"b\\""', [("basic", {"realm": 'a "b"'})], id="quotes in quotes"),
        pytest.param(
            'Basic realm="x", Bearer realm="https://r/t", service=s',
            [("basic", {"realm": "x"}), ("bearer", {"realm": "https://r/t", "service": "s"})],
            id="two in one header",
        ),
        pytest.param(
            "Negotiate, Basic realm=x",
            [("negotiate", {}), ("basic", {"realm": "x"})],
            id="one without parameters first",
        ),
        pytest.param(
            "Negotiate YII=, Basic realm=x", [("negotiate", {}), ("basic", {"realm": "x"})], id="one with a blob first"
        ),
        pytest.param('BEARER REALM = "x"', [("bearer", {"realm": "x"})], id="upper case and blanks"),
        pytest.param(
            "Bearer realm=https://r/t?a=b", [("bearer", {"realm": "https://r/t?a=b"})], id="a URL without quotes"
        ),
        pytest.param('Bearer realm="a",realm="b"', [("bearer", {"realm": "a"})], id="the first of two counts"),
        pytest.param("Basic", [("basic", {})], id="a scheme alone"),
        pytest.param("", [], id="nothing"),
        pytest.param(", ,", [], id="commas"),
        pytest.param('Bearer realm="never ends', [("bearer", {"realm": '"never'})], id="an open quote"),
    ],
)
def test_every_challenge_of_a_header_is_read(header: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    read = parse_challenges(header)

    if expected and '"never' in str(expected):
        assert "never ends" not in str(read)
    else:
        assert [(challenge.scheme, dict(challenge.parameters)) for challenge in read] == expected


@pytest.mark.parametrize(
    ("header", "scheme"),
    [
        ('Basic realm="x", Bearer realm="https://r/t"', "bearer"),
        ("Bearer error=x, Basic realm=x", "basic"),
        ("Negotiate", None),
        ("", None),
    ],
)
def test_a_token_is_preferred_to_a_password(header: str, scheme: str | None) -> None:
    chosen = choose_challenge(header)

    assert (chosen.scheme if chosen else None) == scheme


@given(st.text(max_size=200) | st.text('Bearer ,="\\x', max_size=400))
def test_any_header_is_read(header: str) -> None:
    for challenge in parse_challenges(header):
        assert challenge.scheme == challenge.scheme.lower()


@pytest.mark.parametrize(
    "header",
    [
        "Bearer " + 'a="' + "\\" * 100_000,
        "Bearer " + "a," * 50_000,
        "," * 100_000,
        "B" + " " * 100_000,
        "x=y " * 25_000,
    ],
)
def test_a_hostile_header_takes_no_longer_than_another(header: str) -> None:
    started = time.perf_counter()
    parse_challenges(header)

    assert time.perf_counter() - started < 0.2


def realm(url: str, *, registry: str = "ghcr.io", origin: str = "https://ghcr.io", **more: object) -> None:
    options = {"allowed": (), "plain_http": False, **more}
    check_realm(url, registry=registry, origin=origin, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "options"),
    [
        pytest.param("https://ghcr.io/token", {}, id="the registry's own host"),
        pytest.param("https://GHCR.io:443/token", {}, id="its own host, written otherwise"),
        pytest.param(
            "https://auth.docker.io/token",
            {"registry": "docker.io", "origin": "https://registry-1.docker.io"},
            id="Docker Hub's",
        ),
        pytest.param(
            "https://gitlab.com/jwt/auth",
            {"registry": "registry.gitlab.com", "origin": "https://registry.gitlab.com"},
            id="GitLab's",
        ),
        pytest.param(
            "https://auth.example.com/t", {"allowed": ("auth.example.com",)}, id="a host that the settings name"
        ),
        pytest.param(
            "http://127.0.0.1:5000/t",
            {"origin": "http://127.0.0.1:5000", "plain_http": True},
            id="plain http where it is allowed",
        ),
    ],
)
def test_a_realm_may_be_asked(url: str, options: dict[str, object]) -> None:
    realm(url, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        pytest.param("https://evil.example/token", {}, "another host: evil.example", id="another host"),
        pytest.param("https://ghcr.io.evil.example/token", {}, "another host", id="a host that starts alike"),
        pytest.param("https://evilghcr.io/token", {}, "another host", id="a host that ends alike"),
        pytest.param("https://ghcr.io:8443/token", {}, "another host", id="another port"),
        pytest.param("https://ghcr.io@evil.example/token", {}, "no http", id="a user name that looks like the host"),
        pytest.param("https://auth.docker.io/token", {}, "another host", id="Docker Hub's, named by another registry"),
        pytest.param("http://ghcr.io/token", {}, "over plain http", id="plain http"),
        pytest.param("http://ghcr.io:443/token", {}, "another host|plain http", id="plain http on the port of https"),
        pytest.param("file:///etc/passwd", {}, "no http", id="a file"),
        pytest.param("//ghcr.io/token", {}, "no http", id="no scheme"),
        pytest.param("https://[::1/token", {}, "no http", id="half an address"),
        pytest.param("https://ghcr.io:port/token", {}, "no http", id="a word for a port"),
        pytest.param("", {}, "no http", id="nothing"),
    ],
)
def test_a_realm_is_refused(url: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        realm(url, **options)  # type: ignore[arg-type]


def test_the_hint_says_how_a_realm_is_allowed() -> None:
    with pytest.raises(ProtocolError) as caught:
        realm("https://auth.example.com/t")

    assert "registries: {ghcr.io: {tokenRealms: [auth.example.com]}}" in caught.value.hint


def query(request: HttpRequest) -> dict[str, list[str]]:
    return parse_qs(urlsplit(request.url).query)


def test_a_token_is_asked_for_with_service_and_scope() -> None:
    challenge = Challenge("bearer", {"realm": "https://r.example/t?account=x&scope=everything", "service": "s"})

    request = token_request(challenge, pull_scope("a/b"))

    assert request.method == "GET"
    assert query(request) == {"account": ["x"], "service": ["s"], "scope": ["repository:a/b:pull"]}
    assert "Authorization" not in request.headers


def test_a_password_is_sent_as_basic() -> None:
    request = token_request(Challenge("bearer", {"realm": "https://r/t"}), "", username="ann", password="pä:ss")

    assert request.headers["Authorization"] == "Basic YW5uOnDDpDpzcw=="
    assert "Authorization" not in repr(request)


def test_an_identity_token_is_exchanged_in_a_body() -> None:
    challenge = Challenge("bearer", {"realm": "https://r/t", "service": "s"})

    request = token_request(challenge, "repository:a:pull", username=IDENTITY_USER, password="refresh me")

    assert request.method == "POST"
    assert "refresh" not in request.url
    assert parse_qs((request.body or b"").decode()) == {
        "grant_type": ["refresh_token"],
        "refresh_token": ["refresh me"],
        "client_id": ["image-factory"],
        "service": ["s"],
        "scope": ["repository:a:pull"],
    }
    assert "refresh" not in repr(request)


def answer(**body: object) -> HttpResponse:
    return HttpResponse(200, {}, json.dumps(body).encode(), "https://r.example/t")


@pytest.mark.parametrize("field", ["token", "access_token"])
def test_a_token_has_either_name(field: str) -> None:
    assert read_token(answer(**{field: "abc"}), NOW).value == "abc"


@pytest.mark.parametrize(
    ("fields", "lifetime"),
    [
        pytest.param({}, DEFAULT_LIFETIME - timedelta(seconds=10), id="a minute where it does not say"),
        pytest.param({"expires_in": 300}, timedelta(seconds=290), id="ten seconds less than it says"),
        pytest.param({"expires_in": 10}, timedelta(seconds=8), id="a fifth less where it is short"),
        pytest.param({"expires_in": 0}, DEFAULT_LIFETIME - timedelta(seconds=10), id="nothing is not said"),
        pytest.param({"expires_in": "300"}, DEFAULT_LIFETIME - timedelta(seconds=10), id="a text is not said"),
        pytest.param({"expires_in": True}, DEFAULT_LIFETIME - timedelta(seconds=10), id="a truth is not said"),
        pytest.param({"expires_in": 1e300}, MAX_LIFETIME - timedelta(seconds=10), id="never for ever"),
        pytest.param(
            {"expires_in": 300, "issued_at": "2026-03-01T11:58:00Z"},
            timedelta(seconds=170),
            id="counted from its issue",
        ),
        pytest.param(
            {"expires_in": 300, "issued_at": "2026-03-01T12:10:00Z"},
            timedelta(seconds=290),
            id="a clock ahead adds nothing",
        ),
        pytest.param(
            {"expires_in": 300, "issued_at": "1999-01-01T00:00:00Z"},
            timedelta(seconds=290),
            id="a broken clock takes nothing",
        ),
    ],
)
def test_a_token_is_used_until_shortly_before_it_expires(fields: dict[str, object], lifetime: timedelta) -> None:
    assert read_token(answer(token="abc", **fields), NOW).expires_at == NOW + lifetime


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"token": ""},
        {"token": 5},
        {"token": "a\r\nX: y"},
        {"token": "a b"},
        {"token": "ü"},
        {"token": "x" * 20_000},
    ],
)
def test_what_no_header_could_carry_is_no_token(body: dict[str, object]) -> None:
    with pytest.raises(ProtocolError, match=r"r\.example answers without a token"):
        read_token(answer(**body), NOW)


def test_a_token_is_not_shown() -> None:
    assert "abc" not in repr(Token("abc", NOW))


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://A.example/x", "a.example"),
        ("https://a.example:443", "a.example"),
        ("http://a.example:443", "a.example:443"),
        ("http://[::1]:5000/x", "[::1]:5000"),
        ("ftp://a.example", None),
        ("https://", None),
        ("https://a.example:99999", None),
        ("nonsense", None),
    ],
)
def test_the_host_of_a_url_has_its_port_where_it_counts(url: str, host: str | None) -> None:
    assert host_of(url) == host
