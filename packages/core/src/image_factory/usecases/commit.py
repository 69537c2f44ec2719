"""Commit what a run wrote: one commit a run, of exactly those files, pushed where that is wanted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from image_factory.errors import UserError
from image_factory.shell.git import Checkout
from image_factory.shell.git_clone import push_credentials
from image_factory.shell.store import FileChange
from image_factory.usecases.outcome import Outcome, Skipped
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
    environ: Mapping[str, str] | None = None,
) -> Committed:
    """Write `changes`, and commit them where the folder lies in a git checkout.

    Args:
        subject: the first line of the message; says what was learned.
        body: one line an image.
        push: whether to push the branch that is checked out, with rebase and retry.
        environ: where a job's secret for git may be (`push_credentials`).
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
        url = checkout.remotes().get(identity.remote, identity.remote)
        credentials = push_credentials(url, bench.plugins.sources.values(), environ or {})
        return Committed(checkout.push(identity.remote, branch, credentials), pushed=True)
    return Committed(made)


def changed_names(outcomes: Iterable[Outcome], most: int = 4) -> str:
    """Return the names of what changed or failed, for a commit's first line: `web, api and 3 more`."""
    names = [outcome.item for outcome in outcomes if not isinstance(outcome, Skipped)]
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return ", ".join(names) or "images"
