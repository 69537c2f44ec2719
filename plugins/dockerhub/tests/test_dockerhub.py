"""Docker Hub, held to the contract of registries."""

from __future__ import annotations

import json
import traceback
from datetime import UTC, datetime, timedelta

import pytest

from image_factory.errors import ProtocolError, RateLimited
from image_factory.model.settings import RegistrySettings, Settings
from image_factory.oci.reference import Repository, Tag
from image_factory.ports import (
    Credentials,
    HttpRequest,
    HttpResponse,
    RateProfile,
    Registry,
    Version,
    WebhookReceiver,
)
from image_factory.shell.http import HttpClient
from image_factory.testing.clock import FixedClock
from image_factory.testing.hub_server import HubServer
from image_factory.testing.registry_contract import Bench, RegistryContract
from image_factory.testing.registry_server import Access, Quota, RegistryServer
from image_factory_dockerhub import DockerHub


class TestDockerHub(RegistryContract):
    host = "docker.io"
    path = "library/node"

    def make(self, bench: Bench) -> Registry:
        return DockerHub(bench.settings, bench.http, bench.clock, bench.credentials)

    def settings(self, server: RegistryServer) -> Settings:
        return Settings(
            registries={"docker.io": RegistrySettings(endpoint=server.url)},
            plugins={"dockerhub": {"api": server.url}},
        )


def lab(answer: object, credentials: Credentials | None = None, status: int = 200) -> tuple[DockerHub, Fake]:
    fake = Fake({url: (status, body) for url, body in answer.items()} if isinstance(answer, dict) else {})
    return DockerHub(Settings(), fake, FixedClock(), lambda _: credentials), fake


class Fake:
    """An `Http` that answers from a table and remembers what it was asked."""

    def __init__(self, answers: dict[str, tuple[int, object]]) -> None:
        self.answers = answers
        self.requests: list[HttpRequest] = []

    def send(self, request: HttpRequest, *, max_bytes: int = 0) -> HttpResponse:
        self.requests.append(request)
        status, body = self.answers.get(request.url, (404, {}))
        return HttpResponse(status, {}, json.dumps(body).encode(), request.url)


NODE = Repository("docker.io", "library/node")
FIRST = "https://hub.docker.com/v2/namespaces/library/repositories/node/tags?page_size=100"
SECOND = f"{FIRST}&page=2"
DIGEST = f"sha256:{'a' * 64}"
ENTRY = {
    "name": "22",
    "full_size": 1234,
    "digest": DIGEST,
    "tag_last_pushed": "2026-02-01T10:00:00.123456Z",
    "last_updated": "2026-02-02T10:00:00Z",
    "images": [
        {"os": "linux", "architecture": "amd64"},
        {"os": "linux", "architecture": "arm", "variant": "v7"},
        {"os": "unknown", "architecture": "unknown"},
        {"os": None, "architecture": None},
        "strange",
    ],
}


def test_it_claims_docker_hub_alone() -> None:
    hub, _ = lab({})

    assert hub.claims(Repository.parse("node"))
    assert not hub.claims(Repository.parse("ghcr.io/acme/node"))


def test_it_asks_the_registrys_own_host_and_takes_tokens_from_its_token_host() -> None:
    challenge = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io"'

    class Hub(Fake):
        def send(self, request: HttpRequest, *, max_bytes: int = 0) -> HttpResponse:
            self.requests.append(request)
            if request.url.startswith("https://auth.docker.io/"):
                return HttpResponse(200, {}, b'{"token": "t"}', request.url)
            if "Authorization" not in request.headers:
                return HttpResponse(401, {"www-authenticate": challenge}, b"", request.url)
            return HttpResponse(200, {"docker-content-digest": DIGEST}, b"", request.url)

    fake = Hub({})
    hub = DockerHub(Settings(), fake, FixedClock(), lambda _: None)

    assert str(hub.resolve(Tag(NODE, "22"))) == DIGEST
    assert [(request.method, request.url.partition("?")[0]) for request in fake.requests] == [
        ("HEAD", "https://registry-1.docker.io/v2/library/node/manifests/22"),
        ("GET", "https://auth.docker.io/token"),
        ("HEAD", "https://registry-1.docker.io/v2/library/node/manifests/22"),
    ]
    assert "scope=repository%3Alibrary%2Fnode%3Apull" in fake.requests[1].url


