"""The built-in source git: the contract over every way to reach a repository, and what is its own."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from image_factory.errors import (
    AuthenticationRequired,
    ImageFactoryError,
    InvalidSettings,
    NotFound,
    ProtocolError,
    RemoteNotFound,
    Unavailable,
    UnsafeValue,
)
from image_factory.model.settings import Settings
from image_factory.ports import Credentials, Source, SourceRepository
from image_factory.shell.git_mirror import mirror_folder
from image_factory.shell.git_source import MIN_FOR_LISTING, GitSource, default_cache, register_sources
from image_factory.testing.git_server import GitServer
from image_factory.testing.source_contract import FILES, Planted, SourceContract, SourceWorld, plant_repository

SECRET = "t0ps3cret-tok3n"


@pytest.fixture(scope="module", autouse=True)
def _no_configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the developer's own git configuration out of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("XDG_CONFIG_HOME", raising=False)
        yield


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Planted]:
    folder = tmp_path_factory.mktemp("served")
    return folder, plant_repository(GitServer(folder), "acme.git")


def at(path: str) -> SourceRepository:
    return SourceRepository("git", None, path)


class TestBareFolder(SourceContract):
    @pytest.fixture(scope="class")
    @classmethod
    def world(cls, planted: tuple[Path, Planted]) -> Iterator[SourceWorld]:
        folder, commits = planted
        source = GitSource(folder=folder)
        yield SourceWorld(source, at(str(folder / "acme.git")), commits, at("./no.git"), has_change_requests=False)
        source.close()


class TestFileUrl(SourceContract):
    @pytest.fixture(scope="class")
    @classmethod
    def world(cls, planted: tuple[Path, Planted]) -> Iterator[SourceWorld]:
        folder, commits = planted
        source = GitSource()
        missing = at((folder / "no.git").as_uri())
        yield SourceWorld(source, at((folder / "acme.git").as_uri()), commits, missing, has_change_requests=False)
        source.close()


class TestOverHttpWithCredentials(SourceContract):
    @pytest.fixture(scope="class", params=[True, False], ids=["partial clones", "no partial clones"])
    @classmethod
    def world(
        cls, request: pytest.FixtureRequest, planted: tuple[Path, Planted], tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[SourceWorld]:
        folder, commits = planted
        allowed = "true" if request.param else "false"
        subprocess.run(["git", "-C", str(folder / "acme.git"), "config", "uploadpack.allowFilter", allowed], check=True)
        credentials = Credentials("x-access-token", SECRET)
        cache = tmp_path_factory.mktemp("cache")
        with GitServer(folder, credentials=credentials) as server:
            source = GitSource(cache=cache, credentials=lambda url: credentials)
            yield SourceWorld(
                source, at(server.url("acme.git")), commits, at(server.url("no.git")), SECRET, has_change_requests=False
            )
            source.close()
            for file in cache.rglob("*"):
                assert not file.is_file() or SECRET.encode() not in file.read_bytes()


# --- what is its own -----------------------------------------------------------------------------------------


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git in PATH that writes a line for each time that it is run."""
    real = next(
        Path(folder) / "git" for folder in os.environ["PATH"].split(os.pathsep) if (Path(folder) / "git").is_file()
    )
    (tmp_path / "bin").mkdir()
    wrapper, log = tmp_path / "bin/git", tmp_path / "runs.log"
    wrapper.write_text(f'#!/bin/sh\necho x >> {log}\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return log


def test_a_thousand_reads_of_a_local_repository_cost_three_processes(
    planted: tuple[Path, Planted], counted: Path
) -> None:
    folder, _ = planted
    source = GitSource()
    repository = at(str(folder / "acme.git"))

    for _ in range(1000):
        assert source.read(repository, source.revision(repository, "main"), "Dockerfile") == FILES["Dockerfile"]
    source.close()

    # What git says of the folder, one reader, and one listing of its build files.
    assert len(counted.read_text().split()) == 3


def test_a_thousand_files_of_a_remote_repository_cost_a_few_requests(tmp_path: Path) -> None:
    with GitServer(tmp_path / "served") as server:
        server.create("s.git", {f"apps/{number}/Dockerfile": f"FROM a:{number}\n" for number in range(1000)})
        source = GitSource(cache=tmp_path / "cache")
        repository = at(server.url("s.git"))
        revision = source.revision(repository, "main")

        texts = {source.read(repository, revision, f"apps/{number}/Dockerfile") for number in range(1000)}
        requests = len(server.requests)
        again = GitSource(cache=tmp_path / "cache")
        again.read(repository, revision, "apps/7/Dockerfile")
        again.close()
        source.close()

        assert len(texts) == 1000
        assert requests <= 8
        assert len(server.requests) == requests


def test_only_what_is_asked_for_is_fetched(tmp_path: Path) -> None:
    with GitServer(tmp_path / "served") as server:
        server.create("s.git", {"Dockerfile": "FROM a\n", "huge.bin": os.urandom(2_000_000)})
        source = GitSource(cache=tmp_path / "cache")
        repository = at(server.url("s.git"))
        source.read(repository, source.revision(repository, "main"), "Dockerfile")
        source.close()

    size = sum(file.stat().st_size for file in (tmp_path / "cache").rglob("*") if file.is_file())
    assert size < 500_000


def test_a_new_commit_is_seen_and_the_old_one_can_still_be_read(tmp_path: Path) -> None:
    with GitServer(tmp_path / "served") as server:
        first = server.create("s.git", {"Dockerfile": "FROM a:1\n"})
        assert first is not None
        source = GitSource(cache=tmp_path / "cache")
        repository = at(server.url("s.git"))
        assert source.read(repository, source.revision(repository, "main"), "Dockerfile") == b"FROM a:1\n"

        second = server.commit("s.git", {"Dockerfile": "FROM a:2\n"}, "Move")

        assert source.revision(repository, "main") == second
        assert source.read(repository, second, "Dockerfile") == b"FROM a:2\n"
        assert source.read(repository, first, "Dockerfile") == b"FROM a:1\n"
        source.close()


def test_threads_share_one_source(tmp_path: Path) -> None:
    with GitServer(tmp_path / "served") as server:
        server.create("s.git", {f"{number}/Dockerfile": f"FROM a:{number}\n" for number in range(60)})
        source = GitSource(cache=tmp_path / "cache")
        for repository in (at(server.url("s.git")), at(str(server.path("s.git")))):
            revision = source.revision(repository, "main")

            def read(number: int, at: SourceRepository = repository, revision: str = revision) -> bytes:
                return source.read(at, revision, f"{number}/Dockerfile")

            with ThreadPoolExecutor(8) as pool:
                assert list(pool.map(read, range(60))) == [f"FROM a:{number}\n".encode() for number in range(60)]
        source.close()


def test_a_local_checkout_is_read_at_its_commits_not_at_its_files(tmp_path: Path) -> None:
    server = GitServer(tmp_path / "served")
    server.create("s.git", {"Dockerfile": "FROM a:1\n"})
    subprocess.run(["git", "clone", "--quiet", str(server.path("s.git")), str(tmp_path / "work")], check=True)
    (tmp_path / "work/Dockerfile").write_text("FROM edited\n")
    source = GitSource(folder=tmp_path)

    revision = source.revision(at("./work"), "HEAD")

    assert source.read(at("./work"), revision, "Dockerfile") == b"FROM a:1\n"
    assert source.clone_url(at("./work")) == (tmp_path / "work").as_uri()
    source.close()


def test_a_folder_inside_a_checkout_is_no_repository_of_its_own(tmp_path: Path) -> None:
    server = GitServer(tmp_path / "served")
    server.create("s.git", {"sub/Dockerfile": "FROM a:1\n"})
    subprocess.run(["git", "clone", "--quiet", str(server.path("s.git")), str(tmp_path / "work")], check=True)

    with pytest.raises(NotFound, match="not a git repository"):
        GitSource().revision(at(str(tmp_path / "work/sub")), "HEAD")


def test_a_broken_repository_inside_a_checkout_is_not_mistaken_for_it(tmp_path: Path) -> None:
    server = GitServer(tmp_path / "served")
    server.create("s.git", {"sub/Dockerfile": "FROM a:1\n"})
    subprocess.run(["git", "clone", "--quiet", str(server.path("s.git")), str(tmp_path / "work")], check=True)
    (tmp_path / "work/sub/.git").mkdir()

    with pytest.raises(ImageFactoryError):
        GitSource().revision(at(str(tmp_path / "work/sub")), "HEAD")


def test_a_partial_clone_that_would_run_a_command_to_fetch_does_not(tmp_path: Path) -> None:
    server = GitServer(tmp_path / "served")
    server.create("s.git", {"Dockerfile": "FROM a:1\n"})
    folder = server.path("s.git")
    for setting, value in (
        ("remote.origin.url", f"ext::sh -c touch% {tmp_path}/witness"),
        ("remote.origin.promisor", "true"),
        ("core.sshCommand", f"touch {tmp_path}/witness"),
        ("core.fsmonitor", f"touch {tmp_path}/witness"),
    ):
        subprocess.run(["git", "-C", str(folder), "config", setting, value], check=True)
    source = GitSource()

    with pytest.raises(RemoteNotFound):
        source.read(at(str(folder)), "0123456789" * 4, "Dockerfile")
    source.close()

    assert not (tmp_path / "witness").exists()


def test_a_file_above_the_limit_is_refused_and_the_next_one_read(planted: tuple[Path, Planted]) -> None:
    folder, commits = planted
    source = GitSource(max_file=1000)
    repository = at(str(folder / "acme.git"))

    with pytest.raises(ProtocolError, match=r"large\.bin.*has 1536000 bytes"):
        source.read(repository, commits.head, "large.bin")

    assert source.read(repository, commits.head, "Dockerfile") == FILES["Dockerfile"]
    source.close()


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("ext::sh -c id", id="a transport that runs a command"),
        pytest.param("--upload-pack=id", id="an option"),
        pytest.param("ssh://-oProxyCommand=id/x", id="an option as a host"),
        pytest.param("-oProxyCommand=id:x", id="an option as an scp host"),
        pytest.param("https://me:t0ps3cret@git.example.com/x", id="credentials"),
        pytest.param("https://t0ps3cret@git.example.com/x", id="a token as a user"),
        pytest.param("http://git.example.com/x", id="unencrypted"),
        pytest.param("git://git.example.com/x", id="unencrypted, git's own"),
        pytest.param("https://git.example.com/${{ x }}", id="an expression"),
        pytest.param("https://git.example.com", id="no path"),
        pytest.param("file://server/share", id="another machine's files"),
        pytest.param("a\nb", id="two lines"),
        pytest.param("", id="nothing"),
    ],
)
def test_a_repository_that_could_be_more_than_one_is_refused(path: str) -> None:
    with pytest.raises(UnsafeValue) as caught:
        GitSource().revision(at(path), "main")

    assert "t0ps3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        ("git.example.com", "acme/web", "https://git.example.com/acme/web"),
        ("https://git.example.com/scm", "acme/web.git", "https://git.example.com/scm/acme/web.git"),
        ("http://127.0.0.1:8080", "acme/web.git", "http://127.0.0.1:8080/acme/web.git"),
        (None, "git@git.example.com:acme/web.git", "git@git.example.com:acme/web.git"),
        (None, "ssh://git@git.example.com:2222/acme/web.git", "ssh://git@git.example.com:2222/acme/web.git"),
    ],
)
def test_the_host_decides_the_clone_url(host: str | None, path: str, expected: str) -> None:
    assert GitSource().clone_url(SourceRepository("git", host, path)) == expected


