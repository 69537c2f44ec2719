"""The built-in source `git`: Dockerfiles out of any git repository, by URL or in a local folder.

`source.repo` is a clone URL (https, ssh, file, or http on loopback) or a folder; with `source.host`
it is a path on that host. A local repository is read where it lies, without a clone; a remote one
through a mirror in a cache folder. Symbolic links inside the repository are followed, submodules are
not. Safe to share between threads.
"""

from __future__ import annotations

import ipaddress
import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from image_factory.errors import InvalidSettings, ProtocolError, RemoteNotFound, RemoteRefused, UnsafeValue
from image_factory.hookspecs import hookimpl
from image_factory.model.settings import Settings
from image_factory.ports import ChangeProposal, ChangeRequest, Credentials, Source, SourceRepository
from image_factory.shell.git_mirror import Mirror, is_build_file, list_tree, mirror_folder
from image_factory.shell.git_objects import Answer, Found, ObjectReader
from image_factory.shell.git_program import Git, checked_path, checked_ref, is_commit_id, missing_folder

MAX_FILE = 16 * 1024 * 1024
"""Bytes of one file; a Dockerfile of more is refused."""
MAX_READERS = 16
"""Local repositories whose object readers are kept running at once."""

_ABBREVIATED = re.compile(r"[0-9a-f]{7,64}\Z")
_URL = re.compile(r"(?P<scheme>https?|ssh|file)://[A-Za-z0-9_.~/:@%+\[\]-]+\Z")
_SCP = re.compile(
    r"(?:[A-Za-z0-9_.][A-Za-z0-9_.-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*:(?!//)[A-Za-z0-9_.~/][A-Za-z0-9_.~/+-]*\Z"
)


MIN_FOR_LISTING = 100
"""Reads of one revision after which its build files are listed."""
LINK = "120000"
"""git's mode of a symbolic link, which must be followed by its path."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a repository is: a folder, or a URL and the one transport that reaches it."""

    folder: Path | None
    url: str
    transport: str = ""