def test_versions_have_digests_dates_sizes_and_platforms() -> None:
    hub, fake = lab({FIRST: {"results": [ENTRY], "next": SECOND}, SECOND: {"results": [{"name": "21"}], "next": None}})

    first, second = hub.versions(NODE)

    assert (first.tag, str(first.digest), first.size) == ("22", DIGEST, 1234)
    assert first.published_at == datetime(2026, 2, 1, 10, 0, 0, 123456, tzinfo=UTC)
    assert [str(platform) for platform in first.platforms] == ["linux/amd64", "linux/arm/v7"]
    assert (second.tag, second.digest, second.size, second.published_at) == ("21", None, None, None)
    assert len(fake.requests) == 2


@pytest.mark.parametrize("following", ["https://x.example/v2", "http://hub.docker.com/x", "//x.example", "nonsense"])
def test_a_next_page_elsewhere_is_not_asked_for(following: str) -> None:
    hub, fake = lab({FIRST: {"results": [], "next": following}})

    with pytest.raises(ProtocolError):
        list(hub.versions(NODE))

    assert len(fake.requests) == 1


@pytest.mark.parametrize("body", [[], {"results": 5}, {"results": [5]}, "x"])
def test_what_is_no_list_of_versions_is_refused(body: object) -> None:
    hub, _ = lab({FIRST: body})

    with pytest.raises(ProtocolError):
        list(hub.versions(NODE))


def test_pages_in_a_circle_end() -> None:
    hub, fake = lab({FIRST: {"results": [{"name": "22"}], "next": FIRST}})

    with pytest.raises(ProtocolError, match="circle"):
        list(hub.versions(NODE))

    assert len(fake.requests) == 1


@pytest.mark.parametrize(("credentials", "requests"), [(None, 100), (Credentials("ann", "pw"), 200)])
def test_its_limit_depends_on_a_login_and_heads_are_free(credentials: Credentials | None, requests: int) -> None:
    hub, _ = lab({}, credentials)

    assert hub.rate_profile(NODE) == RateProfile(requests, timedelta(hours=6), heads_are_free=True)


def test_what_it_last_named_is_its_limit() -> None:
    clock = FixedClock()
    with RegistryServer(quota=Quota(requests=40, window=timedelta(hours=1)), clock=clock) as server:
        server.push_image("library/node", "22")
        settings = Settings(registries={"docker.io": RegistrySettings(endpoint=server.url)})
        with HttpClient(settings, clock) as http:
            hub = DockerHub(settings, http, clock, lambda _: None)
            hub.resolve(Tag(NODE, "22"))

            assert hub.rate_profile(NODE) == RateProfile(40, timedelta(hours=1), heads_are_free=True)


def test_a_paid_plan_that_names_no_limit_has_none() -> None:
    clock, found = FixedClock(), Credentials("robot", "pw")
    with RegistryServer(access=Access(password="pw"), clock=clock) as server:
        server.push_image("library/node", "22")
        settings = Settings(registries={"docker.io": RegistrySettings(endpoint=server.url)})
        with HttpClient(settings, clock) as http:
            hub = DockerHub(settings, http, clock, lambda _: found)
            hub.resolve(Tag(NODE, "22"))

            assert hub.rate_profile(NODE) is None


def test_people_look_at_its_pages() -> None:
    hub, _ = lab({})

    assert hub.web_url(NODE) == "https://hub.docker.com/_/node"
    assert hub.web_url(Repository("docker.io", "acme/web"), "1.2") == "https://hub.docker.com/r/acme/web/tags?name=1.2"


def test_kargo_is_told_of_pushes_as_docker_hub_tells_them() -> None:
    hub, _ = lab({})

    assert hub.webhook_receiver() == WebhookReceiver("dockerhub", "secret")


# --- against a stateful API ----------------------------------------------------------------------------

SECRET = "planted-secret-64"
WEB = Repository("docker.io", "acme/web")


def asked(
    api: HubServer, repository: Repository, credentials: Credentials | None = None, *, registry: str = ""
) -> list[Version]:
    clock = FixedClock()
    registries = {"docker.io": RegistrySettings(endpoint=registry)} if registry else {}
    settings = Settings(registries=registries, plugins={"dockerhub": {"api": api.origin}})
    with HttpClient(settings, clock) as http:
        return list(DockerHub(settings, http, clock, lambda _: credentials).versions(repository))


def requests(api: HubServer) -> list[str]:
    return [f"{one.request.method} {one.request.path} {one.reply.status}" for one in api.exchanges]


def test_official_images_are_below_library_in_pages_newest_first() -> None:
    with HubServer(page_size=2) as api:
        for number in range(5):
            api.publish("library/node", DIGEST, f"1.0.{number}", platforms=["linux/amd64", "linux/arm/v7"], size=77)

        found = asked(api, NODE)

    assert [version.tag for version in found] == [f"1.0.{number}" for number in (4, 3, 2, 1, 0)]
    assert found[0].published_at == datetime(2026, 1, 1, 5, tzinfo=UTC)
    assert (str(found[0].digest), found[0].size) == (DIGEST, 77)
    assert [str(platform) for platform in found[0].platforms] == ["linux/amd64", "linux/arm/v7"]
    assert len(api.exchanges) == 3