def test_a_server_that_wants_credentials_says_so(tmp_path: Path) -> None:
    with GitServer(tmp_path / "served", credentials=Credentials("me", SECRET)) as server:
        server.create("s.git", {"Dockerfile": "FROM a\n"})

        with pytest.raises(AuthenticationRequired) as caught:
            GitSource(cache=tmp_path / "cache").revision(at(server.url("s.git")), "main")

    assert "credentials" in caught.value.hint


def test_a_server_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    with GitServer(tmp_path / "served") as server:
        url = server.url("s.git")

    with pytest.raises(Unavailable):
        GitSource(cache=tmp_path / "cache").revision(at(url), "main")


class _Hostile(BaseHTTPRequestHandler):
    """Answers every request with the same bytes, `body`, as often as `times` says."""

    body = b""
    content_type = "text/html"
    times = 1

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", self.content_type)
        self.end_headers()
        try:
            for _ in range(self.times):
                self.wfile.write(self.body)
        except OSError:
            return

    do_POST = do_GET  # noqa: N815  # a name that http.server looks for

    def log_message(self, *arguments: object) -> None: ...


ADVERTISED = "application/x-git-upload-pack-advertisement"


def _packets(*lines: bytes) -> bytes:
    return b"".join(b"0000" if not line else f"{len(line) + 4:04x}".encode() + line for line in lines)


