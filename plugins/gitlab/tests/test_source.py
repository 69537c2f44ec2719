"""The source gitlab: the contract over a stateful GitLab, and what is its own."""

from __future__ import annotations

import base64
import logging
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

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
from image_factory.testing.gitlab_server import GitLabServer, MergeRequest
from image_factory.testing.source_contract import (
    FILES,
    Planted,
    SourceContract,
    SourceWorld,
    plant_repository,
    proposal,
)
from image_factory_gitlab.hosts import GitLabSettings, Hosts, HostSettings, TokenKind
from image_factory_gitlab.source import GitLabSource

TOKEN = "glpat-t0ps3cretT0ken"
JOB_TOKEN = "glcbt-t0ps3cretJ0b"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROJECT = "acme/platform/web"


@dataclass
class SteadyClock:
    """A clock that stands still until it is moved."""

    instant: datetime = NOW
    slept: list[timedelta] = field(default_factory=list)

    def now(self) -> datetime:
        return self.instant

    def sleep(self, duration: timedelta) -> None:
        self.slept.append(duration)


def hosts_for(server: GitLabServer, *, token: str | None = TOKEN, kind: TokenKind = TokenKind.ACCESS) -> Hosts:
    settings = HostSettings(token_env="PLANTED" if token else None, token_kind=kind)
    return Hosts(GitLabSettings(hosts={server.url: settings}), {"PLANTED": token} if token else {})


def read_behind(server: GitLabServer, branch: str, path: str) -> bytes | None:
    git = Git(server.repositories.path(f"{PROJECT}.git"))
    found = git.attempt("cat-file", "blob", f"refs/heads/{branch}:{path}")
    return found.stdout if found.is_ok else None


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Planted]:
    """The planted repository, to be copied."""
    folder = tmp_path_factory.mktemp("template")
    return folder, plant_repository(GitServer(folder), f"{PROJECT}.git")


@pytest.fixture
def server(template: tuple[Path, Planted], tmp_path: Path) -> Iterator[GitLabServer]:
    shutil.copytree(template[0], tmp_path / "gitlab")
    with GitLabServer(tmp_path / "gitlab", token=TOKEN, job_token=JOB_TOKEN) as server:
        yield server


@pytest.fixture
def clock() -> SteadyClock:
    return SteadyClock()


@pytest.fixture
def source(server: GitLabServer, clock: SteadyClock) -> GitLabSource:
    return GitLabSource(hosts_for(server), clock)


@pytest.fixture
def web(server: GitLabServer) -> SourceRepository:
    return SourceRepository("gitlab", server.url, PROJECT)


class TestGitLab(SourceContract):
    @pytest.fixture
    def world(
        self, server: GitLabServer, source: GitLabSource, web: SourceRepository, template: tuple[Path, Planted]
    ) -> SourceWorld:
        missing = SourceRepository("gitlab", server.url, "acme/missing")
        return SourceWorld(source, web, template[1], missing, TOKEN, read_branch=lambda *at: read_behind(server, *at))


class TestBelowAPath(SourceContract):
    @pytest.fixture
    def world(self, template: tuple[Path, Planted], tmp_path: Path, clock: SteadyClock) -> Iterator[SourceWorld]:
        shutil.copytree(template[0], tmp_path / "gitlab")
        with GitLabServer(tmp_path / "gitlab", token=TOKEN, below="/dev/gitlab") as server:
            source = GitLabSource(hosts_for(server, kind=TokenKind.OAUTH), clock)
            web = SourceRepository("gitlab", server.url, PROJECT)
            missing = SourceRepository("gitlab", server.url, "acme/missing")
            yield SourceWorld(
                source, web, template[1], missing, TOKEN, read_branch=lambda *at: read_behind(server, *at)
            )


# --- requests and answers -----------------------------------------------------------------------------------


