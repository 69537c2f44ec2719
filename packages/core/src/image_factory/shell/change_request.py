"""How a change request is opened at a provider: the rules that hold wherever, over the steps that differ.

One that is open for the branch is used again, with a further commit where the edits differ. A branch that we made is
removed again where no request can be opened; one that a crash left behind is known by its commit's message, and begun
anew; any other branch of the name is somebody's work, and left alone.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from image_factory.errors import ImageFactoryError, RemoteNotFound, RemoteRefused, UnsafeValue
from image_factory.ports import ChangeProposal, ChangeRequest, SourceRepository
from image_factory.shell.git_paths import bears_trailer, same_text
from image_factory.shell.git_program import checked_path, checked_ref

Work = TypeVar("Work")
"""What makes a branch hold the edits: a commit made already, or the list of what is to be in one."""


class Opening(ABC, Generic[Work]):
    """One proposal on its way.

    Args:
        request: what the provider calls it, such as `pull request`.

    Raises:
        UnsafeValue: a branch or a path could be more than that.
    """

    def __init__(self, repository: SourceRepository, proposal: ChangeProposal, *, request: str) -> None:
        self.repository, self.proposal = repository, proposal
        self.branch, self.base = checked_ref(proposal.branch), checked_ref(proposal.base)
        self.doing = f"cannot open a {request} for {self.branch} on {repository}"
        self.edits = {checked_path(edit.path): edit.content for edit in proposal.edits}
        for path in self.edits:
            if ".git" in path.lower().split("/"):
                raise UnsafeValue(f"not a file to change: {path!r}", hint="git's own files are never changed")

    def run(self) -> ChangeRequest:
        """Open the proposal as `Source.open_change_request` promises."""
        base = self.tip_of(self.base)
        if base is None:
            raise RemoteNotFound(f"no branch {self.base!r} in {self.repository}", hint="check the update's branch")
        tip = self.tip_of(self.branch)
        existing = None if tip is None else self.open_request()
        if existing is not None and tip is not None:
            work = self.work_on(tip)
            if work:
                self.add(work)
            if not same_text(existing.body, self.proposal.body):
                self.tell(existing)
            return existing
        work = self.work_on(base)
        if not work:
            raise RemoteRefused(f"{self.doing}: it changes nothing on {self.base}", hint="nothing is left to do")
        if tip is not None and not self._is_left_behind(tip):
            raise RemoteRefused(
                f"{self.doing}: the branch exists and holds other work",
                hint="delete the branch, or choose another name",
            )
        self.begin(work, base, is_there=tip is not None)
        try:
            return self.request()
        except ImageFactoryError:
            if tip is None:
                with contextlib.suppress(ImageFactoryError):
                    self.remove()
            raise

    def _is_left_behind(self, tip: str) -> bool:
        message, trailer = self.message_of(tip), self.proposal.trailer
        is_ours = message.strip() == self.proposal.message.strip()
        return is_ours or (trailer is not None and bears_trailer(message, trailer))

    # --- what differs --------------------------------------------------------------------------------

    @abstractmethod
    def tip_of(self, branch: str) -> str | None:
        """Return a branch's commit id, or None where there is no such branch."""

    @abstractmethod
    def message_of(self, commit: str) -> str:
        """Return the whole message of a commit."""

    @abstractmethod
    def open_request(self) -> ChangeRequest | None:
        """Return the request that is open from the branch to the base, or None."""

    @abstractmethod
    def work_on(self, parent: str) -> Work | None:
        """Return what makes `parent` hold all edits; None or nothing where it holds them."""

    @abstractmethod
    def add(self, work: Work) -> None:
        """Put the work on the branch, after what is there."""

    @abstractmethod
    def begin(self, work: Work, base: str, *, is_there: bool) -> None:
        """Let the branch be the base and the work alone; `is_there` where it is to be moved, not made."""

    @abstractmethod
    def tell(self, existing: ChangeRequest) -> None:
        """Give an open request the proposal's title and text."""

    @abstractmethod
    def request(self) -> ChangeRequest:
        """Open the request."""

    @abstractmethod
    def remove(self) -> None:
        """Remove the branch."""