@pytest.mark.parametrize(
    ("body", "content_type", "times"),
    [
        pytest.param(b"<html>sign in</html>", "text/html", 1, id="HTML"),
        pytest.param(b"", ADVERTISED, 1, id="nothing"),
        pytest.param(b"zzzz", ADVERTISED, 1, id="no packets"),
        pytest.param(_packets(b"# service=git-upload-pack\n", b"") + b"ffff", ADVERTISED, 1, id="cut off"),
        pytest.param(
            _packets(b"# service=git-upload-pack\n", b"", b"xyz refs/heads/main\0\n", b""), ADVERTISED, 1, id="no ids"
        ),
        pytest.param(
            _packets(b"# service=git-upload-pack\n", b"", b"ERR \x1b[31mboo t0ps3cret\n"), ADVERTISED, 1, id="an error"
        ),
    ],
)
def test_a_hostile_server_is_one_error(tmp_path: Path, body: bytes, content_type: str, times: int) -> None:
    handler = type("Handler", (_Hostile,), {"body": body, "content_type": content_type, "times": times})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        source = GitSource(cache=tmp_path / "cache")
        repository = at(f"http://127.0.0.1:{server.server_address[1]}/x.git")
        if content_type != "text/html":  # HTML is to git a list of no references, as plain files would serve it
            with pytest.raises(ImageFactoryError):
                source.references(repository)
        for ask in (
            lambda: source.revision(repository, "main"),
            lambda: source.read(repository, "1" * 40, "Dockerfile"),
        ):
            with pytest.raises(ImageFactoryError) as caught:
                ask()
            assert caught.value.hint
            assert "\x1b" not in str(caught.value)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_each_url_has_a_mirror_of_its_own(tmp_path: Path) -> None:
    folders = {mirror_folder(tmp_path, url) for url in ("https://a/b/c", "https://a/b-c", "https://a/b/c/")}

    assert len(folders) == 3
    assert all(folder.parent == tmp_path for folder in folders)


