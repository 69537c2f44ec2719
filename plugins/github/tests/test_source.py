"""The source github: the contract over a stateful GitHub, and what is its own."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from image_factory.errors import (
    AuthenticationRequired,
    ImageFactoryError,
    ProtocolError,
    RateLimited,
    RemoteNotFound,
    RemoteRefused,
    Unavailable,
)
from image_factory.ports import CatalogSource, ChangeProposal, FileEdit, SourceRepository
from image_factory.shell.git_program import Git
from image_factory.testing.git_server import GitServer
from image_factory.testing.github_server import GitHubServer
from image_factory.testing.source_contract import (
    FILES,
    LINKS,
    Planted,
    SourceContract,
    SourceWorld,
    plant_repository,
    proposal,
)
from image_factory_github.hosts import AppSettings, GitHubSettings, Hosts, HostSettings
from image_factory_github.source import GitHubSource

TOKEN = "ghp_t0ps3cretT0ken"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class SteadyClock:
    """A clock that stands still until it is moved."""

    instant: datetime = NOW
    slept: list[timedelta] = field(default_factory=list)

    def now(self) -> datetime:
        return self.instant

    def sleep(self, duration: timedelta) -> None:
        self.slept.append(duration)


def hosts_for(server: GitHubServer, *, is_public: bool = False, token: str | None = TOKEN) -> Hosts:
    """Return hosts where the server plays an Enterprise host, or github.com."""
    name = "github.com" if is_public else server.url
    api = server.url if is_public else None
    settings = HostSettings(token_env="PLANTED" if token else None, api_url=api)
    return Hosts(GitHubSettings(hosts={name: settings}), {"PLANTED": token} if token else {})


def read_behind(server: GitHubServer, branch: str, path: str) -> bytes | None:
    found = Git(server.repositories.path("acme/web.git")).attempt("cat-file", "blob", f"refs/heads/{branch}:{path}")
    return found.stdout if found.is_ok else None


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Planted]:
    """The planted repository, to be copied."""
    folder = tmp_path_factory.mktemp("template")
    return folder, plant_repository(GitServer(folder), "acme/web.git")


@pytest.fixture
def server(template: tuple[Path, Planted], tmp_path: Path) -> Iterator[GitHubServer]:
    shutil.copytree(template[0], tmp_path / "github")
    with GitHubServer(tmp_path / "github", token=TOKEN) as server:
        yield server


@pytest.fixture
def clock() -> SteadyClock:
    return SteadyClock()


@pytest.fixture
def source(server: GitHubServer, clock: SteadyClock) -> GitHubSource:
    return GitHubSource(hosts_for(server), clock)


@pytest.fixture
def web(server: GitHubServer) -> SourceRepository:
    return SourceRepository("github", server.url, "acme/web")


class TestEnterprise(SourceContract):
    @pytest.fixture
    def world(
        self, server: GitHubServer, source: GitHubSource, web: SourceRepository, template: tuple[Path, Planted]
    ) -> SourceWorld:
        missing = SourceRepository("github", server.url, "acme/missing")
        return SourceWorld(source, web, template[1], missing, TOKEN, read_branch=lambda *at: read_behind(server, *at))


class TestPublic(SourceContract):
    @pytest.fixture
    def world(self, server: GitHubServer, clock: SteadyClock, template: tuple[Path, Planted]) -> SourceWorld:
        source = GitHubSource(hosts_for(server, is_public=True), clock)
        web, missing = SourceRepository("github", None, "acme/web"), SourceRepository("github", None, "acme/missing")
        return SourceWorld(source, web, template[1], missing, TOKEN, read_branch=lambda *at: read_behind(server, *at))


# --- requests and answers -----------------------------------------------------------------------------------


def test_a_portal_finds_the_repository_and_its_workflow(source: GitHubSource, web: SourceRepository) -> None:
    assert isinstance(source, CatalogSource)
    assert source.catalog_annotations(web, "web.yml") == {
        "github.com/project-slug": web.path,
        "github.com/workflows": "web.yml",
    }
    assert source.catalog_annotations(web, "") == {"github.com/project-slug": web.path}


def test_a_branch_costs_one_request_and_a_file_one(
    server: GitHubServer, source: GitHubSource, web: SourceRepository
) -> None:
    revision = source.revision(web, "main")
    source.read(web, revision, "apps/web/Dockerfile")

    assert [(exchange.method, exchange.path) for exchange in server.exchanges] == [
        ("GET", "/repos/acme/web/git/ref/heads/main"),
        ("GET", "/repos/acme/web/contents/apps/web/Dockerfile"),
    ]
    assert {exchange.headers["authorization"] for exchange in server.exchanges} == {f"Bearer {TOKEN}"}
    assert {exchange.headers["x-github-api-version"] for exchange in server.exchanges} == {"2022-11-28"}


def test_a_repository_too_large_for_one_listing_is_listed_folder_by_folder(
    server: GitHubServer, source: GitHubSource, web: SourceRepository
) -> None:
    server.max_entries = 3
    revision = source.revision(web, "main")

    assert list(source.files(web, revision)) == sorted([*FILES, *LINKS])
    assert list(source.files(web, revision, "apps/web")) == ["apps/web/Dockerfile", "apps/web/run.sh"]


def test_anonymous_reading_sends_no_token(template: tuple[Path, Planted], tmp_path: Path, clock: SteadyClock) -> None:
    shutil.copytree(template[0], tmp_path / "open")
    with GitHubServer(tmp_path / "open") as server:
        source = GitHubSource(hosts_for(server, token=None), clock)
        web = SourceRepository("github", server.url, "acme/web")

        source.revision(web, "main")

        assert source.credentials(web) is None
        assert "authorization" not in server.exchanges[0].headers


def test_a_refusal_that_repeats_the_request_shows_no_token(
    server: GitHubServer, source: GitHubSource, web: SourceRepository
) -> None:
    server.trouble(403, {"message": f"not allowed by the proxy: Authorization: Bearer {TOKEN}"})

    with pytest.raises(AuthenticationRequired, match=r"Bearer \*\*\*") as raised:
        source.revision(web, "main")

    assert TOKEN not in str(raised.value)


def test_the_token_of_one_host_is_not_sent_to_another(template: tuple[Path, Planted], tmp_path: Path) -> None:
    shutil.copytree(template[0], tmp_path / "open")
    with GitHubServer(tmp_path / "open") as server:
        environment = {"GITHUB_TOKEN": TOKEN, "GH_TOKEN": TOKEN, "GH_ENTERPRISE_TOKEN": TOKEN}
        source = GitHubSource(Hosts(GitHubSettings(), environment), SteadyClock())
        web = SourceRepository("github", server.url, "acme/web")

        source.revision(web, "main")

        assert source.credentials(web) is None
        assert "authorization" not in server.exchanges[0].headers


def test_an_app_gets_a_token_of_its_installation_and_a_new_one_before_that_expires(
    server: GitHubServer, web: SourceRepository, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(pem)
    app = AppSettings(app_id=7, installation_id=42, private_key_file=str(tmp_path / "key.pem"))
    clock = SteadyClock(datetime.now(UTC))
    source = GitHubSource(Hosts(GitHubSettings(hosts={server.url: HostSettings(app=app)}), {}), clock)

    source.revision(web, "main")
    source.revision(web, "main")
    clock.instant += timedelta(minutes=59)
    source.revision(web, "main")

    paths = [exchange.path for exchange in server.exchanges]
    assert paths.count("/app/installations/42/access_tokens") == 2
    given = [exchange.headers["authorization"].split()[1] for exchange in server.exchanges if "/repos" in exchange.path]
    assert given[0] == given[1] != given[2]
    assert all(token.startswith("ghs_") for token in given)
    credentials = source.credentials(web)
    assert credentials is not None
    assert credentials.password.startswith("ghs_")
    assert "ghs_" not in caplog.text


# --- refusals -------------------------------------------------------------------------------------------------

RESET = str(int((NOW + timedelta(minutes=20)).timestamp()))


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind"),
    [
        pytest.param(401, {"message": "Bad credentials"}, {}, AuthenticationRequired, id="401"),
        pytest.param(
            403, {"message": "Resource not accessible by integration"}, {}, AuthenticationRequired, id="403, forbidden"
        ),
        pytest.param(404, {"message": "Not Found"}, {}, RemoteNotFound, id="404"),
        pytest.param(409, {"message": "Git Repository is empty."}, {}, RemoteRefused, id="409"),
        pytest.param(422, {"message": "Validation Failed"}, {}, RemoteRefused, id="422"),
        pytest.param(451, {"message": "Blocked"}, {}, ProtocolError, id="451"),
        pytest.param(500, {"message": "Server Error"}, {}, Unavailable, id="500"),
        pytest.param(503, b"<html>down</html>", {"Content-Type": "text/html"}, Unavailable, id="503 with HTML"),
        pytest.param(302, b"", {"Location": "https://evil.example.com/"}, RemoteRefused, id="302 elsewhere"),
        pytest.param(301, b"", {"Location": "https://evil.example.com/"}, ProtocolError, id="301 elsewhere"),
        pytest.param(202, b"{}", {}, Unavailable, id="202, for ever"),
        pytest.param(200, b"<html>hello</html>", {}, ProtocolError, id="200 with HTML"),
        pytest.param(200, b"[" * 100_000, {}, ProtocolError, id="200 with deep JSON"),
        pytest.param(200, {"type": "file"}, {}, ProtocolError, id="200 with half an answer"),
        pytest.param(200, b"null", {}, ProtocolError, id="200 with nothing"),
        pytest.param(200, {"type": "file", "encoding": "base64", "content": "!"}, {}, ProtocolError, id="bad base64"),
        pytest.param(
            200, {"type": "file", "encoding": "base64", "content": "YQ==", "size": 9}, {}, ProtocolError, id="cut off"
        ),
        pytest.param(200, {"type": "file", "size": 10**9}, {}, ProtocolError, id="a huge file"),
    ],
)
def test_every_failure_is_one_of_our_errors_with_what_to_do(
    server: GitHubServer,
    source: GitHubSource,
    web: SourceRepository,
    status: int,
    body: bytes | dict[str, object],
    headers: dict[str, str],
    kind: type[ImageFactoryError],
) -> None:
    server.trouble(status, body, headers=headers, times=99)

    with pytest.raises(kind) as caught:
        source.read(web, "1" * 40, "Dockerfile")

    assert type(caught.value) is kind
    assert caught.value.hint
    assert TOKEN not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"


@pytest.mark.parametrize(
    ("status", "message", "headers", "expected"),
    [
        pytest.param(
            403,
            "API rate limit exceeded",
            {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": RESET},
            1200,
            id="primary",
        ),
        pytest.param(429, "slow down", {"Retry-After": "30"}, 30, id="seconds"),
        pytest.param(429, "slow", {"Retry-After": "Thu, 01 Jan 2026 00:00:45 GMT"}, 45, id="a date"),
        pytest.param(403, "You have exceeded a secondary rate limit", {}, 60, id="secondary, without a word"),
        pytest.param(403, "You have exceeded a secondary rate limit", {"Retry-After": "90"}, 90, id="secondary"),
        pytest.param(429, "slow", {"Retry-After": "999999999"}, 7200, id="beyond belief"),
        pytest.param(429, "slow", {"Retry-After": "soon"}, 60, id="not a time"),
        pytest.param(429, "slow", {"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 1, id="a past date"),
    ],
)
def test_a_rate_limit_says_how_long_and_nothing_is_asked_before(
    server: GitHubServer,
    source: GitHubSource,
    web: SourceRepository,
    clock: SteadyClock,
    status: int,
    message: str,
    headers: dict[str, str],
    expected: int,
) -> None:
    server.trouble(status, {"message": message}, headers=headers)

    with pytest.raises(RateLimited) as caught:
        source.revision(web, "main")
    with pytest.raises(RateLimited):
        source.revision(web, "main")
    asked_while_blocked = len(server.exchanges)
    clock.instant += timedelta(seconds=expected)
    source.revision(web, "main")

    assert caught.value.retry_after == timedelta(seconds=expected)
    assert asked_while_blocked == 0
    assert clock.slept == []


def test_a_gateway_that_stumbles_is_asked_again(
    server: GitHubServer, source: GitHubSource, web: SourceRepository, template: tuple[Path, Planted]
) -> None:
    server.trouble(502, b"bad gateway", times=2)

    assert source.revision(web, "main") == template[1].head


def test_a_host_that_is_gone_is_unavailable(server: GitHubServer, clock: SteadyClock, tmp_path: Path) -> None:
    with GitHubServer(tmp_path / "gone") as gone:
        hosts, web = hosts_for(gone), SourceRepository("github", gone.url, "acme/web")

    with pytest.raises(Unavailable):
        GitHubSource(hosts, clock).revision(web, "main")


def test_an_endless_body_is_cut_off(
    server: GitHubServer, source: GitHubSource, web: SourceRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("image_factory_github.client.MAX_ANSWER", 1_000_000)
    server.trouble(200, b" " * 2_000_000)

    with pytest.raises(ProtocolError, match="larger than"):
        source.revision(web, "main")


def test_a_redirect_in_a_circle_ends(server: GitHubServer, source: GitHubSource, web: SourceRepository) -> None:
    for at in ("a", "b"):
        location = f"{server.url}/api/v3/repos/acme/{at}"
        server.trouble(301, b"", headers={"Location": location}, times=50)

    with pytest.raises(ImageFactoryError):
        source.revision(web, "main")


def test_a_page_that_leads_elsewhere_is_not_followed(
    server: GitHubServer, source: GitHubSource, web: SourceRepository
) -> None:
    elsewhere = '<https://evil.example.com/repos/acme/web/branches?page=2>; rel="next"'
    entry = {"name": "one", "commit": {"sha": "1" * 40}}
    server.trouble(200, json.dumps([entry]).encode(), headers={"Link": elsewhere}, matches="branches.*page=1")

    references = source.references(web)

    assert references["refs/heads/one"] == "1" * 40


# --- change requests ------------------------------------------------------------------------------------------


def test_a_program_stays_a_program(server: GitHubServer, source: GitHubSource, web: SourceRepository) -> None:
    edit = FileEdit("apps/web/run.sh", b"#!/bin/sh\nexit 1\n")

    source.open_change_request(web, ChangeProposal("image-factory/x", "main", "T", "", "M", (edit,)))

    listed = Git(server.repositories.path("acme/web.git")).attempt("ls-tree", "image-factory/x", "apps/web/run.sh")
    assert listed.text().startswith("100755 ")


def test_the_branch_is_removed_where_the_pull_request_is_refused(
    server: GitHubServer, source: GitHubSource, web: SourceRepository
) -> None:
    server.trouble(403, {"message": "Resource not accessible"}, matches="POST .*/pulls")

    with pytest.raises(AuthenticationRequired):
        source.open_change_request(web, proposal())

    assert "refs/heads/image-factory/web-1" not in source.references(web)


def test_what_a_crash_left_behind_is_taken_up(
    server: GitHubServer, source: GitHubSource, web: SourceRepository
) -> None:
    server.trouble(500, matches="POST .*/pulls")
    server.trouble(500, matches="DELETE")
    with pytest.raises(Unavailable):
        source.open_change_request(web, proposal())
    assert "refs/heads/image-factory/web-1" in source.references(web)

    opened = source.open_change_request(web, proposal())

    assert opened.number == 1


def test_a_branch_with_other_work_is_left_alone(
    server: GitHubServer, source: GitHubSource, web: SourceRepository
) -> None:
    theirs = server.repositories.commit("acme/web.git", {"theirs": "1"}, "Their work", branch="image-factory/web-1")

    with pytest.raises(RemoteRefused, match="other work"):
        source.open_change_request(web, proposal())

    assert source.revision(web, "image-factory/web-1") == theirs


def test_a_change_that_changes_nothing_is_refused_and_leaves_no_branch(
    source: GitHubSource, web: SourceRepository
) -> None:
    same = FileEdit("Dockerfile", FILES["Dockerfile"])

    with pytest.raises(RemoteRefused, match="changes nothing"):
        source.open_change_request(web, ChangeProposal("image-factory/x", "main", "T", "", "M", (same,)))

    assert "refs/heads/image-factory/x" not in source.references(web)


def test_threads_share_one_source(source: GitHubSource, web: SourceRepository, template: tuple[Path, Planted]) -> None:
    paths = sorted(set(FILES) - {"large.bin"}) * 4

    with ThreadPoolExecutor(8) as pool:
        contents = list(pool.map(lambda path: source.read(web, template[1].head, path), paths))

    assert contents == [FILES[path] for path in paths]
