"""Merge requests: one branch with one commit on the base, through the commits API, so that all else stays.

A branch that we made is removed again where the merge request cannot be opened. What a crash left
behind (the branch, but no merge request) is known by its commit's message and taken up. GitLab
removes the branch when the request is merged, so that the next change can have its name.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from image_factory.errors import RemoteNotFound, RemoteRefused
from image_factory.ports import ChangeProposal, ChangeRequest, SourceRepository
from image_factory.shell.change_request import Opening
from image_factory.shell.git_program import checked_ref
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


class _Opening(Opening[Sequence[Action]]):
    """One proposal on its way; its work is the list of actions of one commit."""

    def __init__(self, source: GitLabSource, repository: SourceRepository, proposal: ChangeProposal) -> None:
        super().__init__(repository, proposal, request="merge request")
        self.source, self.at, self.client = source, source.project(repository).at, source.client(repository)

    def tip_of(self, branch: str) -> str | None:
        return self.source.branch(self.repository, branch)

    def message_of(self, commit: str) -> str:
        told = self.client.get(f"{self.at}/repository/commits/{commit}", doing=self.doing)
        return str(told.get("message", "")) if isinstance(told, dict) else ""

    def open_request(self) -> ChangeRequest | None:
        return _newest(self.source, self.repository, self.branch, self.base, "opened", self.doing)

    def add(self, work: Sequence[Action]) -> None:
        self._commit({"actions": work})

    def begin(self, work: Sequence[Action], base: str, *, is_there: bool) -> None:
        self._commit({"actions": work, "start_sha": base, **({"force": True} if is_there else {})})

    def tell(self, existing: ChangeRequest) -> None:
        text = {"title": self.proposal.title, "description": self.proposal.body}
        self._send("PUT", f"/merge_requests/{existing.number}", text)

    def request(self) -> ChangeRequest:
        wanted = {
            "source_branch": self.branch,
            "target_branch": self.base,
            "title": self.proposal.title,
            "description": self.proposal.body,
            "remove_source_branch": True,
        }
        made = self._send("POST", "/merge_requests", wanted)
        return _request(self.source, self.repository, made, self.branch, self.doing)

    def remove(self) -> None:
        self._send("DELETE", f"/repository/branches/{quote(self.branch, safe='')}", None)

    def _send(self, method: str, path: str, body: Mapping[str, object] | None) -> Any:
        return self.client.send(method, self.at + path, body, doing=self.doing)

    def work_on(self, parent: str) -> Sequence[Action]:
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
