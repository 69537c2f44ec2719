"""ghcr.io, held to the contract of registries; its versions; whose token it takes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from image_factory.errors import ProtocolError, RateLimited
from image_factory.model.settings import RegistrySettings, Settings
from image_factory.oci.reference import Repository, Tag
from image_factory.ports import Credentials, HttpRequest, HttpResponse, Registry, Version, WebhookReceiver
from image_factory.shell.http import HttpClient
from image_factory.testing.clock import FixedClock
from image_factory.testing.github_openapi import Description, find_description
from image_factory.testing.packages_server import PackagesServer
from image_factory.testing.registry_contract import Bench, RegistryContract
from image_factory.testing.registry_server import Access, RegistryServer
from image_factory_ghcr import Ghcr, credentials_for

SECRET = "planted-secret-31"
WEB = Repository("ghcr.io", "acme/team/web")
OLD, NEW = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


class TestGhcr(RegistryContract):
    host = "ghcr.io"

    def make(self, bench: Bench) -> Registry:
        return Ghcr(bench.settings, bench.http, bench.clock, bench.credentials)

    def settings(self, server: RegistryServer) -> Settings:
        return Settings(
            registries={"ghcr.io": RegistrySettings(endpoint=server.url)},
            plugins={"ghcr": {"api": server.url}},
        )


class Fake:
    """An `Http` that answers from a table (status, body, headers) and remembers what it was asked."""

    def __init__(self, answers: dict[str, tuple[int, object, dict[str, str]]]) -> None:
        self.answers = answers
        self.requests: list[HttpRequest] = []

    def send(self, request: HttpRequest, *, max_bytes: int = 0) -> HttpResponse:
        self.requests.append(request)
        status, body, headers = self.answers.get(request.url, (404, {}, {}))
        return HttpResponse(status, headers, json.dumps(body).encode(), request.url)


def versions_url(owners: str) -> str:
    return f"https://api.github.com/{owners}/acme/packages/container/team%2Fweb/versions?per_page=100"


def ghcr(fake: Fake, password: str | None = SECRET) -> Ghcr:
    found = None if password is None else Credentials("token", password)
    return Ghcr(Settings(), fake, FixedClock(), lambda _: found)


def entry(digest: str, *tags: str, day: int = 1) -> dict[str, object]:
    return {"name": digest, "created_at": f"2026-02-0{day}T10:00:00Z", "metadata": {"container": {"tags": tags}}}


def test_it_claims_ghcr_alone() -> None:
    registry = ghcr(Fake({}))

    assert registry.claims(WEB)
    assert not registry.claims(Repository("docker.io", "acme/web"))
    assert not registry.claims(Repository("ghcr.io.evil.example", "acme/web"))


@pytest.mark.parametrize("owners", ["orgs", "users"])
def test_versions_come_from_the_packages_of_organizations_and_users(owners: str) -> None:
    fake = Fake({versions_url(owners): (200, [entry(NEW, "2", "latest", day=2), entry(OLD, "1"), entry(OLD)], {})})

    found = list(ghcr(fake).versions(WEB))

    assert [(version.tag, str(version.digest)) for version in found] == [("2", NEW), ("latest", NEW), ("1", OLD)]
    assert found[0].published_at == datetime(2026, 2, 2, 10, tzinfo=UTC)


def test_versions_come_from_every_page() -> None:
    first, second = versions_url("orgs"), f"{versions_url('orgs')}&page=2"
    link = {"link": f'<{second}>; rel="next", <{second}>; rel="last"'}
    fake = Fake({first: (200, [entry(NEW, "2")], link), second: (200, [entry(OLD, "1")], {})})

    assert [version.tag for version in ghcr(fake).versions(WEB)] == ["2", "1"]


@pytest.mark.parametrize(
    ("link", "message"),
    [('<https://evil.example/x>; rel="next"', "another host"), (f'<{versions_url("orgs")}>; rel="next"', "circle")],
)
def test_a_next_page_elsewhere_or_in_a_circle_is_not_asked_for(link: str, message: str) -> None:
    fake = Fake({versions_url("orgs"): (200, [], {"link": link})})

    with pytest.raises(ProtocolError, match=message):
        list(ghcr(fake).versions(WEB))

    assert len(fake.requests) == 1


@pytest.mark.parametrize("body", [{"message": "x"}, "x", 5, [5], None])
def test_what_is_no_list_of_versions_is_refused(body: object) -> None:
    with pytest.raises(ProtocolError):
        list(ghcr(Fake({versions_url("orgs"): (200, body, {})})).versions(WEB))


@pytest.mark.parametrize(
    "strange",
    [
        {},
        {"name": 5, "metadata": 5},
        {"name": NEW, "metadata": {"container": 5}},
        entry(NEW, "../x"),
        {"metadata": None},
    ],
)
def test_a_strange_version_hides_no_other(strange: object) -> None:
    fake = Fake({versions_url("orgs"): (200, [strange, entry(OLD, "1")], {})})

    assert [version.tag for version in ghcr(fake).versions(WEB)] == ["1"]


def test_a_limit_of_the_api_is_told_and_not_hidden_by_tags() -> None:
    fake = Fake({versions_url("orgs"): (429, {}, {"retry-after": "60"})})

    with pytest.raises(RateLimited):
        list(ghcr(fake).versions(WEB))


@pytest.mark.parametrize(("password", "asked"), [(None, 0), (SECRET, 3)], ids=["without a token", "what it cannot see"])
def test_without_the_api_there_are_the_tags(password: str | None, asked: int) -> None:
    clock = FixedClock()
    with RegistryServer(access=Access(password=SECRET, anonymous=True), clock=clock) as server:
        server.push_image("acme/team/web", ["1", "2"])
        settings = Settings(
            registries={"ghcr.io": RegistrySettings(endpoint=server.url)}, plugins={"ghcr": {"api": server.url}}
        )
        found = None if password is None else Credentials("robot", password)
        with HttpClient(settings, clock) as http:
            versions = list(Ghcr(settings, http, clock, lambda _: found).versions(WEB))

        assert [(version.tag, version.digest) for version in versions] == [("1", None), ("2", None)]
        assert server.count(containing="packages/container") == asked


def test_the_api_is_shown_the_token_and_nobody_else_is() -> None:
    fake = Fake({versions_url("orgs"): (200, [], {})})

    list(ghcr(fake).versions(WEB))

    assert fake.requests[0].headers["Authorization"] == f"Bearer {SECRET}"
    assert SECRET not in repr(fake.requests)


def test_a_jobs_token_that_is_not_good_here_leaves_public_images_readable() -> None:
    clock = FixedClock()
    with RegistryServer(access=Access(password="another", anonymous=True), clock=clock) as server:
        digest = server.push_image("acme/web", "1")
        settings = Settings(registries={"ghcr.io": RegistrySettings(endpoint=server.url)})
        with HttpClient(settings, clock) as http:
            registry = Ghcr(settings, http, clock, lambda _: Credentials("token", SECRET))

            assert registry.resolve(Tag(Repository("ghcr.io", "acme/web"), "1")) == digest


@pytest.mark.parametrize("variable", ["GITHUB_TOKEN", "GH_TOKEN"])
def test_the_environments_token_is_for_ghcr_alone(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    for name in ("GITHUB_TOKEN", "GH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    assert credentials_for(WEB, Settings()) is None

    monkeypatch.setenv(variable, SECRET)

    assert credentials_for(WEB, Settings()) == Credentials("token", SECRET)
    assert credentials_for(Repository("docker.io", "acme/web"), Settings()) is None
    assert credentials_for(Repository("ghcr.io.evil.example", "acme/web"), Settings()) is None


def test_a_login_goes_before_the_environments_token() -> None:
    marks: Any = credentials_for

    assert marks.image_factory_impl["trylast"] is True


def test_people_look_at_its_pages_and_kargo_is_told_by_github() -> None:
    registry = ghcr(Fake({}))

    assert registry.web_url(WEB, "1") == "https://ghcr.io/acme/team/web"
    assert registry.webhook_receiver() == WebhookReceiver("github", "secret")
    assert registry.rate_profile(WEB) is None


# --- against a stateful Packages API -------------------------------------------------------------------


def asked(server: PackagesServer, path: str, password: str | None = SECRET) -> list[Version]:
    settings = Settings(plugins={"ghcr": {"api": server.origin}})
    found = None if password is None else Credentials("token", password)
    with HttpClient(settings, FixedClock()) as http:
        return list(Ghcr(settings, http, FixedClock(), lambda _: found).versions(Repository("ghcr.io", path)))


@pytest.mark.parametrize(
    ("organizations", "is_private"),
    [(frozenset({"acme"}), True), (frozenset(), False), (frozenset(), True)],
    ids=["an organization's", "a user's", "a user's own, private"],
)
def test_every_tag_of_every_version_has_digest_date_and_page(organizations: frozenset[str], is_private: bool) -> None:
    with PackagesServer(SECRET, login="acme", organizations=organizations, page_size=2) as server:
        server.publish("acme/team/web", OLD, "1.0.0", "latest", is_private=is_private)
        server.publish("acme/team/web", f"sha256:{'c' * 64}", is_private=is_private)
        last = server.publish("acme/team/web", NEW, "1.0.1", "latest", is_private=is_private)

        found = asked(server, "acme/team/web")

    assert [(version.tag, str(version.digest)) for version in found] == [
        ("1.0.1", NEW),
        ("latest", NEW),
        ("1.0.0", OLD),
    ]
    assert [version.published_at for version in found] == [
        datetime(2026, 1, 3, tzinfo=UTC),
        datetime(2026, 1, 3, tzinfo=UTC),
        datetime(2026, 1, 1, tzinfo=UTC),
    ]
    kind = "orgs" if organizations else "users"
    assert found[0].url == f"https://github.com/{kind}/acme/packages/container/team%2Fweb/{last.id}"


def test_a_package_of_the_tokens_user_is_not_taken_for_anothers_of_that_name() -> None:
    clock = FixedClock()
    with PackagesServer(SECRET, login="robot") as server, RegistryServer(clock=clock) as registry:
        server.publish("robot/web", OLD, "robots-own")
        registry.push_image("acme/web", "1.0.0")
        settings = Settings(
            registries={"ghcr.io": RegistrySettings(endpoint=registry.url)}, plugins={"ghcr": {"api": server.origin}}
        )
        with HttpClient(settings, clock) as http:
            ghcr = Ghcr(settings, http, clock, lambda _: Credentials("token", SECRET))
            found = list(ghcr.versions(Repository("ghcr.io", "acme/web")))

    assert [version.tag for version in found] == ["1.0.0"]


def test_where_an_owners_packages_are_is_looked_for_once() -> None:
    with PackagesServer(SECRET) as server:
        for name in ("web", "api"):
            server.publish(f"acme/{name}", OLD, "1.0.0")
        settings = Settings(plugins={"ghcr": {"api": server.origin}})
        with HttpClient(settings, FixedClock()) as http:
            ghcr = Ghcr(settings, http, FixedClock(), lambda _: Credentials("token", SECRET))
            for name in ("web", "api"):
                assert len(list(ghcr.versions(Repository("ghcr.io", f"acme/{name}")))) == 1

        assert [exchange.request.path.split("/")[1] for exchange in server.exchanges] == ["orgs", "users", "users"]


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1772370000"}),
        (429, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1772370000"}),
        (403, {"retry-after": "3600"}),
    ],
)
def test_githubs_limits_are_told_with_when_to_ask_again(status: int, headers: dict[str, str]) -> None:
    with PackagesServer(SECRET) as server:
        server.trouble(status, {"message": f"API rate limit exceeded {SECRET}"}, headers=headers, times=9)

        with pytest.raises(RateLimited) as caught:
            asked(server, "acme/web")

    assert caught.value.retry_after == timedelta(hours=1)
    assert SECRET not in f"{caught.value!r} {caught.value} {caught.value.hint}"


@pytest.mark.parametrize("url", ["javascript:alert(1)", "http://github.com/x", "https://github.com/\x1b[2J", 5, None])
def test_what_is_no_page_is_not_shown_as_one(url: object) -> None:
    fake = Fake({versions_url("orgs"): (200, [entry(OLD, "1") | {"html_url": url}], {})})

    assert [version.url for version in ghcr(fake).versions(WEB)] == [None]


def test_all_that_is_asked_and_answered_is_as_github_publishes_it() -> None:
    path, reason = find_description()
    if path is None:
        pytest.skip(reason)
    description = Description(path)
    with PackagesServer(SECRET, login="ann", organizations=frozenset({"acme"}), page_size=1) as server:
        for name in ("acme/team/web", "bob/web"):
            server.publish(name, OLD, "1.0.0")
            server.publish(name, NEW, "1.0.1")
        server.publish("ann/web", OLD, "1.0.0", is_private=True)
        for name in ("acme/team/web", "bob/web", "ann/web"):
            asked(server, name)
        told = list(server.exchanges)

    problems = [problem for exchange in told for problem in description.problems(exchange)]
    # Of a user's packages the description names no pages, although GitHub gives them in pages there too.
    undescribed = [f"/users/{user}/packages/container/web/versions: no such parameter: p" for user in ("ann", "bob")]
    assert [problem for problem in problems if not any(known in problem for known in undescribed)] == []
    assert {exchange.status for exchange in told} == {200, 404}


def test_with_a_mirror_nothing_but_the_mirror_is_asked_unless_the_settings_say_so() -> None:
    settings = Settings(registries={"ghcr.io": RegistrySettings(endpoint="https://mirror.example")})
    fake = Fake({"https://mirror.example/v2/acme/team/web/tags/list?n=1000": (200, {"tags": ["1"]}, {})})

    found = list(Ghcr(settings, fake, FixedClock(), lambda _: Credentials("token", SECRET)).versions(WEB))

    assert found == [Version("1")]
    assert {request.url.split("/")[2] for request in fake.requests} == {"mirror.example"}