class GitSource:
    """Reads git repositories with the git program alone; authentication is git's own (helpers, ssh agent).

    Args:
        cache: where mirrors of remote repositories lie; the user's cache folder
            ($XDG_CACHE_HOME/image-factory/git) where it is None.
        folder: what a relative `source.repo` is relative to; the working folder where it is None.
        credentials: asked for what to give an https URL, before git's own helpers.
    """

    name = "git"

    def __init__(
        self,
        *,
        cache: Path | None = None,
        folder: Path | None = None,
        credentials: Callable[[str], Credentials | None] | None = None,
        max_file: int = MAX_FILE,
    ) -> None:
        self._cache = cache if cache is not None else default_cache()
        self._folder = folder
        self._credentials = credentials
        self._max_file = max_file
        self._lock = threading.Lock()
        self._readers: dict[Path, ObjectReader] = {}
        self._mirrors: dict[str, Mirror] = {}
        self._reads: dict[tuple[Path, str], int] = {}
        self._blobs: dict[tuple[Path, str], dict[str, str]] = {}

    def claims(self, url: str) -> bool:
        """Whether only git itself can answer: a file URL, a folder, or a loopback address."""
        if url.startswith(("/", "./", "../", "file://")):
            return True
        return url.startswith("http://") and is_loopback(url)

    def clone_url(self, repository: SourceRepository) -> str:
        return self._place(repository).url

    def credentials(self, repository: SourceRepository) -> Credentials | None:
        place = self._place(repository)
        return self._credentials(place.url) if self._credentials and place.transport in ("http", "https") else None

    def revision(self, repository: SourceRepository, ref: str) -> str:
        """Return the commit id of a branch, else a tag, else a commit; of one name, the branch wins."""
        place = self._place(repository)
        checked_ref(ref)
        if place.folder is None:
            return self._remote_revision(place, repository, ref)
        reader = self._reader(place.folder)
        names = [ref] if ref == "HEAD" or ref.startswith("refs/") else [f"refs/heads/{ref}", f"refs/tags/{ref}"]
        if _ABBREVIATED.match(ref):
            names.append(ref)
        for name in names:
            answer = reader.read(f"{name}^{{commit}}", max_bytes=self._max_file)
            if answer.found is Found.COMMIT:
                return answer.id
        raise _no_revision(ref, repository)

    def references(self, repository: SourceRepository) -> Mapping[str, str]:
        place = self._place(repository)
        doing = f"cannot list the branches of {repository}"
        if place.folder is None:
            listed = self._online(place, repository).run("ls-remote", "--quiet", "--", place.url, doing=doing)
        else:
            self._reader(place.folder)
            git = Git(place.folder, is_exact=True)
            listed = git.attempt("show-ref", "--dereference")
        return _references(listed.stdout.decode("utf-8", "replace"))

    def read(self, repository: SourceRepository, revision: str, path: str) -> bytes:
        """Return a file's content, of at most `MAX_FILE` bytes."""
        place = self._place(repository)
        path = checked_path(path)
        name = f"{_checked_id(revision)}:{path}"
        if place.folder is None:
            answer = self._mirror(place, repository).read(name, revision, max_bytes=self._max_file)
        else:
            name = self._blob(place.folder, revision, path) or name
            answer = self._reader(place.folder).read(name, max_bytes=self._max_file)
            if answer.found is Found.MISSING:
                commit = self._reader(place.folder).read(f"{revision}^{{commit}}", max_bytes=self._max_file)
                if commit.found is not Found.COMMIT:
                    raise _no_revision(revision, repository)
        return self._content(answer, repository, revision, path)

    def files(self, repository: SourceRepository, revision: str, prefix: str = "") -> Sequence[str]:
        """Return the paths of all files and links below `prefix`; submodules are no files of this repository."""
        place = self._place(repository)
        below = "" if prefix.strip("./") == "" and ".." not in prefix else checked_path(prefix)
        _checked_id(revision)
        if place.folder is None:
            mirror = self._mirror(place, repository)
            mirror.fetch(revision)
            git = Git(mirror.folder, is_exact=True)
        else:
            self._reader(place.folder)
            git = Git(place.folder, is_exact=True)
        return sorted(path for _, kind, _, path in list_tree(git, revision, below) if kind == "blob")

    def open_change_request(self, repository: SourceRepository, proposal: ChangeProposal) -> ChangeRequest:
        """Refuse: git itself knows no change requests."""
        raise RemoteRefused(
            f"git alone cannot open a change request on {repository}",
            hint="use a provider that has them, such as github, or mode: push",
        )

    def change_request(self, repository: SourceRepository, branch: str, base: str) -> ChangeRequest | None:
        """Return None: git itself knows no change requests."""
        return None

    def web_url(self, repository: SourceRepository, revision: str | None = None, path: str | None = None) -> str | None:
        return None

    def close(self) -> None:
        """End the git processes that were kept running; a later read starts others."""
        with self._lock:
            for reader in (*self._readers.values(), *(mirror.reader for mirror in self._mirrors.values())):
                reader.close()

    # --- inner ---------------------------------------------------------------------------------------

    def _blob(self, folder: Path, revision: str, path: str) -> str | None:
        """Return the id of a build file's content once many files of a revision were read, else None.

        git walks a path from the root at every read; in a folder of ten thousand that is most of the
        work. One listing of the build files serves all further reads.
        """
        with self._lock:
            count = self._reads.get((folder, revision), 0) + 1
            self._reads[folder, revision] = count
            if count == MIN_FOR_LISTING:
                self._blobs[folder, revision] = {
                    found: oid
                    for mode, kind, oid, found in list_tree(Git(folder, is_exact=True), revision)
                    if kind == "blob" and mode != LINK and is_build_file(found)
                }
            return self._blobs.get((folder, revision), {}).get(path)

    def _content(self, answer: Answer, repository: SourceRepository, revision: str, path: str) -> bytes:
        at = f"{path} in {repository} at {revision[:12]}"
        if answer.found is Found.BLOB:
            return answer.content
        if answer.found is Found.TOO_LARGE:
            raise ProtocolError(f"{at} has {answer.size} bytes", hint=f"at most {self._max_file} are read")
        if answer.found is Found.OUTSIDE:
            raise UnsafeValue(f"{at} is a symbolic link out of the repository", hint="name a file inside it")
        if answer.found is Found.TREE:
            raise RemoteNotFound(f"{at} is a folder", hint="name a file in it")
        if answer.found in (Found.DANGLING, Found.LOOP):
            raise RemoteNotFound(f"{at} is a symbolic link that leads nowhere", hint="name a file that exists")
        raise RemoteNotFound(f"no file {at}", hint="check the path, and the branch that it is on")

    def _remote_revision(self, place: _Place, repository: SourceRepository, ref: str) -> str:
        if is_commit_id(ref):
            answer = self._mirror(place, repository).read(f"{ref}^{{commit}}", ref, max_bytes=self._max_file)
            if answer.found is Found.COMMIT:
                return answer.id
            raise _no_revision(ref, repository)
        whole = ref == "HEAD" or ref.startswith("refs/")
        names = [ref] if whole else [f"refs/heads/{ref}", f"refs/tags/{ref}"]
        listed = self._online(place, repository).run(
            *("ls-remote", "--quiet", "--", place.url, *names, *(f"{name}^{{}}" for name in names)),
            doing=f"cannot ask {repository} for {ref}",
        )
        found = _references(listed.stdout.decode("utf-8", "replace"), heads=whole)
        for name in names:
            if name in found:
                return found[name]
        raise _no_revision(ref, repository)

    def _place(self, repository: SourceRepository) -> _Place:
        written = repository.path
        if repository.host is not None:
            host = repository.host if "://" in repository.host else f"https://{repository.host}"
            written = f"{host.rstrip('/')}/{written.lstrip('/')}"
        scheme = _URL.match(written)
        if scheme is None:
            if repository.host is None and _SCP.match(written) and not written.startswith((".", "/")):
                return _Place(None, written, "ssh")
            return self._local(written)
        try:
            parts = urlsplit(written)
            has_password, host_name = parts.password is not None, parts.hostname or ""
        except ValueError as error:
            raise _unsafe(written) from error
        if scheme["scheme"] == "file":
            if parts.netloc not in ("", "localhost"):
                raise _unsafe(written)
            return self._local(unquote(parts.path))
        if has_password or (parts.username is not None and scheme["scheme"] != "ssh"):
            raise UnsafeValue(
                f"the URL of a repository on {host_name} holds credentials", hint="give them to git's credential helper"
            )
        if not host_name or host_name.startswith("-") or parts.path in ("", "/"):
            raise _unsafe(written)
        if scheme["scheme"] == "http" and not is_loopback(written):
            raise UnsafeValue(f"not encrypted: {written!r}", hint="use https")
        return _Place(None, written, scheme["scheme"])

    def _local(self, written: str) -> _Place:
        if not written or written.startswith("-") or re.search(r"[\x00-\x1f\x7f]|://|::", written):
            raise _unsafe(written)
        folder = Path(written)
        if not folder.is_absolute():
            folder = (self._folder or Path.cwd()) / folder
        return _Place(folder, folder.absolute().as_uri())

    def _reader(self, folder: Path) -> ObjectReader:
        if not ((folder / ".git").exists() or ((folder / "HEAD").is_file() and (folder / "objects").is_dir())):
            raise missing_folder(folder)
        with self._lock:
            reader = self._readers.pop(folder, None)
            if reader is None:
                git = Git(folder, is_exact=True)
                # git says here, once, whose folder it is or what else is wrong; the reader has no voice.
                git.run("rev-parse", "--git-dir", doing=f"cannot read {str(folder)!r}")
                reader = ObjectReader(git)
            self._readers[folder] = reader
            while len(self._readers) > MAX_READERS:
                self._readers.pop(next(iter(self._readers))).close()
            return reader

    def _mirror(self, place: _Place, repository: SourceRepository) -> Mirror:
        with self._lock:
            if place.url not in self._mirrors:
                self._mirrors[place.url] = Mirror(
                    place.url, place.transport, mirror_folder(self._cache, place.url), self.credentials(repository)
                )
            return self._mirrors[place.url]

    def _online(self, place: _Place, repository: SourceRepository) -> Git:
        return Git(None, (place.transport,), self.credentials(repository), place.url)


