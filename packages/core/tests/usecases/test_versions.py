"""Versions against a real registry: pages, what they cost, the cache, and what is shown in an outage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from image_factory.errors import AuthenticationRequired, InvalidReference, NotFound, RateLimited, Unavailable
from image_factory.hookspecs import hookimpl
from image_factory.oci.reference import Digest, Repository
from image_factory.ports import Credentials, RateProfile, Version
from image_factory.testing.registry_server import Access
from image_factory.usecases.analyze import analyze
from image_factory.usecases.versions import VersionList, VersionQuery, find_repository, list_versions, to_json

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any

PAGE = VersionQuery(page_size=10)
ALL = VersionQuery(page_size=None, semver_only=False)
SECRET = "planted-secret-55"


@dataclass(eq=False)
class Login:
    """A plugin that knows one login."""

    password: str

    @hookimpl
    def credentials_for(self) -> Credentials:
        return Credentials("robot", self.password)


@pytest.fixture
def web(world: World) -> World:
    world.service("web", "FROM node:22\n")
    world.enroll("web")
    for patch in range(3):
        world.registry.push_image("acme/web", [f"1.0.{patch}"], seed=f"web {patch}", labels={"patch": str(patch)})
    world.registry.push_image("acme/web", ["main"], seed="main")
    return world


def listed(world: World, query: VersionQuery = PAGE, image: str = "web") -> VersionList:
    return list_versions(world.bench(), image, query)


def tags(found: VersionList) -> list[str]:
    return [row.tag for row in found.page.rows]


def test_a_version_has_all_that_the_registry_and_the_image_tell(web: World) -> None:
    found = to_json(listed(web))

    digest = str(web.registry.storage.manifest("acme/web", "1.0.2")[1])  # type: ignore[index]
    assert {key: value for key, value in found.items() if key != "versions"} == {
        "totalCount": 3,
        "page": 1,
        "pageSize": 10,
        "stale": False,
    }
    first = found["versions"][0]
    assert first.pop("size") > 0
    assert first == {
        "tag": "1.0.2",
        "tags": ["1.0.2"],
        "digest": digest,
        "publishedAt": "2026-01-01T00:00:00Z",
        "platforms": ["linux/amd64", "linux/arm64"],
        "labels": {"patch": "2"},
        "reference": "ghcr.io/acme/web:1.0.2",
        "pinnedReference": f"ghcr.io/acme/web@{digest}",
        "url": None,
    }


def test_the_filter_hides_and_counts_what_it_hides(web: World) -> None:
    assert (tags(listed(web)), listed(web).hidden) == (["1.0.2", "1.0.1", "1.0.0"], 1)
    assert tags(listed(web, VersionQuery(semver_only=False))) == ["1.0.2", "1.0.1", "1.0.0", "main"]


def test_a_page_costs_its_own_manifests_alone(web: World) -> None:
    listed(web, VersionQuery(page=2, page_size=1))

    assert web.registry.count("HEAD") == 1
    # An index, the image in it, and its configuration.
    assert web.registry.count("GET", "/manifests/") == 2
    assert web.registry.count("GET", "/blobs/") == 1
    assert web.registry.count("GET", "/tags/list") == 1


def test_all_versions_at_once_cost_the_listing_alone(web: World) -> None:
    found = listed(web, ALL)

    assert (len(found.page.rows), found.page.size) == (4, 4)
    assert [request.path.partition("?")[0] for request in web.registry.requests] == ["/v2/acme/web/tags/list"]


def test_for_five_minutes_nothing_is_asked_again(web: World) -> None:
    first = to_json(listed(web))
    web.registry.forget()
    web.later(minutes=4, seconds=59)

    assert to_json(listed(web)) == first
    assert web.registry.requests == []


def test_what_a_second_page_cost_is_kept_too(web: World) -> None:
    for number in (1, 2):
        listed(web, VersionQuery(page=number, page_size=1))
    web.registry.forget()

    assert [tags(listed(web, VersionQuery(page=number, page_size=1))) for number in (1, 2)] == [["1.0.2"], ["1.0.1"]]
    assert web.registry.requests == []


def test_after_five_minutes_it_is_asked_and_what_is_known_of_digests_is_not(web: World) -> None:
    listed(web)
    web.registry.forget()
    web.registry.push_image("acme/web", "1.0.3", seed="web 3")
    web.later(minutes=5)

    assert tags(listed(web)) == ["1.0.3", "1.0.2", "1.0.1", "1.0.0"]
    assert web.registry.count("GET", "/tags/list") == 1
    assert web.registry.count("HEAD") == 4
    assert web.registry.count("GET", "/manifests/") == 2


def test_a_refresh_asks_at_once(web: World) -> None:
    listed(web)
    web.registry.push_image("acme/web", "1.0.3", seed="web 3")

    assert tags(listed(web))[0] == "1.0.2"
    assert tags(listed(web, VersionQuery(refresh=True)))[0] == "1.0.3"
    assert tags(listed(web))[0] == "1.0.3"


def test_an_outage_shows_the_last_answer_as_stale(web: World) -> None:
    first = to_json(listed(web))
    web.registry.stop()
    web.later(days=3)

    found = listed(web)

    assert to_json(found) == first | {"stale": True}
    assert isinstance(found.failure, Unavailable)
    assert found.fetched_at == web.now - timedelta(days=3)


def test_a_limit_shows_the_last_answer_and_when_to_ask_again(web: World) -> None:
    listed(web)
    web.registry.fail_next(429, 100, {"Retry-After": "120"})

    found = listed(web, VersionQuery(refresh=True))

    assert found.is_stale
    assert isinstance(found.failure, RateLimited)
    assert found.failure.retry_after == timedelta(minutes=2)


def test_an_outage_without_an_earlier_answer_is_an_error(web: World) -> None:
    web.registry.fail_next(429, 100, {"Retry-After": "120"})
    with pytest.raises(RateLimited) as limited:
        listed(web)
    assert limited.value.retry_after == timedelta(minutes=2)

    web.registry.stop()
    with pytest.raises(Unavailable) as down:
        listed(web)
    assert down.value.hint


def test_what_a_login_may_no_longer_see_is_not_shown_from_memory(web: World) -> None:
    listed(web)
    web.registry.access = Access(password="another")

    with pytest.raises(AuthenticationRequired):
        listed(web, VersionQuery(refresh=True))


def test_each_login_has_a_memory_of_its_own(web: World) -> None:
    web.registry.access = Access(password=SECRET)
    web.plugins = {"login": Login(SECRET)}
    listed(web)
    web.plugins = {"login": Login("wrong")}

    with pytest.raises(AuthenticationRequired):
        listed(web)

    kept = [file for file in web.root.rglob("*") if file.is_file() and ".image-factory-cache" in file.parts]
    assert kept
    assert not any(SECRET.encode() in file.read_bytes() for file in kept)


def test_a_version_that_cannot_be_read_leaves_the_others_whole(web: World) -> None:
    digest = web.registry.storage.manifest("acme/web", "1.0.1")[1]  # type: ignore[index]
    listed(web, VersionQuery(page_size=1))
    resolved = to_json(listed(web, VersionQuery(page_size=1)))["versions"][0]["digest"]
    assert resolved != digest
    web.registry.delete("acme/web", "1.0.1")

    found = to_json(listed(web))["versions"]

    assert [(one["tag"], bool(one["digest"])) for one in found] == [("1.0.2", True), ("1.0.1", False), ("1.0.0", True)]


def test_a_registry_that_goes_away_amid_a_page_is_left_alone(web: World, caplog: pytest.LogCaptureFixture) -> None:
    listed(web, ALL)
    web.registry.fail_next(429, 1000, {"Retry-After": "3600"})

    found = listed(web)

    assert (tags(found), found.is_stale) == (["1.0.2", "1.0.1", "1.0.0"], False)
    assert [row.digest for row in found.page.rows] == [None] * 3
    assert len([one for one in caplog.records if "details are missing" in one.getMessage()]) == 1


@dataclass(eq=False)
class Hub:
    """A registry whose manifests are counted, and that tells dates by itself."""

    read: list[Digest] = field(default_factory=list)
    name: str = "hub"

    @hookimpl
    def register_registries(self, register: Any) -> None:
        register(self)

    def claims(self, repository: Repository) -> bool:
        return repository.registry == "ghcr.io"

    def versions(self, repository: Repository) -> Iterator[Version]:
        for number in range(3):
            at = datetime(2026, 2, 3 - number, tzinfo=UTC)
            url = "https://example.com/own" if number == 0 else None
            yield Version(f"1.0.{number}", Digest("sha256", f"{number}" * 64), published_at=at, url=url)

    def metadata(self, repository: Repository, digest: Digest) -> Any:
        self.read.append(digest)
        raise AssertionError("counted")

    def rate_profile(self, repository: Repository) -> RateProfile:
        return RateProfile(100, timedelta(hours=6), heads_are_free=True)

    def web_url(self, repository: Repository, tag: str | None = None) -> str:
        return f"https://example.com/{tag}"

    def resolve(self, tag: Any) -> Any: ...
    def tags(self, repository: Any) -> Any: ...
    def manifest(self, repository: Any, digest: Any) -> Any: ...
    def webhook_receiver(self) -> Any: ...


def test_where_reading_manifests_is_counted_none_is_read(world: World) -> None:
    world.enroll("web")
    hub = Hub()
    world.plugins = {"hub": hub}

    found = to_json(listed(world))["versions"]

    assert hub.read == []
    assert [(one["tag"], one["publishedAt"][:10]) for one in found] == [
        ("1.0.0", "2026-02-03"),
        ("1.0.1", "2026-02-02"),
        ("1.0.2", "2026-02-01"),
    ]
    assert [one["url"] for one in found[:2]] == ["https://example.com/own", "https://example.com/1.0.1"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("web", "ghcr.io/acme/web"),
        ("node-22", "docker.io/library/node"),
        ("quay.io/acme/tool:1", "quay.io/acme/tool"),
        ("library/alpine", "docker.io/library/alpine"),
        ("alpine:3", "docker.io/library/alpine"),
    ],
)
def test_an_image_is_named_or_referred_to(web: World, written: str, expected: str) -> None:
    bench = web.bench()
    bench.store.apply(analyze(bench).changes)

    assert str(find_repository(web.bench(), written)) == expected


def test_what_is_neither_is_refused_with_what_to_write(web: World) -> None:
    with pytest.raises(NotFound) as unknown:
        find_repository(web.bench(), "alpine")
    with pytest.raises(InvalidReference):
        find_repository(web.bench(), "Bad/Name")

    assert "library/alpine" in unknown.value.hint