def test_mirrors_lie_in_the_users_cache_unless_config_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/me")
    registered: list[Source] = []

    register_sources(registered.append, Settings(plugins={"git": {"cacheDir": "/srv/mirrors"}}))

    assert default_cache() == Path("/var/cache/me/image-factory/git")
    assert [source.name for source in registered] == ["git"]
    with pytest.raises(InvalidSettings):
        register_sources(registered.append, Settings(plugins={"git": {"cacheDir": 7}}))


def test_what_is_read_by_its_listing_is_what_is_read_by_its_path(tmp_path: Path) -> None:
    with GitServer(tmp_path) as server:
        server.create(
            "s.git",
            {f"apps/{number}/Dockerfile": f"FROM a:{number}\n" for number in range(MIN_FOR_LISTING + 20)},
        )
        server.commit("s.git", {}, "Link", links={"apps/link/Dockerfile": "../7/Dockerfile"})
    source = GitSource()
    repository = at(str(tmp_path / "s.git"))
    revision = source.revision(repository, "main")

    texts = [source.read(repository, revision, f"apps/{n}/Dockerfile") for n in range(MIN_FOR_LISTING + 20)]
    linked = source.read(repository, revision, "apps/link/Dockerfile")
    with pytest.raises(RemoteNotFound):
        source.read(repository, revision, "apps/none/Dockerfile")
    source.close()

    assert texts == [f"FROM a:{number}\n".encode() for number in range(MIN_FOR_LISTING + 20)]
    assert linked == b"FROM a:7\n"
