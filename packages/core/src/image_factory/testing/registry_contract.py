"""What every `Registry` must do, as pytest suites that a provider's own test class inherits.

>>> class TestQuay(RegistryContract):                                            # doctest: +SKIP
...     host = "quay.io"
...     def make(self, bench: Bench) -> Registry:
...         return Quay(bench.http, bench.settings, bench.clock, bench.credentials)

`RegistryReading` holds against any registry that a test filled; `RegistryContract` adds tempers that
only the embedded registry has. Specification: `image_factory.ports.Registry`.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from image_factory.errors import (
    AuthenticationRequired,
    ProtocolError,
    RateLimited,
    RemoteError,
    RemoteNotFound,
    RemoteRefused,
    Unavailable,
)
from image_factory.model.settings import RegistrySettings, Settings
from image_factory.oci.manifest import Index, Manifest
from image_factory.oci.reference import Digest, Repository, Tag
from image_factory.ports import Credentials, RateProfile, Registry
from image_factory.shell.http import HttpClient
from image_factory.testing.clock import FixedClock
from image_factory.testing.image_content import ImageContent, build_image
from image_factory.testing.registry_server import Access, Misbehavior, Quota, RegistryServer

SECRET = "planted-secret-9f8e7d6c"  # noqa: S105 - planted, so that a leak is seen
MADE_AT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
LABELS = {"org.opencontainers.image.source": "https://example.com/web", "stage": "test"}
IMAGE = build_image(labels=LABELS, created=MADE_AT, seed="contract", attestations=True)
SINGLE = build_image(platforms=["linux/arm64"], seed="contract single", docker=True)
TAGS = ("1", "1.2", "1.2.3", "latest", "v1_beta.2")
"""Tags of `IMAGE`, in lexical order; `single` is `SINGLE`."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What a registry is made from."""

    settings: Settings
    http: HttpClient
    clock: FixedClock
    credentials: Callable[[Repository], Credentials | None] = field(repr=False)


@dataclass(frozen=True, slots=True)
class World:
    """A registry under test, and the repository that it must read."""

    registry: Registry
    repository: Repository

    def tag(self, name: str) -> Tag:
        return Tag(self.repository, name)