def test_a_branch_costs_one_request_and_a_file_one(
    server: GitLabServer, source: GitLabSource, web: SourceRepository
) -> None:
    revision = source.revision(web, "main")
    source.read(web, revision, "apps/web/Dockerfile")

    assert [exchange.request.path for exchange in server.exchanges] == [
        "/api/v4/projects/acme%2Fplatform%2Fweb/repository/branches/main",
        "/api/v4/projects/acme%2Fplatform%2Fweb/repository/files/apps%2Fweb%2FDockerfile/raw",
    ]


@pytest.mark.parametrize(
    ("kind", "header", "value"),
    [
        (TokenKind.ACCESS, "private-token", TOKEN),
        (TokenKind.JOB, "job-token", TOKEN),
        (TokenKind.OAUTH, "authorization", f"Bearer {TOKEN}"),
    ],
)
def test_each_kind_of_token_has_its_header(
    template: tuple[Path, Planted], tmp_path: Path, kind: TokenKind, header: str, value: str
) -> None:
    shutil.copytree(template[0], tmp_path / "open")
    with GitLabServer(tmp_path / "open") as server:
        source = GitLabSource(hosts_for(server, kind=kind), SteadyClock())

        source.read(SourceRepository("gitlab", server.url, PROJECT), template[1].head, "Dockerfile")

    headers = server.exchanges[0].request.headers
    sent = {name: headers[name] for name in ("private-token", "job-token", "authorization") if name in headers}
    assert sent == {header: value}


def test_a_job_s_token_finds_revisions_reads_files_and_clones(
    server: GitLabServer, template: tuple[Path, Planted]
) -> None:
    source = GitLabSource(hosts_for(server, token=JOB_TOKEN, kind=TokenKind.JOB), SteadyClock())
    web = SourceRepository("gitlab", server.url, PROJECT)

    planted = template[1]
    wanted = {"main": planted.head, "both": planted.head, "v1-annotated": planted.first, "HEAD": planted.head}
    wanted |= {"refs/tags/both": planted.first, planted.first: planted.first}
    assert {ref: source.revision(web, ref) for ref in wanted} == wanted
    assert source.references(web)["refs/tags/v1-annotated"] == planted.first
    assert "HEAD" not in source.references(web)
    with pytest.raises(RemoteNotFound):
        source.revision(web, "no-such-branch")
    assert source.read(web, planted.head, "Dockerfile") == FILES["Dockerfile"]
    with pytest.raises(RemoteNotFound) as caught:
        source.files(web, planted.head)
    assert "GITLAB_TOKEN" in caught.value.hint
    credentials = source.credentials(web)
    assert credentials is not None
    assert (credentials.username, credentials.password) == ("gitlab-ci-token", JOB_TOKEN)
    git = Git(None, ("http",), credentials, source.clone_url(web))
    assert template[1].head in git.run("ls-remote", source.clone_url(web), "main", doing="cannot list").text()


def test_a_clone_takes_the_credentials_of_the_source(
    server: GitLabServer, source: GitLabSource, web: SourceRepository, template: tuple[Path, Planted]
) -> None:
    credentials, url = source.credentials(web), source.clone_url(web)

    assert credentials is not None
    assert credentials.username == "oauth2"
    git = Git(None, ("http",), credentials, url)
    assert template[1].head in git.run("ls-remote", url, "main", doing="cannot list").text()


def test_the_token_of_one_host_is_not_sent_to_another(template: tuple[Path, Planted], tmp_path: Path) -> None:
    shutil.copytree(template[0], tmp_path / "open")
    with GitLabServer(tmp_path / "open") as server:
        environment = {"GITLAB_TOKEN": TOKEN, "CI_JOB_TOKEN": TOKEN, "GITLAB_TRIGGER_TOKEN": TOKEN}
        source = GitLabSource(Hosts(GitLabSettings(), environment), SteadyClock())
        web = SourceRepository("gitlab", server.url, PROJECT)

        source.revision(web, "main")

        assert source.credentials(web) is None
        assert TOKEN not in str(server.exchanges[0].request.headers)


