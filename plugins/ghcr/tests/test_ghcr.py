"""ghcr.io, held to the contract of registries; its versions; whose token it takes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from image_factory.errors import ProtocolError, RateLimited
from image_factory.model.settings import RegistrySettings, Settings
from image_factory.oci.reference import Repository, Tag
from image_factory.ports import Credentials, HttpRequest, HttpResponse, Registry, WebhookReceiver
from image_factory.shell.http import HttpClient
from image_factory.testing.clock import FixedClock
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


@pytest.mark.parametrize(("password", "asked"), [(None, 0), (SECRET, 2)], ids=["without a token", "what it cannot see"])
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