class RegistryReading:
    """What holds of every registry that holds `IMAGE` under `TAGS` and `SINGLE` under `single`."""

    @pytest.fixture
    def world(self) -> Iterator[World]:
        raise NotImplementedError("a subclass says which registry is read")

    def test_its_name_is_one_word(self, world: World) -> None:
        assert world.registry.name.isidentifier()

    def test_it_is_a_registry(self, world: World) -> None:
        assert isinstance(world.registry, Registry)
        assert world.registry.claims(world.repository)

    @pytest.mark.parametrize("name", TAGS)
    def test_a_tag_resolves_to_its_index(self, world: World, name: str) -> None:
        assert world.registry.resolve(world.tag(name)) == IMAGE.digest

    def test_a_tag_of_one_platform_resolves_to_its_manifest(self, world: World) -> None:
        assert world.registry.resolve(world.tag("single")) == SINGLE.digest

    def test_an_unknown_tag_is_not_found(self, world: World) -> None:
        with pytest.raises(RemoteNotFound, match="no-such-tag"):
            world.registry.resolve(world.tag("no-such-tag"))

    def test_an_unknown_repository_is_missing_or_closed(self, world: World) -> None:
        missing = Repository(world.repository.registry, f"{world.repository.path}-missing")

        with pytest.raises((RemoteNotFound, AuthenticationRequired)):
            world.registry.resolve(Tag(missing, "1"))
        with pytest.raises((RemoteNotFound, AuthenticationRequired)):
            list(world.registry.tags(missing))

    def test_all_tags_are_listed_once(self, world: World) -> None:
        names = [tag.name for tag in world.registry.tags(world.repository)]

        assert sorted(names) == sorted([*TAGS, "single"])

    def test_an_index_is_read(self, world: World) -> None:
        index = world.registry.manifest(world.repository, IMAGE.digest)

        assert isinstance(index, Index)
        assert dict(index.platforms) == dict(IMAGE.platforms)

    def test_a_manifest_is_read(self, world: World) -> None:
        manifest = world.registry.manifest(world.repository, SINGLE.digest)

        assert isinstance(manifest, Manifest)
        assert len(manifest.layers) == 1

    def test_an_unknown_digest_is_not_found(self, world: World) -> None:
        with pytest.raises(RemoteNotFound):
            world.registry.manifest(world.repository, Digest("sha256", "0" * 64))

    def test_metadata_says_platforms_size_creation_and_labels(self, world: World) -> None:
        metadata = world.registry.metadata(world.repository, IMAGE.digest)

        assert metadata.digest == IMAGE.digest
        assert dict(metadata.platforms) == dict(IMAGE.platforms)
        assert (metadata.os, metadata.architecture) == ("linux", "amd64")
        assert metadata.created == MADE_AT
        assert dict(metadata.labels) == LABELS
        assert metadata.size is not None
        assert metadata.size > 0

    def test_metadata_of_one_platform_names_it(self, world: World) -> None:
        metadata = world.registry.metadata(world.repository, SINGLE.digest)

        assert dict(metadata.platforms) == {"linux/arm64": SINGLE.digest}
        assert metadata.architecture == "arm64"

    def test_versions_name_every_tag(self, world: World) -> None:
        versions = list(world.registry.versions(world.repository))

        assert sorted(version.tag for version in versions) == sorted([*TAGS, "single"])

    def test_what_versions_tell_is_true_and_the_newest_come_first(self, world: World) -> None:
        versions = list(world.registry.versions(world.repository))

        told = {version.tag: version.digest for version in versions if version.digest is not None}
        assert told == {name: world.registry.resolve(world.tag(name)) for name in told}
        dates = [version.published_at for version in versions if version.published_at is not None]
        assert dates == sorted(dates, reverse=True)
        assert all(version.url is None or version.url.startswith("https://") for version in versions)

    def test_its_rate_profile_is_a_limit_or_none(self, world: World) -> None:
        profile = world.registry.rate_profile(world.repository)

        assert profile is None or (isinstance(profile, RateProfile) and profile.per_day > 0)

    def test_its_pages_for_people_are_on_https(self, world: World) -> None:
        for url in (world.registry.web_url(world.repository), world.registry.web_url(world.repository, "1.2")):
            assert url is None or url.startswith("https://")


def fill(server: RegistryServer, path: str) -> None:
    """Put into an embedded registry what the suites read."""
    server.push(path, TAGS, IMAGE)
    server.push(path, ["single"], SINGLE)