def test_a_password_in_netrc_is_not_sent(
    template: tuple[Path, Planted], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login me password s3cret\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    shutil.copytree(template[0], tmp_path / "open")
    with GitLabServer(tmp_path / "open") as server:
        source = GitLabSource(hosts_for(server, token=None), SteadyClock())

        source.revision(SourceRepository("gitlab", server.url, PROJECT), "main")

    assert "authorization" not in server.exchanges[0].request.headers


# --- refusals -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind"),
    [
        pytest.param(400, {"error": "ref is missing"}, {}, RemoteRefused, id="400"),
        pytest.param(401, {"message": "401 Unauthorized"}, {}, AuthenticationRequired, id="401"),
        pytest.param(403, {"error": "insufficient_scope"}, {}, AuthenticationRequired, id="403, scope"),
        pytest.param(403, b"Forbidden\n", {"Content-Type": "text/plain"}, AuthenticationRequired, id="403, text"),
        pytest.param(404, {"message": "404 Commit Not Found"}, {}, RemoteNotFound, id="404"),
        pytest.param(409, {"message": ["taken"]}, {}, RemoteRefused, id="409"),
        pytest.param(422, {"message": {"base": ["no"]}}, {}, RemoteRefused, id="422"),
        pytest.param(429, b"Retry later\n", {"Content-Type": "text/plain"}, RateLimited, id="429"),
        pytest.param(451, {"message": "Blocked"}, {}, ProtocolError, id="451"),
        pytest.param(500, {"message": "500 Internal Server Error"}, {}, Unavailable, id="500"),
        pytest.param(503, b"<html>down</html>", {"Content-Type": "text/html"}, Unavailable, id="503 with HTML"),
        pytest.param(302, b"", {"Location": "https://evil.example.com/"}, RemoteRefused, id="302 elsewhere"),
    ],
)
def test_every_failure_is_one_of_our_errors_with_what_to_do(
    server: GitLabServer,
    source: GitLabSource,
    web: SourceRepository,
    clock: SteadyClock,
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
    assert clock.slept == []


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"[" * 100_000, b"null", b"[]", b'{"commit": {"id": "x"}}'])
def test_an_answer_that_is_no_branch_is_an_error(
    server: GitLabServer, source: GitLabSource, web: SourceRepository, body: bytes
) -> None:
    server.trouble(200, body)

    with pytest.raises(ProtocolError) as caught:
        source.revision(web, "main")

    assert caught.value.hint


@pytest.mark.parametrize("body", [b"{}", b"[7]", b'[{"path": "a"}]', b"nothing"])
def test_an_answer_that_is_no_listing_is_an_error(
    server: GitLabServer, source: GitLabSource, web: SourceRepository, body: bytes
) -> None:
    server.trouble(200, body)

    with pytest.raises(ProtocolError):
        source.files(web, "1" * 40)


def test_a_token_that_an_answer_repeats_is_not_shown(
    server: GitLabServer, source: GitLabSource, web: SourceRepository, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.trouble(422, {"message": f"you said {TOKEN}"})

    with pytest.raises(RemoteRefused, match="you said") as caught:
        source.revision(web, "main")

    assert TOKEN not in f"{caught.value} {caught.value.__context__!r} {caplog.text}"


RESET = str(int((NOW + timedelta(minutes=20)).timestamp()))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({"RateLimit-Remaining": "0", "RateLimit-Reset": RESET}, 1200, id="reset"),
        pytest.param({"Retry-After": "30", "RateLimit-Reset": RESET}, 30, id="seconds"),
        pytest.param({"Retry-After": "Thu, 01 Jan 2026 00:00:45 GMT"}, 45, id="a date"),
        pytest.param({}, 60, id="without a word"),
        pytest.param({"Retry-After": "999999999"}, 7200, id="beyond belief"),
        pytest.param({"Retry-After": "soon"}, 60, id="not a time"),
        pytest.param({"RateLimit-Reset": "1"}, 1, id="a past instant"),
    ],
)
def test_a_rate_limit_says_how_long_and_nothing_is_asked_before(
    server: GitLabServer,
    source: GitLabSource,
    web: SourceRepository,
    clock: SteadyClock,
    headers: dict[str, str],
    expected: int,
) -> None:
    server.trouble(429, {"message": "429 Too Many Requests"}, headers=headers)

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
    server: GitLabServer, source: GitLabSource, web: SourceRepository, template: tuple[Path, Planted]
) -> None:
    server.trouble(502, b"bad gateway", times=2)

    assert source.revision(web, "main") == template[1].head


