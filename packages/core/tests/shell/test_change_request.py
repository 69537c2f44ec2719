"""The rules of opening a change request, over a provider in memory. (Real ones: the contract suite of sources.)"""

from __future__ import annotations

import pytest

from image_factory.errors import RemoteNotFound, RemoteRefused, Unavailable, UnsafeValue
from image_factory.ports import ChangeProposal, ChangeRequest, FileEdit, SourceRepository
from image_factory.shell.change_request import Opening

WEB = SourceRepository("memory", None, "acme/web")


def proposal(path: str = "Dockerfile", trailer: str | None = None) -> ChangeProposal:
    return ChangeProposal("ours", "main", "Title", "Body", "Update web", (FileEdit(path, b"new"),), trailer)


class Memory(Opening[str]):
    """A provider that keeps branches and notes each step."""

    def __init__(self, wanted: ChangeProposal, branches: dict[str, str], message: str = "", *, is_down: bool = False):
        super().__init__(WEB, wanted, request="change request")
        self.branches, self.message, self.is_down = branches, message, is_down
        self.existing: ChangeRequest | None = None
        self.steps: list[str] = []

    def tip_of(self, branch: str) -> str | None:
        return self.branches.get(branch)

    def message_of(self, commit: str) -> str:
        return self.message

    def open_request(self) -> ChangeRequest | None:
        return self.existing

    def work_on(self, parent: str) -> str | None:
        return None if parent == "done" else f"on {parent}"

    def add(self, work: str) -> None:
        self.steps.append(f"add {work}")

    def begin(self, work: str, base: str, *, is_there: bool) -> None:
        self.steps.append(f"{'move' if is_there else 'make'} {work}")

    def tell(self, existing: ChangeRequest) -> None:
        self.steps.append("tell")

    def request(self) -> ChangeRequest:
        if self.is_down:
            raise Unavailable("no answer")
        self.steps.append("open")
        return ChangeRequest("https://example.com/1", 1, self.branch)

    def remove(self) -> None:
        self.steps.append("remove")


def test_a_branch_is_made_and_a_request_opened() -> None:
    opening = Memory(proposal(), {"main": "base"})

    assert opening.run().number == 1
    assert opening.steps == ["make on base", "open"]


@pytest.mark.parametrize(
    ("tip", "body", "steps"),
    [
        pytest.param("tip", "Body", ["add on tip"], id="other edits"),
        pytest.param("done", "Body", [], id="nothing new"),
        pytest.param("done", "Other", ["tell"], id="another text"),
    ],
)
def test_an_open_request_is_used_again(tip: str, body: str, steps: list[str]) -> None:
    opening = Memory(proposal(), {"main": "base", "ours": tip})
    opening.existing = ChangeRequest("https://example.com/7", 7, "ours", body=body)

    assert opening.run().number == 7
    assert opening.steps == steps


@pytest.mark.parametrize(
    ("message", "trailer"),
    [("Update web\n", None), ("Update other\n\nMade-By: us\n", "Made-By")],
    ids=["same", "trailer"],
)
def test_a_branch_that_was_left_behind_is_begun_anew(message: str, trailer: str | None) -> None:
    opening = Memory(proposal(trailer=trailer), {"main": "base", "ours": "tip"}, message)

    opening.run()

    assert opening.steps == ["move on base", "open"]


def test_somebody_else_s_branch_is_left_alone() -> None:
    opening = Memory(proposal(), {"main": "base", "ours": "tip"}, "Their work")

    with pytest.raises(RemoteRefused, match="holds other work"):
        opening.run()

    assert opening.steps == []


def test_a_branch_that_was_made_is_removed_where_no_request_can_be_opened() -> None:
    opening = Memory(proposal(), {"main": "base"}, is_down=True)

    with pytest.raises(Unavailable):
        opening.run()

    assert opening.steps == ["make on base", "remove"]


def test_without_a_base_or_a_change_nothing_is_done() -> None:
    with pytest.raises(RemoteNotFound, match="no branch 'main'"):
        Memory(proposal(), {}).run()
    with pytest.raises(RemoteRefused, match="changes nothing"):
        Memory(proposal(), {"main": "done"}).run()


def test_git_s_own_files_are_never_changed() -> None:
    with pytest.raises(UnsafeValue, match="not a file to change"):
        Memory(proposal("a/.git/config"), {})
