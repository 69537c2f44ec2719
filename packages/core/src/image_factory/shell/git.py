"""The user's checkout: one commit a run of exactly the files that a run changed, and its push.

A commit is made beside the user's index (git's plumbing with an index of its own), so staged and
unstaged changes of theirs stay as they are. A push that loses a race rebases what is new here on what
is new there and tries again; a conflict leaves the checkout as it was.
"""

from __future__ import annotations

import logging
import re
import secrets
import shlex
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from image_factory.errors import NotFound, Unavailable, UnsafeValue
from image_factory.ports import Credentials
from image_factory.shell.git_program import Git, failure
from image_factory.shell.process import Finished, redact

log = logging.getLogger("image_factory.git")

_TRAILER = re.compile(r"[A-Za-z][A-Za-z0-9-]*\Z")
_LINE = re.compile(r"[^\x00-\x1f\x7f]*\Z")
_IDENTITY = re.compile(r"[^\x00-\x1f\x7f<>]+\Z")


@dataclass(frozen=True, slots=True)
class Checkout:
    """A git work tree, by its top folder."""

    root: Path
    git: Git = field(repr=False)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False, compare=False)

    @classmethod
    def find(cls, path: Path) -> Checkout | None:
        """Return the checkout that `path` lies in, or None where it lies in none.

        Raises:
            UserError: git refuses the folder, because it belongs to another user.
            NotFound: `path` does not exist, or git is not installed.
        """
        folder = path if path.is_dir() else path.parent
        found = Git(folder).attempt("rev-parse", "--show-toplevel")
        if found.is_ok and found.text():
            root = Path(found.text())
            return cls(root, Git(root))
        complaint = found.complaint()
        if found.is_ok or "not a git repository" in complaint or "must be run in a work tree" in complaint:
            return None
        raise failure(found, f"cannot read {str(folder)!r}")

    def remotes(self) -> Mapping[str, str]:
        """Return each remote's name and URL, without credentials."""
        found = self.git.attempt("config", "-z", "--get-regexp", r"^remote\..*\.url$")
        urls: dict[str, str] = {}
        for entry in found.stdout.decode("utf-8", "replace").split("\0"):
            key, _, url = entry.partition("\n")
            if url:
                urls.setdefault(key[len("remote.") : -len(".url")], re.sub(r"(?<=://)[^/@]*@", "", url))
        return urls

    def head(self) -> str:
        """Return the commit id that is checked out.

        Raises:
            NotFound: there is no commit yet.
        """
        commit = self._head()
        if commit is None:
            raise NotFound(f"no commit yet in {str(self.root)!r}", hint="commit something first")
        return commit

    def branch(self) -> str | None:
        """Return the branch that is checked out, or None where the head is detached."""
        found = self.git.attempt("symbolic-ref", "--quiet", "--short", "HEAD")
        return found.text() if found.is_ok else None

    def changed(self, paths: Sequence[Path]) -> tuple[str, ...]:
        """Return which files at or below `paths` differ from the last commit, relative to the root, sorted."""
        with self._index() as index:
            self._stage(index, paths)
            return tuple(sorted(self._differences(index)))

    def commit(
        self,
        paths: Sequence[Path],
        message: str,
        *,
        name: str,
        email: str,
        trailers: Mapping[str, str] | None = None,
    ) -> str | None:
        """Commit exactly what changed at or below `paths`, and return the commit's id, or None where nothing did.

        New, changed and removed files count; ignored files that were never committed do not. The
        user's index keeps what is staged elsewhere. No hook runs and nothing is signed.

        Raises:
            UnsafeValue: a path outside the checkout, or an identity or trailer that is no plain line.
            Unavailable: other programs kept moving the branch meanwhile.
        """
        identity = identity_variables(name, email)
        text = checked_message(message, trailers)
        doing = f"cannot commit in {str(self.root)!r}"
        for _ in range(10):
            parent = self._head()
            with self._index() as index:
                self._stage(index, paths)
                differences = self._differences(index)
                if not differences:
                    return None
                tree = self.git.run("write-tree", extra=index.variables, doing=doing).text()
                entries = self.git.run("ls-files", "--stage", "-z", extra=index.variables, doing=doing).stdout
            parents = [] if parent is None else ["-p", parent]
            commit = self.git.run(
                "commit-tree", "--no-gpg-sign", tree, *parents, stdin=text.encode(), extra=identity, doing=doing
            ).text()
            moved = self.git.attempt(
                "update-ref", "-m", "image-factory: commit", "HEAD", commit, parent or "0" * len(commit)
            )
            if moved.is_ok:
                self._refresh(differences, entries)
                return commit
            self.sleep(0.05)
        raise Unavailable(f"{doing}: the branch keeps moving", hint="stop other programs that commit here")

    def push(self, remote: str, branch: str, credentials: Credentials | None = None, *, attempts: int = 30) -> str:
        """Push the head to a branch of a remote, and return the commit id that is there then.

        Where the remote has moved, what is new here is rebased on it, up to `attempts` times; once it
        is pushed, the checkout follows, as far as the user's own changes allow.

        Raises:
            Conflict: both sides changed one file in ways that cannot be joined; the checkout is as before.
            Unavailable: the remote moved at every attempt, or does not answer.
            AuthenticationRequired, RemoteNotFound, RemoteRefused, ProtocolError: what the remote answers.
        """
        from image_factory.shell.git_push import push

        return push(self, remote, branch, credentials, attempts=attempts)

    # --- inner ---------------------------------------------------------------------------------------

    def _head(self) -> str | None:
        found = self.git.attempt("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        return found.text() if found.is_ok else None

    def _index(self) -> TemporaryIndex:
        return TemporaryIndex(self.git)

    def _inside(self, path: Path) -> str:
        """Return a path relative to the root, without following its last part where that is a link."""
        folder = (path if path.is_absolute() else self.root / path).parent.resolve()
        whole = folder / path.name
        root = self.root.resolve()
        if path.name in ("", "..") or not whole.is_relative_to(root):
            if (path if path.is_absolute() else self.root / path).resolve() == root:
                return "."
            raise UnsafeValue(
                f"not a path inside {str(self.root)!r}: {str(path)!r}", hint="only files of this checkout are committed"
            )
        relative = whole.relative_to(root).as_posix()
        if relative == ".git" or relative.startswith(".git/"):
            raise UnsafeValue(f"not a file to commit: {str(path)!r}", hint="git's own files are never committed")
        return relative

    def _stage(self, index: TemporaryIndex, paths: Sequence[Path]) -> None:
        """Put what lies at or below `paths` now into `index`, which starts as the last commit."""
        doing = f"cannot read the changes in {str(self.root)!r}"
        relative = sorted({self._inside(path) for path in paths})
        folders = [path for path in relative if path == "." or self._is_folder(path)]
        files = [path for path in relative if path not in folders]
        if files:
            # `./` keeps a name such as `:(top)` from being read as more than a name.
            asked = _join([f"./{path}" for path in files])
            ignored = set(_split(self.git.attempt("check-ignore", "-z", "--stdin", stdin=asked)))
            files = [path for path in files if f"./{path}" not in ignored]
        for start in range(0, len(folders), 200):
            found = self.git.run(
                *("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"),
                *folders[start : start + 200],
                extra=index.variables,
                doing=doing,
            )
            files += _split(found)
        if files:
            self.git.run(
                "update-index", "-z", "--add", "--remove", "--stdin",
                stdin=_join(files), extra=index.variables, doing=doing,
            )  # fmt: skip

    def _is_folder(self, relative: str) -> bool:
        path = self.root / relative
        return path.is_dir() and not path.is_symlink()

    def _differences(self, index: TemporaryIndex) -> list[str]:
        doing = f"cannot read the changes in {str(self.root)!r}"
        base = self._head()
        if base is None:
            return _split(self.git.run("ls-files", "-z", extra=index.variables, doing=doing))
        return _split(
            self.git.run(
                *("diff-index", "--cached", "--no-renames", "--no-ext-diff", "--name-only", "-z", base, "--"),
                extra=index.variables,
                doing=doing,
            )
        )

    def refresh(self, paths: Sequence[Path]) -> None:
        """Let the user's index hold these files as the last commit has them.

        For who was stopped between a commit and this: `git status` shows its files as changed until then.
        """
        relative = sorted({self._inside(path) for path in paths})
        entries = b""
        for start in range(0, len(relative), 200):
            # Names are told literally, whatever they look like.
            words = (
                "--literal-pathspecs",
                "ls-tree",
                "-z",
                "--full-tree",
                "HEAD",
                "--",
                *relative[start : start + 200],
            )
            entries += self.git.attempt(*words).stdout
        self._refresh(relative, entries)

    def _refresh(self, paths: Sequence[str], entries: bytes) -> None:
        """Let the user's index hold, for `paths` alone, what was just committed."""
        wanted = set(paths)
        staged = {
            path: fields.split()
            for fields, _, path in (
                line.partition("\t") for line in entries.decode("utf-8", "surrogateescape").split("\0")
            )
            if path in wanted
        }
        lines = [
            f"{staged[path][0]} {_object_id(staged[path])}\t{path}" if path in staged else f"0 {'0' * 40}\t{path}"
            for path in paths
        ]
        for _ in range(20):
            # Another git may hold the index's lock for a moment; without it only `git status` is off.
            if self.git.attempt("update-index", "-z", "--index-info", stdin=_join(lines)).is_ok:
                return
            self.sleep(0.1)
        log.warning(
            "the commit is made, but git's index is locked: `git status` shows its files as removed until "
            "`git reset -- %s` has run",
            " ".join(shlex.quote(path) for path in paths[:5]) if len(paths) <= 5 else ".",
            extra={"image": None, "op": "commit"},
        )


class TemporaryIndex:
    """An index of our own, which starts as the last commit and is removed at the end."""

    def __init__(self, git: Git, tree: str | None = "HEAD") -> None:
        self._git = git
        self._tree = tree
        self._folder = tempfile.TemporaryDirectory(prefix="image-factory-index-")
        self.variables: Mapping[str, str] = {"GIT_INDEX_FILE": str(Path(self._folder.name) / "index")}

    def __enter__(self) -> TemporaryIndex:
        if self._tree is not None:
            found = self._git.attempt("rev-parse", "--verify", "--quiet", f"{self._tree}^{{tree}}")
            if found.is_ok:
                self._git.run("read-tree", found.text(), extra=self.variables, doing="cannot read the last commit")
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


def pause(attempt: int) -> float:
    """Return how many seconds to wait after a lost race: longer each time, and never two writers alike."""
    longest = min(2000, 50 * 2 ** min(attempt, 6))
    return (25 + secrets.randbelow(longest)) / 1000


def _object_id(fields: Sequence[str]) -> str:
    """Return the id in a line of `ls-files --stage` (mode, id, stage) or of `ls-tree` (mode, type, id)."""
    return fields[2] if fields[1] in ("blob", "commit", "tree") else fields[1]


def _join(items: Sequence[str]) -> bytes:
    return "".join(f"{item}\0" for item in items).encode("utf-8", "surrogateescape")


def _split(finished: Finished) -> list[str]:
    return [item for item in finished.stdout.decode("utf-8", "surrogateescape").split("\0") if item]


def identity_variables(name: str, email: str) -> dict[str, str]:
    """Return what tells git who commits.

    Raises:
        UnsafeValue: the name or the address is no plain line.
    """
    if not _IDENTITY.match(name) or not _IDENTITY.match(email):
        raise UnsafeValue(f"not an identity: {name!r} {email!r}", hint="write a plain name and an address")
    return {
        f"GIT_{who}_{what}": text
        for who in ("AUTHOR", "COMMITTER")
        for what, text in (("NAME", name), ("EMAIL", email))
    }


def checked_message(message: str, trailers: Mapping[str, str] | None = None) -> str:
    """Return a commit's message with its trailers.

    Raises:
        UnsafeValue: there is no message, or a trailer is no plain line.
    """
    trailers = trailers or {}
    if "\0" in message or not message.strip():
        raise UnsafeValue("the commit message is empty or holds a NUL byte", hint="write a sentence")
    for key, value in trailers.items():
        if not _TRAILER.match(key) or not _LINE.match(value):
            raise UnsafeValue(f"not a trailer: {redact(key)[:60]!r}", hint="write a word, and a value of one line")
    lines = "".join(f"{key}: {value}\n" for key, value in trailers.items())
    return f"{message.strip()}\n" + (f"\n{lines}" if lines else "")
