"""A branch of somebody else's repository: commits made on a commit of it and pushed, without a work tree.

Only trees and what is written are fetched and kept, in a mirror (`shell.git_mirror`); nothing is ever forced.
The history that is looked through for trailers comes without files, into a folder that is removed again.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from image_factory.errors import ImageFactoryError, RemoteRefused, UnsafeValue
from image_factory.ports import Credentials
from image_factory.shell.git import TemporaryIndex, checked_message, identity_variables
from image_factory.shell.git_clone import transport_of
from image_factory.shell.git_mirror import Mirror, mirror_folder
from image_factory.shell.git_program import Git, checked_path, checked_ref, failure
from image_factory.shell.git_push import is_overtaken, refusal

MAX_HISTORY = 200
"""Commits that are looked through for trailers."""

_ORDINARY = ("100644", "100755")
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9-]*\Z")


@dataclass(frozen=True, slots=True)
class RemoteBranch:
    """The branch `branch` of the repository at `url`.

    Args:
        cache: where mirrors lie (`shell.git_source.default_cache`).
        credentials: what git must be given to push there.
    """

    url: str
    branch: str
    cache: Path
    credentials: Credentials | None = field(default=None, repr=False)

    def commit(self, parent: str, edits: Mapping[str, bytes], message: str, *, name: str, email: str) -> str:
        """Return a commit on `parent` in which the files of `edits` hold what is told, and all else is as it was.

        Raises:
            RemoteRefused: a path is no ordinary file of `parent`, such as a link.
            UnsafeValue: a path that leads out of the repository, or into git's own files.
            Unavailable, AuthenticationRequired, RemoteNotFound, ProtocolError: what the remote answers.
        """
        doing = f"cannot commit to {self.branch} of {self.url}"
        paths = {_editable(path): content for path, content in edits.items()}
        mirror = self._mirror()
        mirror.fetch(parent)
        git = Git(mirror.folder, is_exact=True)
        modes, refused = self._modes(git, parent, list(paths))
        for error in refused.values():
            raise error
        lines = []
        for path, content in paths.items():
            oid = git.run("hash-object", "-w", "--stdin", stdin=content, doing=doing).text()
            lines.append(f"{modes[path]} {oid}\t{path}\0")
        with TemporaryIndex(git, parent) as index:
            listed = "".join(lines).encode("utf-8", "surrogateescape")
            git.run("update-index", "-z", "--index-info", stdin=listed, extra=index.variables, doing=doing)
            # Most blobs are not here, and need not be.
            tree = git.run("write-tree", "--missing-ok", extra=index.variables, doing=doing).text()
        return git.run(
            *("commit-tree", "--no-gpg-sign", tree, "-p", parent),
            stdin=checked_message(message).encode(),
            extra=identity_variables(name, email),
            doing=doing,
        ).text()

    def refused(self, parent: str, paths: Iterable[str]) -> Mapping[str, ImageFactoryError]:
        """Return the paths that are no ordinary files of `parent`, so that no commit can change them, and why.

        Raises:
            Unavailable, AuthenticationRequired, RemoteNotFound, ProtocolError: what the remote answers.
        """
        mirror = self._mirror()
        mirror.fetch(parent)
        return self._modes(Git(mirror.folder, is_exact=True), parent, list(paths))[1]

    def push(self, commit: str) -> bool:
        """Push a commit that `commit` returned; return whether it is on the branch now, which may have moved meanwhile.

        Raises:
            RemoteRefused: the remote's rules forbid it.
            Unavailable, AuthenticationRequired, RemoteNotFound, ProtocolError: what the remote answers.
        """
        doing = f"cannot push to {self.branch} of {self.url}"
        git = Git(self._mirror().folder, (transport_of(self.url),), self.credentials, self.url, is_exact=True)
        pushed = git.attempt(
            *("push", "--porcelain", "--no-verify", "--", self.url, f"{commit}:refs/heads/{checked_ref(self.branch)}")
        )
        if pushed.is_ok:
            return True
        said = pushed.stdout.decode("utf-8", "replace")
        if is_overtaken(said):
            return False
        raise refusal(pushed, doing, said, git)

    def trailers(self, revision: str, key: str, *, depth: int = MAX_HISTORY) -> tuple[str, ...]:
        """Return the values of a trailer in the last `depth` commits up to `revision`, the newest first.

        Raises:
            Unavailable, AuthenticationRequired, RemoteNotFound, ProtocolError: what the remote answers.
        """
        if not _KEY.match(key):
            raise UnsafeValue(f"not a trailer: {key[:60]!r}", hint="write a word")
        doing = f"cannot read the history of {self.branch} of {self.url}"
        transport = transport_of(self.url)
        if transport == "file":
            path = unquote(urlsplit(self.url).path) if self.url.startswith("file://") else self.url
            return _logged(Git(Path(path)), revision, key, depth, doing)
        with tempfile.TemporaryDirectory(prefix="image-factory-history-") as folder:
            Git().run("init", "--quiet", "--bare", "--template=", "--", folder, doing=doing)
            online = Git(Path(folder), (transport,), self.credentials, self.url, is_exact=True)
            online.run(
                *("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--filter=tree:0", f"--depth={depth}"),
                *("--", self.url, f"+refs/heads/{checked_ref(self.branch)}:refs/heads/it"),
                doing=doing,
            )
            git = Git(Path(folder), is_exact=True)
            # The branch may be further on by now, and what was added there counts too.
            return _logged(git, "refs/heads/it", key, depth, doing)

    def _mirror(self) -> Mirror:
        return Mirror(self.url, transport_of(self.url), mirror_folder(self.cache, self.url), self.credentials)

    def _modes(self, git: Git, parent: str, paths: list[str]) -> tuple[dict[str, str], dict[str, ImageFactoryError]]:
        """Return the mode of each file that the tree lists, and why a path cannot be changed."""
        refused: dict[str, ImageFactoryError] = {}
        inner: dict[str, str] = {}
        for path in paths:
            try:
                inner[path] = _editable(path)
            except UnsafeValue as error:
                refused[path] = error
        listed = git.attempt("ls-tree", "-z", "--full-tree", parent, "--", *inner.values())
        if not listed.is_ok:
            raise failure(listed, f"cannot list the files of {parent[:12]} of {self.url}")
        modes = {}
        for entry in listed.stdout.decode("utf-8", "surrogateescape").split("\0"):
            fields, tab, found = entry.partition("\t")
            if tab:
                modes[found] = fields.split()[0]
        for path, found in inner.items():
            if modes.get(found) not in _ORDINARY:
                what = "lies behind a link" if found not in modes else "is no ordinary file"
                refused[path] = RemoteRefused(f"{path} {what} in {self.url}", hint="name the file that it leads to")
        return modes, refused


def _editable(path: str) -> str:
    inner = checked_path(path)
    if ".git" in inner.lower().split("/"):
        raise UnsafeValue(f"not a file to change: {path!r}", hint="git's own files are never changed")
    return inner


def _logged(git: Git, revision: str, key: str, depth: int, doing: str) -> tuple[str, ...]:
    told = git.run(
        *("log", f"--max-count={depth}", f"--format=%(trailers:key={key},valueonly=true,unfold=true)"),
        *("--end-of-options", revision, "--"),
        doing=doing,
    )
    return tuple(line.strip() for line in told.stdout.decode("utf-8", "replace").splitlines() if line.strip())