def test_a_host_that_is_gone_is_unavailable(clock: SteadyClock, tmp_path: Path) -> None:
    with GitLabServer(tmp_path / "gone") as gone:
        hosts, web = hosts_for(gone), SourceRepository("gitlab", gone.url, PROJECT)

    with pytest.raises(Unavailable):
        GitLabSource(hosts, clock).revision(web, "main")


def test_an_endless_body_is_cut_off(
    server: GitLabServer, source: GitLabSource, web: SourceRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("image_factory_gitlab.client.MAX_ANSWER", 1_000_000)
    server.trouble(200, b" " * 2_000_000)

    with pytest.raises(ProtocolError, match="larger than"):
        source.revision(web, "main")


def test_a_file_that_is_cut_off_is_an_error(server: GitLabServer, source: GitLabSource, web: SourceRepository) -> None:
    server.trouble(200, b"FROM alp", headers={"X-Gitlab-Size": "17"})

    with pytest.raises(ProtocolError, match="another size"):
        source.read(web, "1" * 40, "Dockerfile")


def test_pages_that_run_in_a_circle_end(server: GitLabServer, source: GitLabSource, web: SourceRepository) -> None:
    link = {"Link": '<https://evil.example.com/x?page_token=again>; rel="next"'}
    server.trouble(200, b'[{"path": "a", "mode": "100644", "type": "blob"}]', headers=link, times=9)

    with pytest.raises(ProtocolError, match="circle"):
        source.files(web, "1" * 40)


def test_a_page_that_leads_elsewhere_is_not_followed(
    server: GitLabServer, source: GitLabSource, web: SourceRepository, template: tuple[Path, Planted]
) -> None:
    link = {"Link": '<https://evil.example.com/api/v4/x?page=2>; rel="next"', "X-Next-Page": "2"}
    server.trouble(200, b'[{"name": "theirs", "commit": {"id": "' + b"1" * 40 + b'"}}]', headers=link)

    references = source.references(web)

    assert references["refs/heads/theirs"] == "1" * 40
    assert "refs/tags/v1" in references


# --- change requests --------------------------------------------------------------------------------------


def test_a_program_stays_one_when_it_is_changed(
    server: GitLabServer, source: GitLabSource, web: SourceRepository
) -> None:
    edit = FileEdit("apps/web/run.sh", b"#!/bin/sh\nexec true\n")

    source.open_change_request(web, ChangeProposal("image-factory/x", "main", "T", "", "M", (edit,)))

    git = Git(server.repositories.path(f"{PROJECT}.git"))
    listed = git.run("ls-tree", "refs/heads/image-factory/x", "apps/web/run.sh", doing="cannot list").text()
    assert listed.startswith("100755")


def test_one_commit_is_made_and_the_request_says_what_was_proposed(
    server: GitLabServer, source: GitLabSource, web: SourceRepository
) -> None:
    source.open_change_request(web, proposal())

    git = Git(server.repositories.path(f"{PROJECT}.git"))
    made = server.state(PROJECT).merge_requests[0]
    assert git.run("rev-list", "--count", "main..image-factory/web-1", doing="cannot count").text() == "1"
    assert (made.title, made.description, made.target_branch) == ("Update web to node 24", "One image.\n", "main")
    assert made.removes_branch


def test_a_symbolic_link_is_not_written_through(source: GitLabSource, web: SourceRepository) -> None:
    edit = FileEdit("Containerfile", b"FROM x\n")

    with pytest.raises(RemoteRefused, match="ordinary"):
        source.open_change_request(web, ChangeProposal("image-factory/x", "main", "T", "", "M", (edit,)))

    assert "refs/heads/image-factory/x" not in source.references(web)


def test_the_branch_is_removed_where_the_request_is_refused(
    server: GitLabServer, source: GitLabSource, web: SourceRepository
) -> None:
    server.trouble(422, {"message": "no"}, matches="POST .*/merge_requests")

    with pytest.raises(RemoteRefused):
        source.open_change_request(web, proposal())

    assert "refs/heads/image-factory/web-1" not in source.references(web)


def test_what_a_crash_left_behind_is_taken_up(
    server: GitLabServer, source: GitLabSource, web: SourceRepository
) -> None:
    server.trouble(500, matches="POST .*/merge_requests")
    server.trouble(500, matches="DELETE")
    with pytest.raises(Unavailable):
        source.open_change_request(web, proposal())
    assert "refs/heads/image-factory/web-1" in source.references(web)
    newer = server.repositories.commit(f"{PROJECT}.git", {"newer": "1\n"}, "Newer", branch="main")

    opened = source.open_change_request(web, proposal())

    git = Git(server.repositories.path(f"{PROJECT}.git"))
    assert opened.number == 1
    assert git.run("rev-parse", "image-factory/web-1~1", doing="cannot read").text() == newer


def test_a_branch_with_other_work_is_left_alone(
    server: GitLabServer, source: GitLabSource, web: SourceRepository
) -> None:
    theirs = server.repositories.commit(f"{PROJECT}.git", {"theirs": "1"}, "Their work", branch="image-factory/web-1")

    with pytest.raises(RemoteRefused, match="other work"):
        source.open_change_request(web, proposal())

    assert source.revision(web, "image-factory/web-1") == theirs


def test_a_fork_s_request_of_the_same_branch_is_not_ours(
    server: GitLabServer, source: GitLabSource, web: SourceRepository
) -> None:
    first = source.open_change_request(web, proposal())
    requests = server.state(PROJECT).merge_requests
    requests.append(MergeRequest(2, "image-factory/web-1", "main", "Theirs", "", server.tick(), source_project_id=7))

    again = source.open_change_request(web, proposal(b"FROM node:26\n"))

    assert again.number == first.number == 1


def test_a_change_that_changes_nothing_is_refused_and_leaves_no_branch(
    source: GitLabSource, web: SourceRepository
) -> None:
    same = FileEdit("Dockerfile", FILES["Dockerfile"])

    with pytest.raises(RemoteRefused, match="changes nothing"):
        source.open_change_request(web, ChangeProposal("image-factory/x", "main", "T", "", "M", (same,)))

    assert "refs/heads/image-factory/x" not in source.references(web)


def test_a_binary_file_is_committed_byte_for_byte(
    server: GitLabServer, source: GitLabSource, web: SourceRepository
) -> None:
    content = bytes(range(256)) * 3

    source.open_change_request(
        web, ChangeProposal("image-factory/x", "main", "T", "", "M", (FileEdit("b.bin", content),))
    )

    assert read_behind(server, "image-factory/x", "b.bin") == content
    sent = next(one.request for one in server.exchanges if one.request.path.endswith("/repository/commits"))
    assert base64.b64encode(content) in sent.body


def test_a_portal_finds_the_project(source: GitLabSource, web: SourceRepository) -> None:
    assert isinstance(source, CatalogSource)
    assert source.catalog_annotations(web, "") == {"gitlab.com/project-slug": PROJECT}


def test_pages_of_the_web_are_on_the_host(source: GitLabSource, web: SourceRepository, server: GitLabServer) -> None:
    assert source.web_url(web) == f"{server.url}/{PROJECT}"
    assert source.web_url(web, "main") == f"{server.url}/{PROJECT}/-/tree/main"
    assert source.web_url(web, "main", "a b/#1") == f"{server.url}/{PROJECT}/-/blob/main/a%20b/%231"


def test_threads_share_one_source(source: GitLabSource, web: SourceRepository, template: tuple[Path, Planted]) -> None:
    paths = sorted(set(FILES) - {"large.bin"}) * 4

    with ThreadPoolExecutor(8) as pool:
        contents = list(pool.map(lambda path: source.read(web, template[1].head, path), paths))

    assert contents == [FILES[path] for path in paths]
