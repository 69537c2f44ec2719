"""Merge requests: one branch with one commit on the base, through the commits API, so that all else stays.

A branch that we made is removed again where the merge request cannot be opened. What a crash left
behind (the branch, but no merge request) is known by its commit's message and taken up. GitLab
removes the branch when the request is merged, so that the next change can have its name.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from image_factory.errors import ImageFactoryError, RemoteNotFound, RemoteRefused, UnsafeValue
from image_factory.ports import ChangeProposal, ChangeRequest, SourceRepository
from image_factory.shell.git_paths import bears_trailer, same_text
from image_factory.shell.git_program import checked_path, checked_ref
from image_factory_gitlab.source import ORDINARY

if TYPE_CHECKING:
    from image_factory_gitlab.source import GitLabSource

Action = Mapping[str, str]


def open_change_request(source: GitLabSource, repository: SourceRepository, proposal: ChangeProposal) -> ChangeRequest:
    """Open `proposal` as `Source.open_change_request` promises."""
    return _Opening(source, repository, proposal).run()


def find_change_request(
    source: GitLabSource, repository: SourceRepository, branch: str, base: str
) -> ChangeRequest | None:
    """Return the newest request from `branch` to `base`, as `Source.change_request` promises."""
    doing = f"cannot find the merge requests of {branch} on {repository}"
    return _newest(source, repository, checked_ref(branch), checked_ref(base), None, doing)


def _newest(
    source: GitLabSource, repository: SourceRepository, branch: str, base: str, state: str | None, doing: str
) -> ChangeRequest | None:
    client = source.client(repository)
    asked: dict[str, str | int] = {"source_branch": branch, "target_branch": base}
    if state is not None:
        asked["state"] = state
    # GitLab lists the newest first.
    for item in client.pages(f"{source.project(repository).at}/merge_requests", doing=doing, parameters=asked):
        # A fork's branch may have our branch's name; its request is listed here too.
        if (
            isinstance(item, dict)
            and item.get("source_branch") == branch
            and item.get("source_project_id") == item.get("project_id")
        ):
            return _request(source, repository, item, branch, doing)
    return None


def _request(source: GitLabSource, repository: SourceRepository, told: Any, branch: str, doing: str) -> ChangeRequest:
    try:
        url, number, state = str(told["web_url"]), int(told["iid"]), told["state"]
    except (KeyError, TypeError, ValueError):
        raise source.client(repository).odd(doing, "the answer is no merge request") from None
    return ChangeRequest(url, number, branch, state == "opened", state == "merged", str(told.get("description") or ""))


class _Opening:
    """One proposal on its way."""

    def __init__(self, source: GitLabSource, repository: SourceRepository, proposal: ChangeProposal) -> None:
        self.source, self.repository, self.proposal = source, repository, proposal
        self.at, self.client = source.project(repository).at, source.client(repository)
        self.branch, self.base = checked_ref(proposal.branch), checked_ref(proposal.base)
        self.doing = f"cannot open a merge request for {self.branch} on {repository}"
        self.edits = {checked_path(edit.path): edit.content for edit in proposal.edits}
        for path in self.edits:
            if ".git" in path.lower().split("/"):
                raise UnsafeValue(f"not a file to change: {path!r}", hint="git's own files are never changed")

    def run(self) -> ChangeRequest:
        base = self.source.branch(self.repository, self.base)
        if base is None:
            raise RemoteNotFound(f"no branch {self.base!r} in {self.repository}", hint="check the update's branch")
        tip = self.source.branch(self.repository, self.branch)
        existing = None
        if tip is not None:
            existing = _newest(self.source, self.repository, self.branch, self.base, "opened", self.doing)
        if existing is not None and tip is not None:
            actions = self._actions(tip)
            if actions:
                self._commit({"actions": actions})
            if not same_text(existing.body, self.proposal.body):
                text = {"title": self.proposal.title, "description": self.proposal.body}
                self.client.send("PUT", f"{self.at}/merge_requests/{existing.number}", text, doing=self.doing)
            return existing
        actions = self._actions(base)
        if not actions:
            raise RemoteRefused(f"{self.doing}: it changes nothing on {self.base}", hint="nothing is left to do")
        if tip is not None and not self._is_left_behind(tip):
            raise RemoteRefused(
                f"{self.doing}: the branch exists and holds other work",
                hint="delete the branch, or choose another name",
            )
        self._commit({"actions": actions, "start_sha": base, **({"force": True} if tip is not None else {})})
        wanted = {
            "source_branch": self.branch,
            "target_branch": self.base,
            "title": self.proposal.title,
            "description": self.proposal.body,
            "remove_source_branch": True,
        }
        try:
            made = self._send("POST", "/merge_requests", wanted)
            return _request(self.source, self.repository, made, self.branch, self.doing)
        except ImageFactoryError:
            if tip is None:
                with contextlib.suppress(ImageFactoryError):
                    self._send("DELETE", f"/repository/branches/{quote(self.branch, safe='')}", None)
            raise

    def _send(self, method: str, path: str, body: Mapping[str, object] | None) -> Any:
        return self.client.send(method, self.at + path, body, doing=self.doing)

    def _is_left_behind(self, tip: str) -> bool:
        told = self.client.get(f"{self.at}/repository/commits/{tip}", doing=self.doing)
        message = str(told.get("message", "")) if isinstance(told, dict) else ""
        trailer = self.proposal.trailer
        return message.strip() == self.proposal.message.strip() or (
            trailer is not None and bears_trailer(message, trailer)
        )

    def _actions(self, parent: str) -> Sequence[Action]:
        """Return what makes `parent` hold all edits; nothing where it holds them."""
        actions = []
        for path, content in self.edits.items():
            try:
                before, mode = self.source.content(self.repository, parent, path)
            except RemoteNotFound:
                action = "create"
            else:
                if mode not in ORDINARY:
                    raise RemoteRefused(
                        f"{self.doing}: {path} is no ordinary file", hint="name the file that it leads to"
                    )
                if before == content:
                    continue
                action = "update"
            text = base64.b64encode(content).decode()
            actions.append({"action": action, "file_path": path, "content": text, "encoding": "base64"})
        return actions

    def _commit(self, more: Mapping[str, object]) -> None:
        wanted = {"branch": self.branch, "commit_message": self.proposal.message, **more}
        self._send("POST", "/repository/commits", wanted)