class RegistryContract(RegistryReading):
    """What a registry must do when its service is well, when it is not, and when it is hostile."""

    host: str | None = None
    """The registry's name in references; None: the server's own."""
    path = "acme/web"
    """A repository's path that this registry takes."""

    def make(self, bench: Bench) -> Registry:
        """Return the registry under test."""
        raise NotImplementedError("a subclass says how its registry is made")

    def settings(self, server: RegistryServer) -> Settings:
        """Return settings that send requests for `host` to `server`."""
        if self.host is None:
            return Settings()
        return Settings(registries={self.host: RegistrySettings(endpoint=server.url)})

    @pytest.fixture
    def build(self) -> Iterator[Callable[..., tuple[World, RegistryServer, FixedClock]]]:
        with ExitStack() as stack:

            def build(
                *,
                access: Access | None = None,
                quota: Quota | None = None,
                page_size: int = 1000,
                password: str | None = None,
            ) -> tuple[World, RegistryServer, FixedClock]:
                clock = FixedClock()
                server = stack.enter_context(
                    RegistryServer(access=access, quota=quota, page_size=page_size, clock=clock)
                )
                fill(server, self.path)
                settings = self.settings(server)
                http = stack.enter_context(HttpClient(settings, clock, randomness=lambda: 0.0))
                found = None if password is None else Credentials("robot", password)
                registry = self.make(Bench(settings, http, clock, lambda _: found))
                return World(registry, Repository(self.host or server.host, self.path)), server, clock

            yield build

    @pytest.fixture
    def world(self, build: Build) -> World:
        return build()[0]

    # --- requests -----------------------------------------------------------------------------

    def test_resolving_costs_one_head_and_no_get(self, build: Build) -> None:
        world, server, _ = build()

        world.registry.resolve(world.tag("1.2"))

        assert [(r.method, r.path) for r in server.requests] == [("HEAD", f"/v2/{self.path}/manifests/1.2")]

    def test_a_tag_that_moved_resolves_to_where_it_points_now(self, build: Build) -> None:
        world, server, _ = build()
        world.registry.resolve(world.tag("latest"))
        moved = server.push_image(self.path, "latest", seed="moved")

        assert world.registry.resolve(world.tag("latest")) == moved

    def test_one_token_serves_many_requests_until_shortly_before_it_expires(self, build: Build) -> None:
        world, server, clock = build(access=Access(anonymous=True, expires_in=300))
        for name in TAGS:
            world.registry.resolve(world.tag(name))
        assert server.count(containing="/token") == 1

        clock.advance(timedelta(seconds=299))
        world.registry.resolve(world.tag("1"))

        assert server.count(containing="/token") == 2
        # Of the second round no request was refused: the token was renewed before it was too late.
        assert [r.status for r in server.requests if "/manifests/" in r.path].count(401) == 1

    @pytest.mark.parametrize("field", ["token", "access_token"])
    def test_a_token_is_found_under_either_name(self, build: Build, field: str) -> None:
        world, _, _ = build(access=Access(anonymous=True, token_field=field, expires_in=None))

        assert world.registry.resolve(world.tag("1")) == IMAGE.digest

    @pytest.mark.parametrize("basic", [False, True], ids=["a token", "Basic"])
    def test_credentials_open_what_is_closed(self, build: Build, basic: bool) -> None:
        world, _, _ = build(access=Access(password=SECRET, basic=basic), password=SECRET)

        assert world.registry.resolve(world.tag("1")) == IMAGE.digest
        assert len(list(world.registry.tags(world.repository))) == len(TAGS) + 1

    @pytest.mark.parametrize("basic", [False, True], ids=["a token", "Basic"])
    @pytest.mark.parametrize("password", [None, "wrong"])
    def test_without_good_credentials_there_is_no_access_and_no_storm(
        self, build: Build, basic: bool, password: str | None
    ) -> None:
        world, server, _ = build(access=Access(password=SECRET, basic=basic), password=password)

        with pytest.raises(AuthenticationRequired):
            world.registry.resolve(world.tag("1"))

        assert len(server.requests) <= 4

    # --- tag lists ----------------------------------------------------------------------------

    def test_tags_and_versions_come_from_every_page(self, build: Build) -> None:
        world, server, _ = build(page_size=2)

        assert len(list(world.registry.tags(world.repository))) == len(TAGS) + 1
        assert server.count(containing="/tags/list") == 3
        assert len(list(world.registry.versions(world.repository))) == len(TAGS) + 1

    def test_what_is_no_tag_is_not_passed_on(self, build: Build) -> None:
        world, server, _ = build()

        with server.misbehaving(Misbehavior.STRANGE_TAGS):
            for ask in (world.registry.tags, world.registry.versions):
                with pytest.raises(ProtocolError):
                    list(ask(world.repository))

    def test_null_for_tags_is_none(self, build: Build) -> None:
        world, server, _ = build()

        with server.misbehaving(Misbehavior.NULL_TAGS):
            assert list(world.registry.tags(world.repository)) == []

    def test_a_page_size_may_be_refused(self, build: Build) -> None:
        world, server, _ = build()

        with server.misbehaving(Misbehavior.REFUSES_N):
            assert len(list(world.registry.tags(world.repository))) == len(TAGS) + 1

    def test_pages_that_run_in_a_circle_end(self, build: Build) -> None:
        world, server, _ = build()

        with server.misbehaving(Misbehavior.LINK_LOOP), pytest.raises(ProtocolError, match="circle"):
            list(world.registry.tags(world.repository))

    def test_a_next_page_on_another_host_is_not_asked_for(self, build: Build) -> None:
        world, server, _ = build(page_size=2)
        _, other, _ = build()

        with server.misbehaving(Misbehavior.FOREIGN_LINK, redirect_to=other.url), pytest.raises(ProtocolError):
            list(world.registry.tags(world.repository))

        assert other.requests == []

    # --- tempers ------------------------------------------------------------------------------

    def test_without_a_digest_header_the_body_is_hashed(self, build: Build) -> None:
        world, server, _ = build()

        with server.misbehaving(Misbehavior.NO_DIGEST_HEADER):
            assert world.registry.resolve(world.tag("1")) == IMAGE.digest

    def test_a_registry_that_refuses_head_is_asked_with_get(self, build: Build) -> None:
        world, server, _ = build()

        with server.misbehaving(Misbehavior.HEAD_REFUSED):
            assert world.registry.resolve(world.tag("1")) == IMAGE.digest

    def test_a_wrong_digest_is_noticed(self, build: Build) -> None:
        world, server, _ = build()

        with server.misbehaving(Misbehavior.WRONG_DIGEST), pytest.raises(ProtocolError, match="digest"):
            world.registry.manifest(world.repository, IMAGE.digest)

    def test_what_hides_is_missing_or_closed(self, build: Build) -> None:
        world, server, _ = build(access=Access(anonymous=True))

        with server.misbehaving(Misbehavior.HIDES), pytest.raises(AuthenticationRequired, match="missing or no access"):
            world.registry.resolve(world.tag("no-such-tag"))

        assert server.count("HEAD") <= 3

    def test_a_short_outage_is_waited_for(self, build: Build) -> None:
        world, server, clock = build()
        server.fail_next(503, times=2)

        assert world.registry.resolve(world.tag("1")) == IMAGE.digest
        assert len(clock.slept) == 2

    def test_a_long_outage_is_unavailable(self, build: Build) -> None:
        world, server, _ = build()
        server.fail_next(503, times=100)

        with pytest.raises(Unavailable):
            world.registry.resolve(world.tag("1"))

        assert len(server.requests) <= 5

    def test_a_registry_that_is_gone_is_unavailable(self, build: Build) -> None:
        world, server, _ = build()
        server.stop()

        with pytest.raises(Unavailable):
            world.registry.resolve(world.tag("1"))

    @pytest.mark.parametrize("retry_after", ["120", "Sun, 01 Mar 2026 12:02:00 GMT"], ids=["seconds", "a date"])
    def test_a_spent_quota_is_waited_out_without_another_request(self, build: Build, retry_after: str) -> None:
        world, server, clock = build(quota=Quota(requests=1, heads_count=True, retry_after=retry_after))
        world.registry.resolve(world.tag("1"))
        server.forget()

        with pytest.raises(RateLimited) as first:
            world.registry.resolve(world.tag("1.2"))
        with pytest.raises(RateLimited):
            world.registry.resolve(world.tag("1.2.3"))

        assert first.value.retry_after == timedelta(minutes=2)
        # One refused HEAD told all there is to know; no GET was tried in its place.
        assert [r.method for r in server.requests] == ["HEAD"]
        clock.advance(timedelta(hours=7))
        assert world.registry.resolve(world.tag("1.2")) == IMAGE.digest

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, RemoteRefused),
            (401, AuthenticationRequired),
            (403, AuthenticationRequired),
            (404, RemoteNotFound),
            (429, RateLimited),
            (500, Unavailable),
        ],
    )
    def test_a_status_is_an_error_by_who_acts_next(self, build: Build, status: int, kind: type[RemoteError]) -> None:
        world, server, _ = build()
        server.fail_next(status, 1000, {"Retry-After": "120"} if status == 429 else None)

        for ask in (lambda: world.registry.resolve(world.tag("1")), *self._questions(world)):
            with pytest.raises(kind) as caught:
                ask()
            assert getattr(caught.value, "retry_after", timedelta(minutes=2)) == timedelta(minutes=2)
            assert caught.value.hint

    # --- hostility ----------------------------------------------------------------------------

    def test_a_web_page_is_no_registry(self, build: Build) -> None:
        world, server, _ = build()

        with server.misbehaving(Misbehavior.HTML):
            for ask in self._questions(world):
                with pytest.raises(ProtocolError):
                    ask()

    def test_an_endless_body_is_cut(self, build: Build) -> None:
        world, server, _ = build()

        with server.misbehaving(Misbehavior.ENDLESS):
            for ask in self._questions(world):
                with pytest.raises(ProtocolError):
                    ask()

    def test_garbage_is_a_protocol_error(self, build: Build) -> None:
        world, server, _ = build()

        with server.misbehaving(Misbehavior.GARBAGE):
            for ask in self._questions(world):
                with pytest.raises(ProtocolError):
                    ask()

    def test_an_answer_that_breaks_off_is_unavailable(self, build: Build) -> None:
        world, server, _ = build()

        with server.misbehaving(Misbehavior.CUT_OFF), pytest.raises(Unavailable):
            world.registry.manifest(world.repository, IMAGE.digest)

    def test_redirects_in_a_circle_end(self, build: Build) -> None:
        world, server, _ = build()

        with server.misbehaving(Misbehavior.REDIRECT_LOOP), pytest.raises(ProtocolError):
            world.registry.resolve(world.tag("1"))

    @pytest.mark.parametrize("basic", [False, True], ids=["a token", "Basic"])
    def test_a_redirect_to_another_host_takes_no_credentials_along(self, build: Build, basic: bool) -> None:
        world, server, _ = build(access=Access(password=SECRET, basic=basic), password=SECRET)
        _, other, _ = build()
        world.registry.resolve(world.tag("1"))

        with server.misbehaving(Misbehavior.REDIRECT, redirect_to=other.url):
            assert world.registry.resolve(world.tag("1")) == IMAGE.digest

        assert [(r.method, r.authorization) for r in other.requests] == [("HEAD", "")]

    @pytest.mark.parametrize("password", [None, SECRET], ids=["without credentials", "with credentials"])
    def test_a_token_realm_on_another_host_is_sent_nothing(self, build: Build, password: str | None) -> None:
        world, server, _ = build(access=Access(password=SECRET, anonymous=True), password=password)
        _, other, _ = build()

        with (
            server.misbehaving(Misbehavior.FOREIGN_REALM, redirect_to=other.url),
            pytest.raises(ProtocolError, match="realm on another host"),
        ):
            world.registry.resolve(world.tag("1"))

        assert other.requests == []

    @pytest.mark.parametrize("basic", [False, True], ids=["a token", "Basic"])
    @pytest.mark.parametrize("misbehavior", [None, *Misbehavior])
    def test_no_error_and_no_log_tells_a_secret(
        self, build: Build, caplog: pytest.LogCaptureFixture, misbehavior: Misbehavior | None, basic: bool
    ) -> None:
        # The registry wants another password, so that even without misbehavior there is an error.
        good = misbehavior is not None
        world, server, _ = build(access=Access(password=SECRET if good else "other", basic=basic), password=SECRET)
        _, other, _ = build()
        told = [repr(world.registry)]

        with caplog.at_level(logging.DEBUG), server.misbehaving(*filter(None, [misbehavior]), redirect_to=other.url):
            for ask in self._questions(world):
                try:
                    ask()
                except RemoteError as error:
                    told += traceback.format_exception(error)
                    told += [error.message, error.hint, repr(error)]

        assert SECRET not in "\n".join([*told, caplog.text])
        assert not any(token in "\n".join([*told, caplog.text]) for token in server.tokens)

    def _questions(self, world: World) -> tuple[Callable[[], object], ...]:
        return (
            lambda: world.registry.manifest(world.repository, IMAGE.digest),
            lambda: list(world.registry.tags(world.repository)),
            lambda: list(world.registry.versions(world.repository)),
            lambda: world.registry.metadata(world.repository, SINGLE.digest),
        )


Build = Callable[..., tuple[World, RegistryServer, FixedClock]]

__all__ = ["IMAGE", "SINGLE", "TAGS", "Bench", "ImageContent", "RegistryContract", "RegistryReading", "World", "fill"]
