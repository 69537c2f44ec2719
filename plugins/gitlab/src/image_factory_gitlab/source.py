"""The source `gitlab`: files, revisions and change requests through the REST API, without a clone.

Requests: a branch's revision costs one, a file one, a listing one for 100 entries, kept while the process
lasts. GitLab answers a symbolic link with where it leads and does not say that it is one: what could be
a link is looked up in its folder's listing, and followed here. Threads may share it.
"""

from __future__ import annotations

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
from image_factory_gitlab.hosts import Host, Hosts, Project, TokenKind
from image_factory_gitlab.job import remote_references

if TYPE_CHECKING:
    from image_factory_gitlab.client import Client

MAX_FILE = 16 * 1024 * 1024
"""Bytes of one file; a Dockerfile of more is refused."""
MAX_HOPS = 8
"""Symbolic links that are followed one after another."""
MAX_LINK = 4_096
"""Bytes of a symbolic link's text, as in Linux."""
KEPT_LISTINGS = 32

ORDINARY = ("100644", "100755")
"""Modes of files that are what they seem."""
_LINK, _SUBMODULE = "120000", "160000"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a git tree."""

    path: str
    mode: str
    kind: str


class GitLabSource:
    """Reads projects of gitlab.com and of any other GitLab."""

    name = "gitlab"

    def __init__(self, hosts: Hosts, clock: Clock) -> None:
        self._hosts = hosts
        self._clock = clock
        self._clients: dict[str, Client] = {}
        self._listings: dict[tuple[str, str, str], tuple[Entry, ...]] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return "GitLabSource()"

    def claims(self, url: str) -> bool:
        return self._hosts.claimed(url)

    def clone_url(self, repository: SourceRepository) -> str:
        return f"{self.project(repository).web}.git"

    def credentials(self, repository: SourceRepository) -> Credentials | None:
        token = self._hosts.token(self.project(repository).host)
        if token is None:
            return None
        return Credentials("gitlab-ci-token" if token.kind is TokenKind.JOB else "oauth2", token.value)

    def revision(self, repository: SourceRepository, ref: str) -> str:
        """Return the commit id of a branch, else a tag, else a commit; of one name, the branch wins."""
        project, client = self.project(repository), self.client(repository)
        checked_ref(ref)
        doing = f"cannot find {ref} in {repository}"
        references = self._job_references(repository)
        if references is not None:
            names = (ref,) if ref.startswith("refs/") or ref == "HEAD" else (f"refs/heads/{ref}", f"refs/tags/{ref}")
            known = [references[each] for each in names if each in references] or [ref]
            if is_commit_id(known[0]):
                return known[0]
            raise _no_ref(repository, ref)
        name = quote(ref, safe="")
        tries = [("branches", name), ("tags", name)]
        if ref.startswith("refs/heads/"):
            tries = [("branches", quote(ref.removeprefix("refs/heads/"), safe=""))]
        elif ref.startswith("refs/tags/"):
            tries = [("tags", quote(ref.removeprefix("refs/tags/"), safe=""))]
        elif ref == "HEAD" or is_commit_id(ref):
            tries = [("commits", name)]
        elif re.fullmatch(r"[0-9a-f]{7,39}", ref):
            tries.append(("commits", name))
        for kind, wanted in tries:
            try:
                told = client.get(f"{project.at}/repository/{kind}/{wanted}", doing=doing)
            except RemoteNotFound as error:
                if "Project Not Found" in error.message:
                    raise
                continue
            return commit_of(client, told if kind == "commits" else _part(told, "commit"), doing)
        raise _no_ref(repository, ref)

    def branch(self, repository: SourceRepository, name: str) -> str | None:
        """Return a branch's commit id, or None where there is no such branch."""
        client, doing = self.client(repository), f"cannot find the branch {name} of {repository}"
        try:
            told = client.get(f"{self.project(repository).at}/repository/branches/{quote(name, safe='')}", doing=doing)
        except RemoteNotFound as error:
            if "Project Not Found" in error.message:
                raise
            return None
        return commit_of(client, _part(told, "commit"), doing)

    def references(self, repository: SourceRepository) -> Mapping[str, str]:
        at, client = self.project(repository).at, self.client(repository)
        doing = f"cannot list the branches of {repository}"
        references = self._job_references(repository)
        if references is not None:
            return {ref: sha for ref, sha in sorted(references.items()) if ref != "HEAD"}
        found: dict[str, str] = {}
        for kind, word in (("heads", "branches"), ("tags", "tags")):
            for item in client.pages(f"{at}/repository/{word}", doing=doing):
                if not isinstance(item, dict) or not isinstance(item.get("name"), str):
                    raise client.odd(doing, "an entry has no name")
                found[f"refs/{kind}/{item['name']}"] = commit_of(client, item.get("commit"), doing)
        return dict(sorted(found.items()))

    def read(self, repository: SourceRepository, revision: str, path: str) -> bytes:
        """Return a file's content, of at most `MAX_FILE` bytes; of a file in Git LFS its pointer, as git has it."""
        inner = checked_path(path)
        checked_commit(revision)
        self.project(repository)
        try:
            return self._read(repository, revision, inner)
        except RemoteNotFound as error:
            if inner in error.message:
                raise
            raise RemoteNotFound(f"cannot read {inner}: {error.message}", hint=error.hint) from error

    def files(self, repository: SourceRepository, revision: str, prefix: str = "") -> Sequence[str]:
        """Return the paths of all files and links below `prefix`; submodules are no files of this project."""
        below = "" if prefix.strip("./") == "" and ".." not in prefix else checked_path(prefix)
        checked_commit(revision)
        project, client = self.project(repository), self.client(repository)
        key = (client.host.api + project.at, revision, below)
        with self._lock:
            known = self._listings.get(key)
        if known is None:
            try:
                known = tuple(self._listed(repository, revision, below, is_recursive=True))
            except RemoteNotFound as error:
                if not below or "Project Not Found" in error.message or "Tree Not Found" in error.message:
                    raise
                known = ()
            with self._lock:
                self._listings[key] = known
                while len(self._listings) > KEPT_LISTINGS:
                    self._listings.pop(next(iter(self._listings)))
        return sorted(entry.path for entry in known if entry.kind == "blob")

    def open_change_request(self, repository: SourceRepository, proposal: ChangeProposal) -> ChangeRequest:
        """Open a merge request; one open for the branch gets a further commit and a new text, if they differ."""
        from image_factory_gitlab.changes import open_change_request

        return open_change_request(self, repository, proposal)

    def change_request(self, repository: SourceRepository, branch: str, base: str) -> ChangeRequest | None:
        from image_factory_gitlab.changes import find_change_request

        return find_change_request(self, repository, branch, base)

    def web_url(self, repository: SourceRepository, revision: str | None = None, path: str | None = None) -> str | None:
        page = self.project(repository).web
        if revision is None and path is None:
            return page
        at = quote(checked_ref(revision or "HEAD"), safe="/")
        return f"{page}/-/tree/{at}" if path is None else f"{page}/-/blob/{at}/{quote(checked_path(path), safe='/')}"

    def catalog_annotations(self, repository: SourceRepository, workflow: str) -> Mapping[str, str]:
        return {"gitlab.com/project-slug": self.project(repository).path}

    # --- for this plugin's other files -----------------------------------------------------------------

    def project(self, repository: SourceRepository) -> Project:
        """Return the repository's project, checked."""
        return self._hosts.project(repository)

    def client(self, repository: SourceRepository) -> Client:
        """Return the client of the repository's GitLab."""
        from image_factory_gitlab.client import Client

        host: Host = self._hosts.project(repository).host
        with self._lock:
            if host.api not in self._clients:
                self._clients[host.api] = Client(host, self._hosts, self._clock)
            return self._clients[host.api]

    def content(self, repository: SourceRepository, revision: str, path: str) -> tuple[bytes, str]:
        """Return what a path holds at a commit id, followed nowhere, and its mode.

        Raises:
            RemoteNotFound: there is no such file.
        """
        client, doing = self.client(repository), f"cannot read {path} in {repository} at {revision[:12]}"
        at = f"{self.project(repository).at}/repository/files/{quote(path, safe='')}/raw"
        data = client.raw(at, doing=doing, parameters={"ref": revision, "lfs": "false"})
        if len(data) > MAX_FILE:
            raise ProtocolError(f"{doing}: it has {len(data)} bytes", hint=f"at most {MAX_FILE} are read")
        # A link's text is one short line without its end, and a submodule's content is empty.
        if len(data) <= MAX_LINK and not re.search(rb"[\x00-\x1f]", data):
            for entry in self._listed(repository, revision, path.rpartition("/")[0], is_recursive=False):
                if entry.path == path:
                    return data, entry.mode
        return data, ORDINARY[0]

    # --- inner ---------------------------------------------------------------------------------------

    def _job_references(self, repository: SourceRepository) -> Mapping[str, str] | None:
        """Return what git tells where our token is a CI job's, which the API tells nothing; None where it is not."""
        token, credentials = self._hosts.token(self.project(repository).host), self.credentials(repository)
        if token is None or token.kind is not TokenKind.JOB or credentials is None:
            return None
        return remote_references(self.clone_url(repository), credentials)

    def _read(self, repository: SourceRepository, revision: str, path: str, hops: int = 0) -> bytes:
        doing = f"cannot read {path} in {repository} at {revision[:12]}"
        if hops > MAX_HOPS:
            raise RemoteNotFound(f"{doing}: symbolic links run in a circle", hint="name a file that exists")
        try:
            data, mode = self.content(repository, revision, path)
        except RemoteNotFound as error:
            target = None if _is_elsewhere(error) else self._through_link(repository, revision, path)
            if target is None:
                raise
            return self._read(repository, revision, target, hops + 1)
        if mode == _SUBMODULE:
            raise RemoteNotFound(f"{doing}: it is a submodule", hint="enroll the other repository")
        if mode != _LINK:
            return data
        target = linked_path(path, data.decode("utf-8", "replace"), doing)
        if not target:
            raise RemoteNotFound(f"{doing}: it leads to a folder", hint="name a file in it")
        return self._read(repository, revision, target, hops + 1)

    def _through_link(self, repository: SourceRepository, revision: str, path: str) -> str | None:
        """Return where `path` leads where a folder on its way is a symbolic link; None where none is."""
        for match in re.finditer("/", path):
            folder, rest = path[: match.start()], path[match.end() :]
            try:
                data, mode = self.content(repository, revision, folder)
            except RemoteNotFound:
                continue  # a true folder, or nothing at all
            if mode != _LINK:
                return None
            target = linked_path(folder, data.decode("utf-8", "replace"), f"cannot follow {folder} in {repository}")
            return f"{target}/{rest}" if target else rest
        return None

    def _listed(
        self, repository: SourceRepository, revision: str, below: str, *, is_recursive: bool
    ) -> Sequence[Entry]:
        client = self.client(repository)
        doing = f"cannot list the files of {repository} at {revision[:12]}"
        asked: dict[str, str | int] = {"ref": revision, "recursive": str(is_recursive).lower()}
        if below:
            asked["path"] = below
        entries = []
        for item in client.keyset(f"{self.project(repository).at}/repository/tree", doing=doing, parameters=asked):
            try:
                entries.append(Entry(str(item["path"]), str(item["mode"]), str(item["type"])))
            except (TypeError, KeyError):
                raise client.odd(doing, "the listing cannot be read") from None
        return entries


def commit_of(client: Client, told: Any, doing: str) -> str:
    """Return the id of a commit in an answer, checked."""
    sha = _part(told, "id")
    if not isinstance(sha, str) or not is_commit_id(sha):
        raise client.odd(doing, "the answer holds no commit id")
    return sha


def _no_ref(repository: SourceRepository, ref: str) -> RemoteNotFound:
    return RemoteNotFound(
        f"no branch, tag or commit {ref!r} in {repository}",
        hint="check source.branch, and that the token may read the project",
    )


def _part(told: Any, name: str) -> Any:
    return told.get(name) if isinstance(told, dict) else None


def _is_elsewhere(error: RemoteNotFound) -> bool:
    """Whether it is the project or the commit that is missing, so that no path of it can be found."""
    return "Project Not Found" in error.message or "Commit Not Found" in error.message
