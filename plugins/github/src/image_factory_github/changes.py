"""Pull requests: one branch with one commit on the base, made of git objects, so that all else stays.

A branch that we made is removed again where the pull request cannot be opened. What a crash left
behind (the branch, but no pull request) is known by its commit's message and taken up.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from image_factory.errors import RemoteRefused
from image_factory.ports import ChangeProposal, ChangeRequest, SourceRepository
from image_factory.shell.change_request import Opening
from image_factory.shell.git_program import checked_ref
from image_factory_github.source import sha_of

if TYPE_CHECKING:
    from image_factory_github.source import GitHubSource


def open_change_request(source: GitHubSource, repository: SourceRepository, proposal: ChangeProposal) -> ChangeRequest:
    """Open `proposal` as `Source.open_change_request` promises."""
    return _Opening(source, repository, proposal).run()


def find_change_request(
    source: GitHubSource, repository: SourceRepository, branch: str, base: str
) -> ChangeRequest | None:
    """Return the newest request from `branch` to `base`, as `Source.change_request` promises."""
    doing = f"cannot find the pull requests of {branch} on {repository}"
    return _newest(source, repository, checked_ref(branch), checked_ref(base), "all", doing)


def _newest(
    source: GitHubSource, repository: SourceRepository, branch: str, base: str, state: str, doing: str
) -> ChangeRequest | None:
    at, client = source.at(repository), source.client(repository)
    owner = at.split("/")[2]
    # GitHub lists the newest first.
    asked: dict[str, str | int] = {"state": state, "head": f"{owner}:{branch}", "base": base}
    for item in client.pages(f"{at}/pulls", doing=doing, parameters=asked):
        # GitHub ignores a `head` that it does not understand, and lists all.
        if isinstance(item, dict) and (item.get("head") or {}).get("ref") == branch:
            return _request(source, repository, item, branch, doing)
    return None


def _request(source: GitHubSource, repository: SourceRepository, told: Any, branch: str, doing: str) -> ChangeRequest:
    try:
        url, number, is_open = str(told["html_url"]), int(told["number"]), told["state"] == "open"
    except (KeyError, TypeError, ValueError):
        raise source.client(repository).odd(doing, "the answer is no pull request") from None
    is_merged = told.get("merged_at") is not None
    return ChangeRequest(url, number, branch, is_open, is_merged, str(told.get("body") or ""))


class _Opening(Opening[str]):
    """One proposal on its way; its work is a commit that no branch has yet."""

    def __init__(self, source: GitHubSource, repository: SourceRepository, proposal: ChangeProposal) -> None:
        super().__init__(repository, proposal, request="pull request")
        self.source, self.at, self.client = source, source.at(repository), source.client(repository)

    def tip_of(self, branch: str) -> str | None:
        return self.source.branch(self.repository, branch)

    def message_of(self, commit: str) -> str:
        told = self.client.get(f"{self.at}/git/commits/{commit}", doing=self.doing)
        return str(told.get("message", "")) if isinstance(told, dict) else ""

    def open_request(self) -> ChangeRequest | None:
        return _newest(self.source, self.repository, self.branch, self.base, "open", self.doing)

    def add(self, work: str) -> None:
        self._send("PATCH", f"/git/refs/heads/{self.branch}", {"sha": work, "force": False})

    def begin(self, work: str, base: str, *, is_there: bool) -> None:
        if is_there:
            self._send("PATCH", f"/git/refs/heads/{self.branch}", {"sha": work, "force": True})
        else:
            self._send("POST", "/git/refs", {"ref": f"refs/heads/{self.branch}", "sha": work})

    def tell(self, existing: ChangeRequest) -> None:
        text = {"title": self.proposal.title, "body": self.proposal.body}
        self._send("PATCH", f"/pulls/{existing.number}", text)

    def request(self) -> ChangeRequest:
        wanted = {"title": self.proposal.title, "body": self.proposal.body, "head": self.branch, "base": self.base}
        made = self._send("POST", "/pulls", wanted)
        return _request(self.source, self.repository, made, self.branch, self.doing)

    def remove(self) -> None:
        self._send("DELETE", f"/git/refs/heads/{self.branch}", None)

    def _send(self, method: str, path: str, body: Mapping[str, object] | None) -> Any:
        return self.client.send(method, self.at + path, body, doing=self.doing)[1]

    def work_on(self, parent: str) -> str | None:
        """Make the commit of all edits on `parent`, and return its id; None where `parent` has them all."""
        if not self.edits:
            return None
        told = self.client.get(f"{self.at}/git/commits/{parent}", doing=self.doing)
        before = sha_of(self.client, told.get("tree") if isinstance(told, dict) else None, self.doing)
        modes = {entry.path: entry.mode for entry in self.source.listing(self.repository, parent)}
        tree = []
        for path, content in self.edits.items():
            if modes.get(path, "100644") not in ("100644", "100755"):
                raise RemoteRefused(f"{self.doing}: {path} is no ordinary file", hint="name the file that it leads to")
            blob = {"content": base64.b64encode(content).decode(), "encoding": "base64"}
            sha = sha_of(self.client, self._send("POST", "/git/blobs", blob), self.doing)
            tree.append({"path": path, "mode": modes.get(path, "100644"), "type": "blob", "sha": sha})
        made = sha_of(self.client, self._send("POST", "/git/trees", {"base_tree": before, "tree": tree}), self.doing)
        if made == before:
            return None
        wanted: dict[str, object] = {"message": self.proposal.message, "tree": made, "parents": [parent]}
        return sha_of(self.client, self._send("POST", "/git/commits", wanted), self.doing)
