"""A bare, partial, shallow copy of one remote repository, in a cache folder that may be deleted at any time.

A revision is fetched once: its commit and trees, then in one further conversation the build files
among its blobs; any other file when it is read. A lock file lets processes and threads share it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from image_factory.errors import NotFound, RemoteNotFound
from image_factory.ports import Credentials
from image_factory.shell.git_objects import Answer, Found, ObjectReader
from image_factory.shell.git_program import Git, failure

MAX_PREFETCHED = 5_000
"""Build files of one revision that are fetched in one conversation."""
_BUILD_FILE = re.compile(r"dockerfile|containerfile|docker-bake|compose[^/]*\.ya?ml\Z|\.dockerignore\Z", re.IGNORECASE)


@dataclass(slots=True)
class Mirror:
    """The copy of `url` in `folder`; made at the first use."""

    url: str
    transport: str
    folder: Path
    credentials: Credentials | None = field(default=None, repr=False)
    reader: ObjectReader = field(init=False, repr=False)
    _fetched: set[str] = field(default_factory=set, repr=False)
    _prefetched: set[str] = field(default_factory=set, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self.reader = ObjectReader(self._git())

    def read(self, name: str, revision: str, *, max_bytes: int) -> Answer:
        """Return what `name` leads to at `revision`, fetching what is missing; raises as `fetch` does."""
        self.fetch(revision)
        answer = self.reader.read(name, max_bytes=max_bytes)
        path = name.partition(":")[2]
        if answer.found is not Found.MISSING or not path:
            return answer
        if self._prefetch(revision, path):
            answer = self.reader.read(name, max_bytes=max_bytes)
        if answer.found is Found.MISSING and self._lists(revision, path):
            # The last resort, for a link to a file of any name: let git fetch what it meets.
            online = ObjectReader(self._git(online=True))
            try:
                answer = online.read(name, max_bytes=max_bytes)
            finally:
                online.close()
        return answer

    def fetch(self, revision: str) -> None:
        """Have the commit and trees of `revision` here.

        Raises:
            RemoteNotFound: the remote has no such commit.
            Unavailable, AuthenticationRequired, RateLimited, ProtocolError: what the remote answers.
        """
        if revision in self._fetched:
            return
        with self._locked():
            ref = f"refs/revisions/{revision}"
            if not self._git().attempt("show-ref", "--verify", "--quiet", ref).is_ok:
                self._fetch(revision, ref)
        self._fetched.add(revision)

    def _fetch(self, revision: str, ref: str) -> None:
        git = self._git(online=True)
        quiet = ("--quiet", "--no-tags", "--no-write-fetch-head", "--filter=blob:none")
        doing = f"cannot fetch {revision} of {self.url}"
        fetched = git.attempt("fetch", *quiet, "--depth=1", "origin", f"+{revision}:{ref}")
        if not fetched.is_ok and "unadvertised object" in fetched.complaint(git.secrets):
            # An old server gives only what its branches and tags lead to.
            everything = ("+refs/heads/*:refs/origin/heads/*", "+refs/tags/*:refs/origin/tags/*")
            git.run("fetch", *quiet, "origin", *everything, doing=doing)
            fetched = git.attempt("update-ref", ref, revision)
            if not fetched.is_ok:
                raise RemoteNotFound(f"no commit {revision} in {self.url}", hint="check the branch, tag or commit")
        if not fetched.is_ok:
            raise failure(fetched, doing, git.secrets)

    def _prefetch(self, revision: str, path: str) -> bool:
        """Fetch the build files of `revision`, and those named like `path`; return whether anything was asked for."""
        key = f"{revision}:{path.rsplit('/', 1)[-1]}"
        with self._lock:
            if key in self._prefetched:
                return False
            self._prefetched.add(key)
        wanted: dict[str, None] = {}
        for mode, kind, oid, found in list_tree(self._git(), revision):
            name = found.rsplit("/", 1)[-1]
            if kind == "blob" and (mode == "120000" or name == path.rsplit("/", 1)[-1] or _BUILD_FILE.search(name)):
                wanted[oid] = None
        git = self._git(online=True)
        oids = list(wanted)[:MAX_PREFETCHED]
        if oids:
            git.run(
                *("-c", "fetch.negotiationAlgorithm=noop", "fetch", "--quiet", "--no-tags", "--no-write-fetch-head"),
                *("--filter=blob:none", "--stdin", "origin"),
                stdin="".join(f"{oid}\n" for oid in oids).encode(),
                doing=f"cannot fetch the files of {revision} of {self.url}",
            )
        self.reader.close()
        return bool(oids)

    def _lists(self, revision: str, path: str) -> bool:
        """Whether `path`, or a link on the way to it, is in the tree of `revision`."""
        return any(
            found == path or (mode == "120000" and path.startswith(f"{found}/"))
            for mode, _, _, found in list_tree(self._git(), revision)
        )

    def _git(self, *, online: bool = False) -> Git:
        if not online:
            return Git(self.folder, is_exact=True)
        return Git(self.folder, (self.transport,), self.credentials, self.url, is_exact=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold this mirror for this thread alone, among all processes, and have it made."""
        self.folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.folder.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not (self.folder / "config").is_file() or not (self.folder / "ready").is_file():
                self._make()
            yield
        finally:
            os.close(descriptor)

    def _make(self) -> None:
        doing = f"cannot make {str(self.folder)!r}"
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise NotFound(f"{doing}: {error.strerror}", hint="give a cache folder that can be written") from error
        Git().run("init", "--quiet", "--bare", "--template=", "--", str(self.folder), doing=doing)
        for setting, value in (
            ("remote.origin.url", self.url),
            ("remote.origin.promisor", "true"),
            ("remote.origin.partialCloneFilter", "blob:none"),
        ):
            self._git().run("config", setting, value, doing=doing)
        (self.folder / "ready").touch()


def mirror_folder(cache: Path, url: str) -> Path:
    """Return the folder below `cache` for the copy of `url`: readable, and different for each URL."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", url.rpartition("://")[2]).strip("-")[:60]
    return cache / f"{words}-{hashlib.sha256(url.encode()).hexdigest()[:16]}.git"


def is_build_file(path: str) -> bool:
    """Whether a file's name says that builds are read from it: Dockerfiles, bake and compose files."""
    return _BUILD_FILE.search(path.rsplit("/", 1)[-1]) is not None


def list_tree(git: Git, revision: str, prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Yield mode, kind, id and path of everything below `prefix`, submodules too; folders themselves are left out.

    Raises:
        RemoteNotFound: there is no such commit.
    """
    words = ["ls-tree", "-r", "-z", "--full-tree", revision, "--"]
    listed = git.attempt(*words, *((f"{prefix}/",) if prefix else ()))
    if not listed.is_ok:
        complaint = listed.complaint()
        if "not a tree object" in complaint.lower() or "not a valid object name" in complaint.lower():
            raise RemoteNotFound(f"no commit {revision} in {str(git.folder)!r}", hint="check the revision")
        raise failure(listed, f"cannot list the files of {revision}")
    for entry in listed.stdout.decode("utf-8", "surrogateescape").split("\0"):
        fields, tab, path = entry.partition("\t")
        if tab:
            mode, kind, oid = fields.split()
            yield mode, kind, oid, path
