"""The source `github`: files, revisions and change requests through the REST API, without a clone.

Requests: a branch's revision costs one, a file one (two above 1 MB), a listing one a commit, kept
while the process lasts. Symbolic links are followed here where GitHub does not. Threads may share it.
"""

from __future__ import annotations

import base64
import binascii
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from image_factory.errors import ProtocolError, RemoteNotFound
from image_factory.ports import ChangeProposal, ChangeRequest, Clock, Credentials, SourceRepository
from image_factory.shell.git_paths import checked_commit, linked_path
from image_factory.shell.git_program import checked_path, checked_ref, is_commit_id
from image_factory_github.hosts import Hosts

if TYPE_CHECKING:
    from image_factory_github.client import Client

MAX_FILE = 16 * 1024 * 1024
"""Bytes of one file; a Dockerfile of more is refused."""
MAX_HOPS = 8
"""Symbolic links that are followed one after another."""
MAX_TREES = 2_000
"""Folders that are listed one by one where a repository is too large for one listing."""
KEPT_LISTINGS = 32


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a git tree."""

    path: str
    mode: str
    kind: str
    sha: str


class GitHubSource:
    """Reads repositories of github.com and of Enterprise hosts."""

    name = "github"

    def __init__(self, hosts: Hosts, clock: Clock) -> None:
        self._hosts = hosts
        self._clock = clock
        self._clients: dict[str, Client] = {}
        self._listings: dict[tuple[str, str, str], tuple[Entry, ...]] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return "GitHubSource()"

    def claims(self, url: str) -> bool:
        return self._hosts.claimed(url)

    def clone_url(self, repository: SourceRepository) -> str:
        return f"{self._hosts.of(repository).web}/{self._hosts.full_name(repository)}.git"

    def credentials(self, repository: SourceRepository) -> Credentials | None:
        token = self.client(repository).token()
        return None if token is None else Credentials("x-access-token", token)

    def revision(self, repository: SourceRepository, ref: str) -> str:
        """Return the commit id of a branch, else a tag, else a commit; of one name, the branch wins."""
        at = self.at(repository)
        checked_ref(ref)
        client, doing = self.client(repository), f"cannot find {ref} in {repository}"
        plain = ref.removeprefix("refs/")
        if plain == ref and ref != "HEAD" and not is_commit_id(ref):
            found = self.branch(repository, ref)
            if found is not None:
                return found
        names = [plain] if plain != ref or ref == "HEAD" or is_commit_id(ref) else [f"tags/{ref}"]
        if re.fullmatch(r"[0-9a-f]{7,39}", ref):
            names.append(ref)
        for name in names:
            try:
                sha = str(client.get(f"{at}/commits/{name}", doing=doing, accept="sha")).strip()
            except RemoteNotFound:
                continue
            if not is_commit_id(sha):
                raise client.odd(doing, "the answer is no commit id")
            return sha
        raise RemoteNotFound(
            f"no branch, tag or commit {ref!r} in {repository}",
            hint="check source.branch, and that the token may read the repository",
        )

    def branch(self, repository: SourceRepository, name: str) -> str | None:
        """Return a branch's commit id, or None where there is no such branch."""
        client, doing = self.client(repository), f"cannot find the branch {name} of {repository}"
        try:
            found = client.get(f"{self.at(repository)}/git/ref/heads/{name}", doing=doing)
        except RemoteNotFound:
            return None
        # Old Enterprise answers a list of what begins alike.
        if not isinstance(found, dict) or found.get("ref") != f"refs/heads/{name}":
            return None
        return sha_of(client, found.get("object"), doing)

    def references(self, repository: SourceRepository) -> Mapping[str, str]:
        at, client = self.at(repository), self.client(repository)
        doing = f"cannot list the branches of {repository}"
        found: dict[str, str] = {}
        for kind, word in (("heads", "branches"), ("tags", "tags")):
            for item in client.pages(f"{at}/{word}", doing=doing):
                if not isinstance(item, dict) or not isinstance(item.get("name"), str):
                    raise client.odd(doing, "an entry has no name")
                found[f"refs/{kind}/{item['name']}"] = sha_of(client, item.get("commit"), doing)
        return dict(sorted(found.items()))

    def read(self, repository: SourceRepository, revision: str, path: str) -> bytes:
        """Return a file's content, of at most `MAX_FILE` bytes."""
        inner = checked_path(path)
        checked_commit(revision)
        self.at(repository)
        try:
            return self._read(repository, revision, inner)
        except RemoteNotFound as error:
            if inner in error.message:
                raise
            raise RemoteNotFound(f"cannot read {inner}: {error.message}", hint=error.hint) from error

    def files(self, repository: SourceRepository, revision: str, prefix: str = "") -> Sequence[str]:
        """Return the paths of all files and links below `prefix`; submodules are no files of this repository."""
        below = "" if prefix.strip("./") == "" and ".." not in prefix else checked_path(prefix)
        checked_commit(revision)
        entries = self.listing(repository, revision, below)
        return sorted(
            entry.path
            for entry in entries
            if entry.kind == "blob" and (not below or entry.path.startswith(f"{below}/"))
        )

    def open_change_request(self, repository: SourceRepository, proposal: ChangeProposal) -> ChangeRequest:
        """Open a pull request; one open for the branch gets a further commit and a new text, if they differ."""
        from image_factory_github.changes import open_change_request

        return open_change_request(self, repository, proposal)

    def change_request(self, repository: SourceRepository, branch: str, base: str) -> ChangeRequest | None:
        from image_factory_github.changes import find_change_request

        return find_change_request(self, repository, branch, base)

    def web_url(self, repository: SourceRepository, revision: str | None = None, path: str | None = None) -> str | None:
        page = f"{self._hosts.of(repository).web}/{self._hosts.full_name(repository)}"
        if revision is None and path is None:
            return page
        at = quote(checked_ref(revision or "HEAD"), safe="/")
        return f"{page}/tree/{at}" if path is None else f"{page}/blob/{at}/{quote(checked_path(path), safe='/')}"

    def catalog_annotations(self, repository: SourceRepository, workflow: str) -> Mapping[str, str]:
        slug = {"github.com/project-slug": self._hosts.full_name(repository)}
        return slug | ({"github.com/workflows": workflow} if workflow else {})

    # --- for this plugin's other files -----------------------------------------------------------------

    def at(self, repository: SourceRepository) -> str:
        """Return the repository's path in the API, checked."""
        return f"/repos/{self._hosts.full_name(repository)}"

    def close(self) -> None:
        """Close all connections; a later request opens new ones."""
        for client in list(self._clients.values()):
            client.close()

    def client(self, repository: SourceRepository) -> Client:
        """Return the client of the repository's host."""
        from image_factory_github.client import Client

        host = self._hosts.of(repository)
        with self._lock:
            if host.api not in self._clients:
                self._clients[host.api] = Client(host, self._hosts, self._clock)
            return self._clients[host.api]

    def listing(self, repository: SourceRepository, revision: str, below: str = "") -> tuple[Entry, ...]:
        """Return every entry of a commit's tree; of a repository too large for one answer, those near `below`."""
        at, client = self.at(repository), self.client(repository)
        doing = f"cannot list the files of {repository} at {revision[:12]}"
        key = (client.host.api + at, revision, "")
        with self._lock:
            known = self._listings.get(key) or self._listings.get((*key[:2], below))
        if known is not None:
            return known
        entries, is_truncated = self._tree(client, at, revision, doing, recursive=True)
        if is_truncated:
            key = (*key[:2], below)
            entries = self._walk(client, at, revision, doing, below)
        with self._lock:
            self._listings[key] = tuple(entries)
            while len(self._listings) > KEPT_LISTINGS:
                self._listings.pop(next(iter(self._listings)))
        return tuple(entries)

    # --- inner ---------------------------------------------------------------------------------------

    def _read(self, repository: SourceRepository, revision: str, path: str, hops: int = 0) -> bytes:
        at, client = self.at(repository), self.client(repository)
        doing = f"cannot read {path} in {repository} at {revision[:12]}"
        if hops > MAX_HOPS:
            raise RemoteNotFound(f"{doing}: symbolic links run in a circle", hint="name a file that exists")
        try:
            told = client.get(f"{at}/contents/{path}", doing=doing, parameters={"ref": revision})
        except RemoteNotFound:
            target = self._through_link(repository, revision, path)
            if target is None:
                raise
            return self._read(repository, revision, target, hops + 1)
        if isinstance(told, list):
            raise RemoteNotFound(f"{doing}: it is a folder", hint="name a file in it")
        kind = told.get("type") if isinstance(told, dict) else None
        if kind == "symlink" and isinstance(told.get("target"), str):
            return self._read(repository, revision, linked_path(path, told["target"], doing), hops + 1)
        if kind == "submodule":
            raise RemoteNotFound(f"{doing}: it is a submodule", hint="enroll the other repository")
        if kind != "file":
            raise client.odd(doing, "the answer is no file")
        size = told.get("size")
        if isinstance(size, int) and size > MAX_FILE:
            raise ProtocolError(f"{doing}: it has {size} bytes", hint=f"at most {MAX_FILE} are read")
        if told.get("encoding") == "base64":
            return _decoded(client, told, doing)
        sha = sha_of(client, told, doing)
        return _decoded(client, client.get(f"{at}/git/blobs/{sha}", doing=doing), doing)

    def _through_link(self, repository: SourceRepository, revision: str, path: str) -> str | None:
        """Return where `path` leads where a folder on its way is a symbolic link; None where none is."""
        folders = {path[: match.start()] for match in re.finditer("/", path)}
        for entry in self.listing(repository, revision, path.rpartition("/")[0]):
            if entry.mode == "120000" and entry.path in folders:
                client, doing = self.client(repository), f"cannot follow {entry.path} in {repository}"
                link = _decoded(client, client.get(f"{self.at(repository)}/git/blobs/{entry.sha}", doing=doing), doing)
                target = linked_path(entry.path, link.decode("utf-8", "replace"), doing)
                return f"{target}{path[len(entry.path) :]}" if target else path[len(entry.path) + 1 :]
        return None

    def _tree(
        self, client: Client, at: str, tree: str, doing: str, *, recursive: bool, above: str = ""
    ) -> tuple[list[Entry], bool]:
        parameters: dict[str, str | int] = {"recursive": "1"} if recursive else {}
        told = client.get(f"{at}/git/trees/{tree}", doing=doing, parameters=parameters)
        entries: list[Entry] = []
        listed = told.get("tree") if isinstance(told, dict) else None
        for item in listed if isinstance(listed, list) else [{}]:
            try:
                entries.append(Entry(above + item["path"], item["mode"], item["type"], item["sha"]))
            except (TypeError, KeyError):
                raise client.odd(doing, "the listing cannot be read") from None
        return entries, bool(told.get("truncated"))

    def _walk(self, client: Client, at: str, revision: str, doing: str, below: str) -> list[Entry]:
        """List folder by folder: those on the way to `below`, and all in it."""
        found: list[Entry] = []
        waiting = [("", revision)]
        for _ in range(MAX_TREES):
            if not waiting:
                return found
            above, tree = waiting.pop()
            entries, _ = self._tree(client, at, tree, doing, recursive=False, above=above)
            found += entries
            waiting += [
                (f"{entry.path}/", entry.sha)
                for entry in entries
                if entry.kind == "tree"
                and (f"{below}/".startswith(f"{entry.path}/") or not below or entry.path.startswith(f"{below}/"))
            ]
        raise ProtocolError(f"{doing}: more than {MAX_TREES} folders", hint="give a folder, or use provider: git")


def sha_of(client: Client, told: Any, doing: str) -> str:
    """Return the `sha` of a piece of an answer, checked."""
    sha = told.get("sha") if isinstance(told, dict) else None
    if not isinstance(sha, str) or not is_commit_id(sha):
        raise client.odd(doing, "the answer holds no id")
    return sha


def _decoded(client: Client, told: Any, doing: str) -> bytes:
    content = told.get("content") if isinstance(told, dict) else None
    if not isinstance(content, str) or told.get("encoding") != "base64":
        raise client.odd(doing, "the answer holds no content")
    try:
        data = base64.b64decode("".join(content.split()), validate=True)
    except (binascii.Error, ValueError):
        raise client.odd(doing, "the content is no base64") from None
    if len(data) != told.get("size", len(data)) or len(data) > MAX_FILE:
        raise client.odd(doing, "the content has another size than told")
    return data
