"""Pull requests: one branch with one commit on the base, made of git objects, so that all else stays.

A branch that we made is removed again where the pull request cannot be opened. What a crash left
behind (the branch, but no pull request) is known by its commit's message and taken up.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from image_factory.errors import ImageFactoryError, RemoteNotFound, RemoteRefused, UnsafeValue
from image_factory.ports import ChangeProposal, ChangeRequest, SourceRepository
from image_factory.shell.git_program import checked_path, checked_ref
from image_factory_github.source import sha_of

if TYPE_CHECKING:
    from image_factory_github.source import GitHubSource


def open_change_request(source: GitHubSource, repository: SourceRepository, proposal: ChangeProposal) -> ChangeRequest:
    """Open `proposal` as `Source.open_change_request` promises."""
    return _Opening(source, repository, proposal).run()


class _Opening:
    """One proposal on its way."""

    def __init__(self, source: GitHubSource, repository: SourceRepository, proposal: ChangeProposal) -> None:
        self.source, self.repository, self.proposal = source, repository, proposal
        self.at, self.client = source.at(repository), source.client(repository)
        self.branch, self.base = checked_ref(proposal.branch), checked_ref(proposal.base)
        self.doing = f"cannot open a pull request for {self.branch} on {repository}"
        self.edits = {checked_path(edit.path): edit.content for edit in proposal.edits}
        for path in self.edits:
            if ".git" in path.lower().split("/"):
                raise UnsafeValue(f"not a file to change: {path!r}", hint="git's own files are never changed")

    def run(self) -> ChangeRequest:
        base = self.source.branch(self.repository, self.base)
        if base is None:
            raise RemoteNotFound(f"no branch {self.base!r} in {self.repository}", hint="check the update's branch")
        tip = self.source.branch(self.repository, self.branch)
        existing = None if tip is None else self._open_request()
        if existing is not None and tip is not None:
            commit = self._commit(tip)
            if commit is not None:
                self._send("PATCH", f"/git/refs/heads/{self.branch}", {"sha": commit, "force": False})
            return existing
        commit = self._commit(base)
        if commit is None:
            raise RemoteRefused(f"{self.doing}: it changes nothing on {self.base}", hint="nothing is left to do")
        if tip is None:
            self._send("POST", "/git/refs", {"ref": f"refs/heads/{self.branch}", "sha": commit})
        elif self._is_left_behind(tip):
            self._send("PATCH", f"/git/refs/heads/{self.branch}", {"sha": commit, "force": True})
        else:
            raise RemoteRefused(
                f"{self.doing}: the branch exists and holds other work",
                hint="delete the branch, or choose another name",
            )
        wanted = {"title": self.proposal.title, "body": self.proposal.body, "head": self.branch, "base": self.base}
        try:
            return self._request(self._send("POST", "/pulls", wanted))
        except ImageFactoryError:
            if tip is None:
                with contextlib.suppress(ImageFactoryError):
                    self._send("DELETE", f"/git/refs/heads/{self.branch}", None)
            raise

    def _send(self, method: str, path: str, body: Mapping[str, object] | None) -> Any:
        return self.client.send(method, self.at + path, body, doing=self.doing)[1]

    def _open_request(self) -> ChangeRequest | None:
        owner = self.at.split("/")[2]
        asked: dict[str, str | int] = {"state": "open", "head": f"{owner}:{self.branch}", "base": self.base}
        for item in self.client.pages(f"{self.at}/pulls", doing=self.doing, parameters=asked):
            # GitHub ignores a `head` that it does not understand, and lists all.
            if isinstance(item, dict) and (item.get("head") or {}).get("ref") == self.branch:
                return self._request(item)
        return None

    def _request(self, told: Any) -> ChangeRequest:
        try:
            url, number, is_open = str(told["html_url"]), int(told["number"]), told["state"] == "open"
        except (KeyError, TypeError, ValueError):
            raise self.client.odd(self.doing, "the answer is no pull request") from None
        return ChangeRequest(url, number, self.branch, is_open)

    def _is_left_behind(self, tip: str) -> bool:
        told = self.client.get(f"{self.at}/git/commits/{tip}", doing=self.doing)
        return isinstance(told, dict) and str(told.get("message", "")).strip() == self.proposal.message.strip()

    def _commit(self, parent: str) -> str | None:
        """Make the commit of all edits on `parent`, and return its id; None where `parent` has them all."""
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