def default_cache() -> Path:
    """Return where mirrors lie unless someone says otherwise: $XDG_CACHE_HOME/image-factory/git."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "image-factory" / "git"


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine itself."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@hookimpl
def register_sources(register: Callable[[Source], None], settings: Settings) -> None:
    """Introduce `git`; `plugins.git.cacheDir` in config.yaml moves its mirrors."""
    cache = settings.plugins.get("git", {}).get("cacheDir")
    if cache is not None and (not isinstance(cache, str) or not cache):
        raise InvalidSettings(f"plugins.git.cacheDir is no folder: {cache!r}", hint="write a path")
    register(GitSource(cache=None if cache is None else Path(cache).expanduser()))


def _references(text: str, *, heads: bool = False) -> dict[str, str]:
    """Return branches and tags out of `<id> <name>` lines; a peeled tag's commit stands for the tag."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        oid, _, name = line.replace("\t", " ").partition(" ")
        if not is_commit_id(oid):
            raise ProtocolError(f"not a commit id: {oid[:80]!r}", hint="the server does not speak git")
        plain = name.removesuffix("^{}")
        if not heads and not plain.startswith(("refs/heads/", "refs/tags/")):
            continue
        try:
            checked_ref(plain)
        except UnsafeValue:
            continue  # a server may list what git itself would not create; nobody can ask for it
        found[plain] = oid
    return dict(sorted(found.items()))


def _checked_id(revision: str) -> str:
    if not is_commit_id(revision):
        raise UnsafeValue(f"not a commit id: {revision[:80]!r}", hint="ask revision() for one")
    return revision


def _unsafe(written: str) -> UnsafeValue:
    return UnsafeValue(
        f"not a repository that git may read: {written[:120]!r}", hint="write an https, ssh or file URL, or a folder"
    )


def _no_revision(ref: str, repository: SourceRepository) -> RemoteNotFound:
    return RemoteNotFound(
        f"no branch, tag or commit {ref!r} in {repository}", hint="check source.branch; a new branch must be pushed"
    )
