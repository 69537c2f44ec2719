"""What the generic registry does beyond the contract: mirrors, names, realms, whom it asks as."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from image_factory.errors import AuthenticationRequired, InvalidSettings, ProtocolError, RateLimited, RemoteNotFound
from image_factory.hookspecs import PROJECT
from image_factory.model.settings import RegistrySettings, Settings
from image_factory.oci.distribution import RateLimit
from image_factory.oci.reference import Digest, Reference, Repository, Tag
from image_factory.ports import Credentials, RateProfile
from image_factory.shell import registry as module
from image_factory.shell.http import HttpClient
from image_factory.shell.registry import OciRegistry
from image_factory.testing.clock import FixedClock
from image_factory.testing.registry_server import Access, Misbehavior, Quota, RegistryServer

SECRET = "planted-secret-55"


@dataclass
class Lab:
    """Servers, a clock, and registries made from settings; remembers whose credentials were wanted."""

    stack: ExitStack
    clock: FixedClock = field(default_factory=FixedClock)
    wanted: list[str] = field(default_factory=list)
    known: dict[str, Credentials] = field(default_factory=dict)

    def server(self, **options: object) -> RegistryServer:
        server = RegistryServer(clock=self.clock, **options)  # type: ignore[arg-type]
        return self.stack.enter_context(server)

    def registry(self, settings: Settings | None = None, **options: bool) -> OciRegistry:
        settings = settings or Settings()
        http = self.stack.enter_context(HttpClient(settings, self.clock, randomness=lambda: 0.0))
        return OciRegistry(http, settings, self.clock, self.credentials, **options)

    def credentials(self, repository: Repository) -> Credentials | None:
        self.wanted.append(str(repository))
        return self.known.get(repository.registry)


@pytest.fixture
def lab() -> Iterator[Lab]:
    with ExitStack() as stack:
        yield Lab(stack)


def tag(text: str) -> Tag:
    tagged = Reference.parse(text).tagged
    assert tagged is not None
    return tagged


def mirror(server: RegistryServer, path: str = "", **more: Any) -> Settings:
    return Settings(registries={"docker.io": RegistrySettings(endpoint=f"{server.url}{path}", **more)})


def heads(server: RegistryServer) -> list[str]:
    return [request.path.removeprefix("/v2/") for request in server.requests if request.method == "HEAD"]


# --- mirrors --------------------------------------------------------------------------------------


def test_a_mirror_is_asked_for_the_upstream_name(lab: Lab) -> None:
    server = lab.server()
    digest = server.push_image("library/node", "22")

    assert lab.registry(mirror(server)).resolve(tag("node:22")) == digest


def test_a_mirror_may_keep_names_below_a_path(lab: Lab) -> None:
    server = lab.server(prefix="hub", access=Access(anonymous=True), page_size=2)
    digest = server.push_image("library/node", ["20", "21", "22"])
    registry = lab.registry(mirror(server, "/hub"))

    assert registry.resolve(tag("node:22")) == digest
    assert [found.name for found in registry.tags(tag("node:22").repository)] == ["20", "21", "22"]
    assert server.count(containing="scope=repository%3Ahub%2Flibrary%2Fnode%3Apull") == 1


def test_a_mirror_is_shown_its_own_credentials_and_never_the_upstreams(lab: Lab) -> None:
    server = lab.server(access=Access(password="mirror's own"))
    server.push_image("library/node", "22")
    lab.known = {"docker.io": Credentials("robot", SECRET), server.host: Credentials("robot", "mirror's own")}

    lab.registry(mirror(server)).resolve(tag("node:22"))

    assert lab.wanted == [f"{server.host}/library/node"]


def test_an_endpoint_that_is_none_is_named_with_its_registry(lab: Lab) -> None:
    registry = RegistrySettings.model_construct(endpoint="mirror.example.com")

    with pytest.raises(InvalidSettings, match=r"docker\.io: not an endpoint: 'mirror\.example\.com'"):
        lab.registry(Settings.model_construct(registries={"docker.io": registry})).resolve(tag("node:22"))


# --- library/ ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "asked"),
    [("proxy/library/node", "proxy/node"), ("library/node", "node")],
    ids=["below a project", "at the top"],
)
def test_library_is_tried_once_where_a_name_is_not_found(lab: Lab, held: str, asked: str) -> None:
    server = lab.server()
    digest = server.push_image(held, "22")

    assert lab.registry().resolve(tag(f"{server.host}/{asked}:22")) == digest
    assert heads(server) == [f"{asked}/manifests/22", f"{held}/manifests/22"]


def test_what_library_made_good_is_remembered_for_the_host(lab: Lab) -> None:
    server = lab.server()
    server.push_image("proxy/library/node", "22")
    server.push_image("proxy/library/redis", "7")
    registry = lab.registry()
    registry.resolve(tag(f"{server.host}/proxy/node:22"))
    server.forget()

    registry.resolve(tag(f"{server.host}/proxy/redis:7"))
    list(registry.tags(tag(f"{server.host}/proxy/redis:7").repository))

    assert [request.path.partition("?")[0] for request in server.requests] == [
        "/v2/proxy/library/redis/manifests/7",
        "/v2/proxy/library/redis/tags/list",
    ]


def test_what_is_under_neither_name_is_looked_for_once(lab: Lab) -> None:
    server = lab.server()
    registry = lab.registry()

    for _ in range(3):
        with pytest.raises(RemoteNotFound, match=f"{server.host}/proxy/node:22"):
            registry.resolve(tag(f"{server.host}/proxy/node:22"))

    assert heads(server).count("proxy/library/node/manifests/22") == 1
    assert heads(server).count("proxy/node/manifests/22") == 3


def test_a_mirror_of_docker_hub_may_keep_official_images_without_library(lab: Lab) -> None:
    server = lab.server()
    digest = server.push_image("node", "22")

    assert lab.registry(mirror(server)).resolve(tag("node:22")) == digest
    assert heads(server) == ["library/node/manifests/22", "node/manifests/22"]


@pytest.mark.parametrize("path", ["library/node", "a/b/c", "proxy/library/node"])
def test_a_name_that_is_full_is_tried_as_it_is(lab: Lab, path: str) -> None:
    server = lab.server()

    with pytest.raises(RemoteNotFound):
        lab.registry().resolve(tag(f"{server.host}/{path}:1"))

    assert len(heads(server)) == 1


# --- tokens and credentials --------------------------------------------------------------------------


def test_nobodys_credentials_are_looked_up_where_none_are_asked_for(lab: Lab) -> None:
    server = lab.server()
    server.push_image("acme/web", "1")

    lab.registry().resolve(tag(f"{server.host}/acme/web:1"))

    assert lab.wanted == []


def test_credentials_are_looked_up_once_a_repository(lab: Lab) -> None:
    server = lab.server(access=Access(password=SECRET))
    lab.known = {server.host: Credentials("robot", SECRET)}
    server.push_image("acme/web", ["1", "2", "3"])
    registry = lab.registry()

    for name in ("1", "2", "3"):
        registry.resolve(tag(f"{server.host}/acme/web:{name}"))

    assert lab.wanted == [f"{server.host}/acme/web"]


def test_a_realm_on_another_host_is_asked_where_the_settings_name_it(lab: Lab) -> None:
    realm = lab.server(access=Access(password=SECRET))
    server = lab.server(access=Access(password=SECRET))
    server.tokens = realm.tokens
    digest = server.push_image("acme/web", "1")
    lab.known = {server.host: Credentials("robot", SECRET)}
    named = Settings(registries={server.host: RegistrySettings(token_realms=(realm.host,))})

    with server.misbehaving(Misbehavior.FOREIGN_REALM, redirect_to=realm.url):
        with pytest.raises(ProtocolError, match="realm on another host"):
            lab.registry().resolve(tag(f"{server.host}/acme/web:1"))
        assert realm.requests == []

        assert lab.registry(named).resolve(tag(f"{server.host}/acme/web:1")) == digest

    assert realm.count("GET", "/token") == 1


@pytest.mark.parametrize("password", [None, SECRET])
def test_a_token_that_was_withdrawn_is_renewed_once(lab: Lab, password: str | None) -> None:
    server = lab.server(access=Access(password=SECRET, anonymous=True))
    lab.known = {server.host: Credentials("robot", password)} if password else {}
    digest = server.push_image("acme/web", "1")
    registry = lab.registry()
    registry.resolve(tag(f"{server.host}/acme/web:1"))
    server.tokens.clear()
    server.forget()

    assert registry.resolve(tag(f"{server.host}/acme/web:1")) == digest
    assert [request.status for request in server.requests] == [401, 200, 200]


def test_a_password_that_changed_is_looked_up_again(lab: Lab) -> None:
    server = lab.server(access=Access(password="new", basic=True))
    digest = server.push_image("acme/web", "1")
    passwords = iter(["old", "new"])
    settings = Settings()
    http = lab.stack.enter_context(HttpClient(settings, lab.clock))
    registry = OciRegistry(http, settings, lab.clock, lambda _: Credentials("robot", next(passwords)))

    with pytest.raises(AuthenticationRequired):
        registry.resolve(tag(f"{server.host}/acme/web:1"))

    assert registry.resolve(tag(f"{server.host}/acme/web:1")) == digest


def test_a_bearer_token_without_a_user_is_sent_as_it_is(lab: Lab) -> None:
    server = lab.server(access=Access(password=SECRET))
    server.push_image("acme/web", "1")
    server.tokens["given"] = (lab.clock.now() + timedelta(days=1), "repository:acme/web:pull")
    lab.known = {server.host: Credentials("", "given")}

    lab.registry().resolve(tag(f"{server.host}/acme/web:1"))

    assert server.count(containing="/token") == 0


def test_an_identity_token_is_exchanged(lab: Lab) -> None:
    server = lab.server(access=Access(password=SECRET))
    digest = server.push_image("acme/web", "1")
    lab.known = {server.host: Credentials("<token>", SECRET)}

    assert lab.registry().resolve(tag(f"{server.host}/acme/web:1")) == digest
    assert server.count("POST", "/token") == 1
    assert SECRET not in str(server.requests)


@pytest.mark.parametrize("lenient", [False, True])
def test_what_nobody_meant_for_a_registry_need_not_be_good(lab: Lab, lenient: bool) -> None:
    server = lab.server(access=Access(password=SECRET, anonymous=True))
    digest = server.push_image("acme/web", "1")
    lab.known = {server.host: Credentials("robot", "of something else")}
    registry = lab.registry(anonymous_fallback=lenient)

    if lenient:
        assert registry.resolve(tag(f"{server.host}/acme/web:1")) == digest
    else:
        with pytest.raises(AuthenticationRequired, match="with the credentials that are configured"):
            registry.resolve(tag(f"{server.host}/acme/web:1"))


def test_many_threads_share_one_token_a_repository(lab: Lab) -> None:
    server = lab.server(access=Access(anonymous=True))
    for number in range(8):
        server.push_image(f"acme/web{number}", "1")
    registry = lab.registry()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(registry.resolve, [tag(f"{server.host}/acme/web{n % 8}:1") for n in range(64)]))

    assert server.count(containing="/token") == 8


# --- limits -----------------------------------------------------------------------------------------


def test_docker_hubs_heads_are_free_and_gets_are_counted(lab: Lab) -> None:
    server = lab.server(quota=Quota(requests=2))
    digest = server.push_image("acme/web", "1")
    registry, repository = lab.registry(), Repository(server.host, "acme/web")

    for _ in range(50):
        registry.resolve(Tag(repository, "1"))
    assert registry.observed_limit(repository) == RateLimit(2, 2, timedelta(hours=6))

    registry.metadata(repository, digest)
    assert registry.observed_limit(repository) == RateLimit(2, 0, timedelta(hours=6))
    assert registry.rate_profile(repository) == RateProfile(2, timedelta(hours=6))


def test_the_last_pulls_of_a_quota_are_left_to_others(lab: Lab) -> None:
    server = lab.server(quota=Quota(requests=20))
    digest = server.push_image("acme/web", "1", platforms=["linux/amd64"])
    registry, repository = lab.registry(), Repository(server.host, "acme/web")
    for _ in range(18):
        registry.manifest(repository, digest)
    server.forget()

    with pytest.raises(RateLimited, match="of 20 pulls 2 are left") as caught:
        registry.manifest(repository, digest)

    assert caught.value.retry_after == timedelta(minutes=10)
    assert server.requests == []
    # HEADs cost nothing, and the newest of them says how much is left now.
    assert registry.resolve(Tag(repository, "1")) == digest
    lab.clock.advance(timedelta(hours=6))
    registry.resolve(Tag(repository, "1"))
    registry.manifest(repository, digest)
    assert registry.observed_limit(repository) == RateLimit(20, 19, timedelta(hours=6))


def test_a_spent_quota_without_news_is_tried_again_after_a_while(lab: Lab) -> None:
    server = lab.server(quota=Quota(requests=1))
    digest = server.push_image("acme/web", "1")
    registry, repository = lab.registry(), Repository(server.host, "acme/web")
    registry.manifest(repository, digest)
    lab.clock.advance(timedelta(minutes=10))

    with pytest.raises(RateLimited) as caught:
        registry.manifest(repository, digest)

    # Now it is the registry that says so, and for how long.
    assert caught.value.retry_after == timedelta(hours=5, minutes=50)


def test_the_settings_may_name_a_limit(lab: Lab) -> None:
    settings = Settings(registries={"r.example": RegistrySettings(requests_per_day=500)})

    registry = lab.registry(settings)

    assert registry.rate_profile(Repository("r.example", "a")) == RateProfile(500, timedelta(days=1))
    assert registry.rate_profile(Repository("s.example", "a")) is None


def test_a_head_that_is_limited_is_never_asked_as_a_get(lab: Lab) -> None:
    server = lab.server()
    server.push_image("acme/web", "1")
    server.fail_next(429, times=100)

    with pytest.raises(RateLimited):
        lab.registry().resolve(tag(f"{server.host}/acme/web:1"))

    assert server.count("GET") == 0


def test_a_limit_counts_for_the_account_and_not_for_one_token(lab: Lab) -> None:
    server = lab.server(access=Access(anonymous=True), quota=Quota(requests=0, heads_count=True))
    registry = lab.registry()
    with pytest.raises(RateLimited):
        registry.resolve(tag(f"{server.host}/acme/web:1"))
    server.forget()

    with pytest.raises(RateLimited, match="left alone until"):
        registry.resolve(tag(f"{server.host}/acme/api:1"))

    assert server.requests == []


def test_a_limit_of_one_registry_leaves_the_others_alone(lab: Lab) -> None:
    limited, well = lab.server(quota=Quota(requests=0, heads_count=True)), lab.server()
    digest = well.push_image("acme/web", "1")
    registry = lab.registry()

    with pytest.raises(RateLimited):
        registry.resolve(tag(f"{limited.host}/acme/web:1"))

    assert registry.resolve(tag(f"{well.host}/acme/web:1")) == digest


# --- referrers, and the rest ----------------------------------------------------------------------


@pytest.mark.parametrize("has_api", [True, False], ids=["by the API", "by the tag"])
def test_what_refers_to_an_image_is_found(lab: Lab, has_api: bool) -> None:
    server = lab.server()
    repository = Repository(server.host, "acme/web")
    digest = server.push_image("acme/web", "1")
    signature = server.push_referrer("acme/web", digest, artifact_type="application/x-signature")
    listed = server.storage.referrers("acme/web", str(digest))

    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": listed}
    server.storage.put_manifest("acme/web", f"sha256-{digest.hex}", str(index["mediaType"]), json.dumps(index).encode())

    with server.misbehaving(*([] if has_api else [Misbehavior.NO_REFERRERS])):
        found = lab.registry().referrers(repository, digest)

    assert [entry.digest for entry in found.manifests] == [signature]


def test_nothing_refers_to_an_image(lab: Lab) -> None:
    server = lab.server()
    digest = server.push_image("acme/web", "1")

    with server.misbehaving(Misbehavior.NO_REFERRERS):
        assert lab.registry().referrers(Repository(server.host, "acme/web"), digest).manifests == ()


def test_an_artifact_without_an_image_configuration_has_metadata(lab: Lab) -> None:
    server = lab.server()
    digest = server.push_referrer("acme/web", Digest("sha256", "0" * 64), artifact_type="x/y")

    metadata = lab.registry().metadata(Repository(server.host, "acme/web"), digest)

    assert (metadata.os, metadata.created, dict(metadata.platforms)) == (None, None, {})


def test_it_is_registered_through_the_hook() -> None:
    registered: list[object] = []
    assert hasattr(module.register_registries, f"{PROJECT}_impl")

    module.register_registries(registered.append, Settings(), HttpClient(), FixedClock(), lambda _: None)

    assert [getattr(item, "name", "") for item in registered] == ["oci"]