def test_a_private_repository_is_shown_to_a_login_and_pages_with_it() -> None:
    with HubServer("ann", SECRET, page_size=1) as api:
        api.publish("acme/web", DIGEST, "1", is_private=True)
        api.publish("acme/web", DIGEST, "2")

        found = asked(api, WEB, Credentials("ann", SECRET))

        tags = "GET /v2/namespaces/acme/repositories/web/tags"
        assert requests(api) == [f"{tags} 404", "POST /v2/auth/token 200", f"{tags} 200", f"{tags} 200"]
    assert [version.tag for version in found] == ["2", "1"]


def test_a_public_repository_is_asked_for_without_a_login() -> None:
    with HubServer("ann", SECRET) as api:
        api.publish("acme/web", DIGEST, "1")

        asked(api, WEB, Credentials("ann", SECRET))

        assert [one.request.headers.get("authorization") for one in api.exchanges] == [None]


def test_one_login_serves_several_repositories_until_it_ends() -> None:
    clock = FixedClock()
    with HubServer("ann", SECRET) as api:
        for name in ("web", "api", "job"):
            api.publish(f"acme/{name}", DIGEST, "1", is_private=True)
        settings = Settings(plugins={"dockerhub": {"api": api.origin}})
        with HttpClient(settings, clock) as http:
            hub = DockerHub(settings, http, clock, lambda _: Credentials("ann", SECRET))
            for name in ("web", "api"):
                assert len(list(hub.versions(Repository("docker.io", f"acme/{name}")))) == 1
            assert len([one for one in requests(api) if one.startswith("POST")]) == 1

            clock.advance(timedelta(minutes=4))
            api.logins.clear()
            assert len(list(hub.versions(Repository("docker.io", "acme/job")))) == 1
            assert len([one for one in requests(api) if one.startswith("POST")]) == 2


@pytest.mark.parametrize(
    ("credentials", "logins"),
    [
        (None, 0),
        (Credentials("ann", "wrong"), 1),
        (Credentials("<token>", SECRET), 0),
        (Credentials("", SECRET), 0),
    ],
    ids=["nobody", "a wrong password", "an identity token", "a bare token"],
)
def test_what_the_api_does_not_show_is_listed_by_its_tags(credentials: Credentials | None, logins: int) -> None:
    with HubServer("ann", SECRET) as api, RegistryServer() as registry:
        api.publish("acme/web", DIGEST, "1", is_private=True)
        registry.push_image("acme/web", "1")

        found = asked(api, WEB, credentials, registry=registry.url)

        assert found == [Version("1")]
        assert len([one for one in requests(api) if one.startswith("POST")]) == logins


@pytest.mark.parametrize(
    "headers", [{"Retry-After": "3600"}, {"x-retry-after": "1772370000"}], ids=["seconds", "Docker Hub's own header"]
)
def test_a_limit_of_the_api_says_when_to_ask_again(headers: dict[str, str]) -> None:
    with HubServer() as api:
        api.trouble(429, {"detail": f"Rate limit exceeded {SECRET}"}, headers=headers, times=9)

        with pytest.raises(RateLimited) as caught:
            asked(api, WEB, Credentials("ann", SECRET))

    assert caught.value.retry_after == timedelta(hours=1)


@pytest.mark.parametrize("answer", [b"{}", b"[]", b"<html>", b'{"access_token": 5}', b'{"access_token": ""}'])
def test_a_login_that_is_answered_with_nonsense_is_told_without_the_secret(answer: bytes) -> None:
    with HubServer("ann", SECRET) as api:
        api.trouble(200, answer, matches="POST")

        with pytest.raises(ProtocolError) as caught:
            asked(api, WEB, Credentials("ann", SECRET))

    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_with_a_mirror_nothing_but_the_mirror_is_asked_unless_the_settings_say_so() -> None:
    settings = Settings(registries={"docker.io": RegistrySettings(endpoint="https://mirror.example")})
    fake = Fake({"https://mirror.example/v2/library/node/tags/list?n=1000": (200, {"tags": ["22"]})})

    found = list(DockerHub(settings, fake, FixedClock(), lambda _: None).versions(NODE))

    assert found == [Version("22")]
    assert {request.url.split("/")[2] for request in fake.requests} == {"mirror.example"}
