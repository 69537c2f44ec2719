"""The user's checkout: one commit of exactly the changed files, and a push that loses nothing."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from image_factory.errors import (
    AuthenticationRequired,
    Conflict,
    NotFound,
    RemoteRefused,
    Unavailable,
    UnsafeValue,
    UserError,
)
from image_factory.ports import Credentials
from image_factory.shell.git import Checkout
from image_factory.testing.git_server import GitServer

BOT: dict[str, Any] = {"name": "Image Factory Bot", "email": "bot@example.com"}


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the developer's own git configuration out of the tests."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


def git(folder: Path, *words: str, check: bool = True) -> str:
    identity = ["-c", "user.name=Person", "-c", "user.email=person@example.com", "-c", "init.defaultBranch=main"]
    finished = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=False)
    if check and finished.returncode:
        raise AssertionError(finished.stderr)
    return finished.stdout


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """A bare repository with a few files on main."""
    server = GitServer(tmp_path / "remotes")
    server.create("config.git", {"state/web.yaml": "a: 1\nb: 2\nc: 3\nd: 4\ne: 5\n", "mine.txt": "mine\n"})
    return server.path("config.git")


def clone(remote: Path, folder: Path) -> Checkout:
    git(remote, "clone", "--quiet", str(remote), str(folder))
    checkout = Checkout.find(folder)
    assert checkout is not None
    return checkout


@pytest.fixture
def checkout(remote: Path, tmp_path: Path) -> Checkout:
    return clone(remote, tmp_path / "work")


# --- finding -------------------------------------------------------------------------------------------


def test_a_checkout_is_found_from_any_folder_or_file_in_it(checkout: Checkout) -> None:
    inside = checkout.root / "state" / "web.yaml"

    assert Checkout.find(inside) == checkout
    assert Checkout.find(inside.parent) == checkout
    assert checkout.branch() == "main"
    assert checkout.head() == git(checkout.root, "rev-parse", "HEAD").strip()


def test_outside_of_any_repository_there_is_no_checkout(tmp_path: Path) -> None:
    assert Checkout.find(tmp_path) is None


def test_a_bare_repository_is_no_checkout(remote: Path) -> None:
    assert Checkout.find(remote) is None


def test_remotes_are_told_without_credentials(checkout: Checkout) -> None:
    git(checkout.root, "remote", "add", "ci", "https://ci:t0ps3cret@git.example.com/acme/config.git")

    remotes = checkout.remotes()

    assert remotes["ci"] == "https://git.example.com/acme/config.git"
    assert set(remotes) == {"origin", "ci"}


def test_a_repository_without_a_commit_says_so(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "new")
    checkout = Checkout.find(tmp_path / "new")
    assert checkout is not None

    with pytest.raises(NotFound, match="no commit yet"):
        checkout.head()


def test_a_variable_of_a_git_hook_does_not_lead_elsewhere(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere/index")

    assert Checkout.find(checkout.root) == checkout


# --- committing ------------------------------------------------------------------------------------------


def test_new_changed_and_removed_files_make_one_commit(checkout: Checkout) -> None:
    before = checkout.head()
    (checkout.root / "state/web.yaml").unlink()
    (checkout.root / "state/new file.yaml").write_text("x: 1\n")
    (checkout.root / "mine.txt").write_text("changed\n")
    paths = [checkout.root / "state", checkout.root / "mine.txt"]

    changed = checkout.changed(paths)
    commit = checkout.commit(paths, "Learn three things", trailers={"Image-Factory-Run": "1"}, **BOT)

    assert changed == ("mine.txt", "state/new file.yaml", "state/web.yaml")
    assert commit == checkout.head()
    assert git(checkout.root, "rev-list", f"{before}..HEAD").split() == [commit]
    assert git(checkout.root, "status", "--porcelain") == ""
    assert git(checkout.root, "log", "-1", "--format=%an <%ae> %cn <%ce>%n%B").strip() == (
        "Image Factory Bot <bot@example.com> Image Factory Bot <bot@example.com>\n"
        "Learn three things\n\nImage-Factory-Run: 1"
    )


def test_where_nothing_changed_there_is_no_commit(checkout: Checkout) -> None:
    before = checkout.head()

    assert checkout.commit([checkout.root / "state", checkout.root / "never/was"], "Nothing", **BOT) is None
    assert checkout.head() == before


def test_what_the_user_staged_or_changed_stays_as_it_is(checkout: Checkout) -> None:
    (checkout.root / "staged.txt").write_text("staged\n")
    git(checkout.root, "add", "staged.txt")
    (checkout.root / "mine.txt").write_text("edited\n")
    (checkout.root / "untracked.txt").write_text("untracked\n")
    (checkout.root / "state/web.yaml").write_text("a: 2\n")

    commit = checkout.commit([checkout.root / "state/web.yaml"], "Learn", **BOT)

    assert git(checkout.root, "show", "--name-only", "--format=", str(commit)).split() == ["state/web.yaml"]
    status = sorted(git(checkout.root, "status", "--porcelain").splitlines())
    assert status == [" M mine.txt", "?? untracked.txt", "A  staged.txt"]


def test_an_index_that_was_not_told_of_a_commit_can_be_told_later(checkout: Checkout) -> None:
    changed, removed, other = (checkout.root / name for name in ("changed [1].yaml", "removed.yaml", "other.yaml"))
    for file in (changed, removed, other):
        file.write_text("one\n")
    assert checkout.commit([changed, removed, other], "One", name="Bot", email="bot@example.com")
    index = (checkout.root / ".git/index").read_bytes()
    changed.write_text("two\n")
    removed.unlink()
    assert checkout.commit([changed, removed], "Two", name="Bot", email="bot@example.com")
    (checkout.root / ".git/index").write_bytes(index)  # as if it was stopped before it told the index
    other.write_text("staged\n")
    git(checkout.root, "add", "other.yaml")
    assert "MM " in git(checkout.root, "status", "--short")

    checkout.refresh([changed, removed])

    assert git(checkout.root, "status", "--short").splitlines() == ["M  other.yaml"]


def test_the_first_commit_of_a_repository_has_no_parent(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "new")
    checkout = Checkout.find(tmp_path / "new")
    assert checkout is not None
    (checkout.root / "images.yaml").write_text("[]\n")

    commit = checkout.commit([checkout.root / "images.yaml"], "Begin", **BOT)

    assert git(checkout.root, "rev-list", "--parents", "HEAD").split() == [commit]
    assert checkout.commit([checkout.root / "images.yaml"], "Begin", **BOT) is None


def test_on_a_detached_head_the_head_moves_and_no_branch_does(checkout: Checkout) -> None:
    branch = checkout.head()
    git(checkout.root, "checkout", "--quiet", "--detach")
    (checkout.root / "mine.txt").write_text("x\n")

    commit = checkout.commit([checkout.root / "mine.txt"], "Learn", **BOT)

    assert checkout.branch() is None
    assert checkout.head() == commit
    assert git(checkout.root, "rev-parse", "main").strip() == branch


def test_ignored_files_are_not_committed_unless_they_were_before(checkout: Checkout) -> None:
    (checkout.root / ".gitignore").write_text("dist/\nmine.txt\n")
    (checkout.root / "dist").mkdir()
    (checkout.root / "dist/a.yaml").write_text("a\n")
    (checkout.root / "mine.txt").write_text("changed\n")

    changed = checkout.changed([checkout.root / "dist", checkout.root / "dist/a.yaml", checkout.root / "mine.txt"])

    assert changed == ("mine.txt",)


def test_no_hook_and_no_monitor_of_the_repository_runs(checkout: Checkout, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    script = f"#!/bin/sh\ntouch {witness}\nexit 1\n"
    for hook in ("pre-commit", "commit-msg", "post-commit", "reference-transaction", "pre-push", "fsmonitor"):
        path = checkout.root / ".git/hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text(script)
        path.chmod(0o755)
    git(checkout.root, "config", "core.fsmonitor", str(checkout.root / ".git/hooks/fsmonitor"))
    git(checkout.root, "config", "commit.gpgSign", "true")
    (checkout.root / "mine.txt").write_text("x\n")

    checkout.commit([checkout.root / "mine.txt"], "Learn", **BOT)
    checkout.push("origin", "main")

    assert not witness.exists()


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("../outside.txt", id="above"),
        pytest.param("/etc/passwd", id="absolute"),
        pytest.param("link/outside.txt", id="through a link"),
        pytest.param(".git/config", id="git's own files"),
    ],
)
def test_a_path_outside_is_refused(checkout: Checkout, path: str) -> None:
    (checkout.root / "link").symlink_to(checkout.root.parent)
    (checkout.root.parent / "outside.txt").write_text("x")

    with pytest.raises(UnsafeValue):
        checkout.commit([checkout.root / path], "Learn", **BOT)


def test_odd_names_are_committed_and_mean_nothing_else(checkout: Checkout) -> None:
    names = ["--help", "-x", ":(exclude)mine.txt", "*.yaml", "two\nlines", "tab\there", 'quo"te', "ü"]
    for name in names:
        (checkout.root / name).write_text("x")

    checkout.commit([checkout.root / name for name in names], "Learn", **BOT)

    listed = git(checkout.root, "show", "--name-only", "--format=", "-z", "HEAD").split("\0")
    assert sorted(name for name in listed if name) == sorted(names)


@pytest.mark.parametrize(
    ("message", "trailers", "name"),
    [
        pytest.param("", {}, "Bot", id="no message"),
        pytest.param("a\0b", {}, "Bot", id="a NUL byte"),
        pytest.param("Learn", {"Key": "two\nlines"}, "Bot", id="a trailer of two lines"),
        pytest.param("Learn", {"not a key": "x"}, "Bot", id="a trailer without a key"),
        pytest.param("Learn", {}, "Bot <root@example.com>", id="a name with an address"),
        pytest.param("Learn", {}, "two\nlines", id="a name of two lines"),
    ],
)
def test_a_message_or_identity_cannot_forge_another(
    checkout: Checkout, message: str, trailers: dict[str, str], name: str
) -> None:
    (checkout.root / "mine.txt").write_text("x\n")

    with pytest.raises(UnsafeValue):
        checkout.commit([checkout.root / "mine.txt"], message, name=name, email="bot@example.com", trailers=trailers)


def test_two_runs_in_one_checkout_both_commit(checkout: Checkout) -> None:
    def learn(number: int) -> str | None:
        path = checkout.root / f"state/{number}.yaml"
        path.write_text(f"n: {number}\n")
        return checkout.commit([path], f"Learn {number}", **BOT)

    with ThreadPoolExecutor(4) as pool:
        commits = list(pool.map(learn, range(4)))

    assert len(set(commits)) == 4
    assert len(git(checkout.root, "rev-list", "HEAD").split()) == 5
    assert git(checkout.root, "status", "--porcelain") == ""


# --- pushing ---------------------------------------------------------------------------------------------


def write_and_push(checkout: Checkout, name: str, text: str) -> str:
    path = checkout.root / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    checkout.commit([path], f"Learn {name}", **BOT)
    return checkout.push("origin", "main")


def test_with_a_locked_index_the_commit_is_made_and_it_is_said_what_to_do(
    checkout: Checkout, caplog: pytest.LogCaptureFixture
) -> None:
    (checkout.root / "new").write_text("x")
    (checkout.root / ".git/index.lock").touch()

    made = replace(checkout, sleep=lambda _: None).commit([checkout.root / "new"], "Add", name="N", email="e@x")

    assert made == checkout.head()
    assert "`git reset -- new`" in caplog.text
    (checkout.root / ".git/index.lock").unlink()
    subprocess.run(["git", "reset", "--quiet", "--", "new"], cwd=checkout.root, check=True)
    assert not checkout.git.run("status", "--porcelain", "--", "new", doing="look").text()


def test_a_push_brings_the_commit_to_the_remote(checkout: Checkout, remote: Path) -> None:
    pushed = write_and_push(checkout, "state/api.yaml", "a: 1\n")

    assert git(remote, "rev-parse", "main").strip() == pushed == checkout.head()


def test_where_the_remote_moved_both_commits_land_and_the_checkout_follows(remote: Path, tmp_path: Path) -> None:
    first, second = clone(remote, tmp_path / "first"), clone(remote, tmp_path / "second")
    write_and_push(first, "state/first.yaml", "a: 1\n")
    (second.root / "mine.txt").write_text("edited by its owner\n")

    pushed = write_and_push(second, "state/second.yaml", "b: 1\n")

    assert git(remote, "rev-parse", "main").strip() == pushed == second.head()
    assert git(remote, "ls-tree", "-r", "--name-only", "main").split() == [
        "mine.txt",
        "state/first.yaml",
        "state/second.yaml",
        "state/web.yaml",
    ]
    assert (second.root / "state/first.yaml").read_text() == "a: 1\n"
    assert git(second.root, "status", "--porcelain") == " M mine.txt\n"
    assert git(remote, "log", "-1", "--format=%an %s", "main").strip() == "Image Factory Bot Learn state/second.yaml"


def test_changes_to_different_lines_of_one_file_are_joined(remote: Path, tmp_path: Path) -> None:
    first, second = clone(remote, tmp_path / "first"), clone(remote, tmp_path / "second")
    write_and_push(first, "state/web.yaml", "a: 9\nb: 2\nc: 3\nd: 4\ne: 5\n")

    write_and_push(second, "state/web.yaml", "a: 1\nb: 2\nc: 3\nd: 4\ne: 9\n")

    assert git(remote, "show", "main:state/web.yaml") == "a: 9\nb: 2\nc: 3\nd: 4\ne: 9\n"


def test_a_conflict_pushes_nothing_and_leaves_the_checkout_as_it_was(remote: Path, tmp_path: Path) -> None:
    first, second = clone(remote, tmp_path / "first"), clone(remote, tmp_path / "second")
    tip = write_and_push(first, "state/web.yaml", "a: 8\n")
    (second.root / "state/web.yaml").write_text("a: 9\n")
    commit = second.commit([second.root / "state"], "Learn", **BOT)

    with pytest.raises(Conflict, match=r"state/web\.yaml"):
        second.push("origin", "main")

    assert second.head() == commit
    assert (second.root / "state/web.yaml").read_text() == "a: 9\n"
    assert git(second.root, "status", "--porcelain") == ""
    assert git(second.root, "for-each-ref", "refs/image-factory") == ""
    assert git(remote, "rev-parse", "main").strip() == tip


def test_several_commits_that_wait_here_are_all_rebased_and_their_authors_kept(remote: Path, tmp_path: Path) -> None:
    first, second = clone(remote, tmp_path / "first"), clone(remote, tmp_path / "second")
    write_and_push(first, "state/first.yaml", "a: 1\n")
    (second.root / "mine.txt").write_text("edited\n")
    git(second.root, "commit", "--quiet", "-am", "Edit by hand")
    write_and_push(second, "state/second.yaml", "b: 1\n")

    subjects = git(remote, "log", "--format=%an: %s", "main").splitlines()

    assert subjects[:3] == [
        "Image Factory Bot: Learn state/second.yaml",
        "Person: Edit by hand",
        "Image Factory Bot: Learn state/first.yaml",
    ]


def test_what_the_remote_has_already_is_not_pushed_twice(remote: Path, tmp_path: Path) -> None:
    first, second = clone(remote, tmp_path / "first"), clone(remote, tmp_path / "second")
    tip = write_and_push(first, "state/same.yaml", "a: 1\n")

    pushed = write_and_push(second, "state/same.yaml", "a: 1\n")

    assert pushed == tip == second.head()


def test_a_shallow_clone_can_push_after_the_remote_moved(remote: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--depth=1", remote.as_uri(), "shallow")
    first, shallow = clone(remote, tmp_path / "first"), Checkout.find(tmp_path / "shallow")
    assert shallow is not None
    write_and_push(first, "state/first.yaml", "a: 1\n")

    pushed = write_and_push(shallow, "state/second.yaml", "b: 1\n")

    assert git(remote, "rev-parse", "main").strip() == pushed
    assert len(git(remote, "rev-list", "main").split()) == 3


def test_twenty_writers_lose_nothing(remote: Path, tmp_path: Path) -> None:
    checkouts = [clone(remote, tmp_path / f"writer-{number}") for number in range(20)]

    with ThreadPoolExecutor(20) as pool:
        numbered = enumerate(checkouts)
        list(pool.map(lambda item: write_and_push(item[1], f"state/{item[0]}.yaml", f"n: {item[0]}\n"), numbered))

    listed = git(remote, "ls-tree", "--name-only", "main", "state/").split()
    assert {f"state/{number}.yaml" for number in range(20)} <= set(listed)
    assert len(git(remote, "rev-list", "main").split()) == 21
    git(remote, "fsck", "--strict")


def test_a_remote_that_moves_at_every_attempt_is_given_up(checkout: Checkout, remote: Path, tmp_path: Path) -> None:
    other = clone(remote, tmp_path / "other")
    hook = remote / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'cannot lock ref' >&2\nexit 1\n")
    hook.chmod(0o755)
    waits: list[float] = []
    patient = Checkout(checkout.root, checkout.git, waits.append)
    (checkout.root / "mine.txt").write_text("x\n")
    patient.commit([checkout.root / "mine.txt"], "Learn", **BOT)
    hook.unlink()
    write_and_push(other, "state/other.yaml", "x: 1\n")

    with pytest.raises(Unavailable, match="each of 1 attempts"):
        patient.push("origin", "main", attempts=1)

    assert waits == []


def test_a_server_that_declines_is_not_asked_again(checkout: Checkout, remote: Path) -> None:
    hook = remote / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\necho x >> {remote}/asked\necho 'policy says no' >&2\nexit 1\n")
    hook.chmod(0o755)

    with pytest.raises(RemoteRefused, match="policy says no"):
        write_and_push(checkout, "mine.txt", "x\n")

    assert (remote / "asked").read_text() == "x\n"


@pytest.mark.parametrize("branch", ["--upload-pack=x", "-f", "a b", "a..b", "x:refs/heads/main", "", "a\nb"])
def test_a_branch_that_git_might_take_for_something_else_is_refused(checkout: Checkout, branch: str) -> None:
    with pytest.raises(UnsafeValue):
        checkout.push("origin", branch)


def test_an_unknown_remote_is_named_with_the_known_ones(checkout: Checkout) -> None:
    with pytest.raises(NotFound, match="'--receive-pack=x'") as caught:
        checkout.push("--receive-pack=x", "main")

    assert "origin" in caught.value.hint


def test_a_remote_that_would_run_a_command_is_refused(checkout: Checkout, tmp_path: Path) -> None:
    git(checkout.root, "remote", "add", "bad", f"ext::sh -c touch% {tmp_path}/witness")

    with pytest.raises(UserError):
        checkout.push("bad", "main")

    assert not (tmp_path / "witness").exists()


# --- credentials ------------------------------------------------------------------------------------------

SECRET = "t0ps3cret-tok3n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    with GitServer(tmp_path / "served", credentials=Credentials("x-access-token", SECRET)) as server:
        server.create("config.git", {"state/web.yaml": "a: 1\n"})
        yield server


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git in PATH that writes down each of its arguments before it does its work."""
    real = next(
        Path(folder) / "git" for folder in os.environ["PATH"].split(os.pathsep) if (Path(folder) / "git").is_file()
    )
    folder, log = tmp_path / "bin", tmp_path / "arguments.log"
    folder.mkdir()
    wrapper = folder / "git"
    wrapper.write_text(f'#!/bin/sh\ntr "\\0" " " < /proc/$$/cmdline >> {log}\necho >> {log}\nexec {real} "$@"\n')
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return log


