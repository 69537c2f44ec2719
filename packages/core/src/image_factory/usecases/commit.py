"""Commit what a run wrote: one commit a run, of exactly those files, pushed where that is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from image_factory.errors import UserError
from image_factory.ports import Credentials
from image_factory.shell.git import Checkout
from image_factory.shell.store import FileChange
from image_factory.usecases.workbench import Workbench


@dataclass(frozen=True, slots=True)
class Committed:
    """The commit that was made, or None with the reason why there is none."""

    commit: str | None
    reason: str = ""
    pushed: bool = False


def write_and_commit(
    bench: Workbench,
    changes: Sequence[FileChange],
    *,
    subject: str,
    body: Sequence[str] = (),
    commit: bool = True,
    push: bool = False,
    credentials: Credentials | None = None,
) -> Committed:
    """Write `changes`, and commit them where the folder lies in a git checkout.

    Args:
        subject: the first line of the message; says what was learned.
        body: one line an image.
        push: whether to push the branch that is checked out, with rebase and retry.
    """
    if not changes:
        return Committed(None, "nothing changed")
    bench.store.apply(changes)
    if not commit:
        return Committed(None, "left uncommitted, as asked")
    checkout = Checkout.find(bench.root)
    if checkout is None:
        return Committed(None, "the folder lies in no git checkout")
    identity = bench.settings.commit
    message = "\n".join([subject, "", *body]).rstrip() + "\n"
    paths: list[Path] = [bench.root / change.path for change in changes]
    made = checkout.commit(paths, message, name=identity.name, email=identity.email)
    if made is None:
        return Committed(None, "git sees no change (the files may be ignored)")
    if push or identity.push:
        branch = identity.branch or checkout.branch()
        if branch is None:
            raise UserError(
                "cannot push: no branch is checked out", hint="check one out, or set commit.branch in config.yaml"
            )
        return Committed(checkout.push(identity.remote, branch, credentials), pushed=True)
    return Committed(made)