def test_credentials_are_in_no_argument_url_or_file(
    server: GitServer, tmp_path: Path, watched: Path, caplog: pytest.LogCaptureFixture
) -> None:
    git(tmp_path, "clone", "--quiet", str(server.path("config.git")), "work")
    git(tmp_path / "work", "remote", "set-url", "origin", server.url("config.git"))
    checkout = Checkout.find(tmp_path / "work")
    assert checkout is not None
    (checkout.root / "state/new.yaml").write_text("b: 1\n")
    checkout.commit([checkout.root / "state"], "Learn", **BOT)

    pushed = checkout.push("origin", "main", Credentials("x-access-token", SECRET))

    assert git(server.path("config.git"), "rev-parse", "main").strip() == pushed
    assert "push" in watched.read_text()
    assert SECRET not in watched.read_text()
    assert SECRET not in caplog.text
    assert all(SECRET not in request.path + request.query for request in server.requests)
    for file in (checkout.root / ".git").rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes()


@pytest.mark.parametrize("given", [None, Credentials("x-access-token", "wr0ng-tok3n")], ids=["none", "wrong ones"])
def test_missing_or_wrong_credentials_are_an_error_that_does_not_show_them(
    server: GitServer, tmp_path: Path, given: Credentials | None
) -> None:
    git(tmp_path, "clone", "--quiet", str(server.path("config.git")), "work")
    git(tmp_path / "work", "remote", "set-url", "origin", server.url("config.git"))
    checkout = Checkout.find(tmp_path / "work")
    assert checkout is not None

    with pytest.raises(AuthenticationRequired) as caught:
        checkout.push("origin", "main", given)

    assert "wr0ng-tok3n" not in f"{caught.value} {caught.value.hint} {caught.value!r}"


def test_credentials_for_one_origin_are_not_given_to_another(server: GitServer, tmp_path: Path) -> None:
    from image_factory.shell.git_program import Git

    elsewhere = Git(None, ("http",), Credentials("x-access-token", SECRET), "https://git.example.com/acme/x.git")

    finished = elsewhere.attempt("ls-remote", "--", server.url("config.git"))

    assert not finished.is_ok
    assert all("authorization" not in request.headers for request in server.requests)


def test_credentials_with_a_line_break_are_refused(checkout: Checkout) -> None:
    git(checkout.root, "remote", "set-url", "origin", "https://git.example.com/x.git")

    with pytest.raises(UnsafeValue):
        checkout.push("origin", "main", Credentials("me", "a\nhost=evil.example.com"))
