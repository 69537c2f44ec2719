"""Commit what a run wrote: one commit a run, of exactly those files, pushed where that is wanted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from image_factory.errors import Conflict, ImageFactoryError, UserError
from image_factory.shell.git import Checkout, pause
from image_factory.shell.git_clone import push_credentials
from image_factory.shell.git_push import start_over
from image_factory.shell.store import FileChange, Overtaken
from image_factory.shell.unfinished import Unfinished, forget_unfinished, note_unfinished, read_unfinished
from image_factory.usecases.outcome import Outcome, Skipped
from image_factory.usecases.workbench import Workbench

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Committed:
    """The commit that was made, or None with the reason why there is none."""

    commit: str | None
    reason: str = ""
    pushed: bool = False


def until_settled(work: Callable[[], T], *, attempts: int = 10, sleep: Callable[[float], None] = time.sleep) -> T:
    """Return what `work` returns, which is done again where others have overtaken it.

    Raises:
        Overtaken: they did so every time.
    """
    for attempt in range(1, attempts):
        try:
            return work()
        except Overtaken:
            sleep(pause(attempt))
    return work()


def write_and_commit(
    bench: Workbench,
    changes: Sequence[FileChange],
    *,
    subject: str,
    body: Sequence[str] = (),
    commit: bool = True,
    push: bool = False,
    environ: Mapping[str, str] | None = None,
    unpushed: Callable[[Committed], object] = lambda committed: None,
) -> Committed:
    """Write `changes`, and commit them where the folder lies in a git checkout.

    What an earlier run wrote and was stopped before it was committed, or pushed, is committed and
    pushed with it.

    Args:
        subject: the first line of the message; says what was learned.
        body: one line an image.
        push: whether to push the branch that is checked out, with rebase and retry.
        environ: where a job's secret for git may be (`push_credentials`).
        unpushed: told of a commit that is kept here because its push failed, before the error is raised.

    Raises:
        Overtaken: a file was changed meanwhile, here or on the remote; what this run wrote is taken back.
    """
    if not commit:
        bench.store.apply(changes)
        return Committed(None, "left uncommitted, as asked" if changes else "nothing changed")
    push = push or bench.settings.commit.push
    # What an earlier run was stopped at, by a signal or by the remote, is finished with this one's.
    left = read_unfinished(bench.root)
    if not changes and left is None:
        return Committed(None, "nothing changed")
    new = Unfinished(tuple(change.path for change in changes), subject, tuple(body), push)
    work = new if left is None else left.joined(new)
    if changes:
        _apply(bench, changes, left, work)
    is_behind = left is not None and left.push
    try:
        committed = _commit(bench, work, push, environ or {}, unpushed, is_behind=is_behind)
    except Overtaken:
        _note_again(bench, left)
        raise
    if push or not work.push:
        forget_unfinished(bench.root)
    return committed


def _apply(bench: Workbench, changes: Sequence[FileChange], left: Unfinished | None, work: Unfinished) -> None:
    note_unfinished(bench.root, work)
    try:
        bench.store.apply(changes)
    except ImageFactoryError:
        _note_again(bench, left)  # nothing was written
        raise


def _note_again(bench: Workbench, left: Unfinished | None) -> None:
    if left is None:
        forget_unfinished(bench.root)
    else:
        note_unfinished(bench.root, left)


def _commit(
    bench: Workbench,
    work: Unfinished,
    push: bool,
    environ: Mapping[str, str],
    unpushed: Callable[[Committed], object],
    *,
    is_behind: bool,
) -> Committed:
    """Commit `work` and push it; with `is_behind` a commit of an earlier run is still to be pushed."""
    checkout = Checkout.find(bench.root)
    if checkout is None:
        return Committed(None, "the folder lies in no git checkout")
    identity = bench.settings.commit
    message = "\n".join([work.subject, "", *work.body]).rstrip() + "\n"
    made = checkout.commit(
        [bench.root / path for path in work.paths], message, name=identity.name, email=identity.email
    )
    if made is None and not (push and is_behind):
        return Committed(None, "git sees no change (the files may be ignored)")
    if not push:
        return Committed(made)
    branch = identity.branch or checkout.branch()
    if branch is None:
        raise UserError(
            "cannot push: no branch is checked out", hint="check one out, or set commit.branch in config.yaml"
        )
    url = checkout.remotes().get(identity.remote, identity.remote)
    credentials = push_credentials(url, bench.plugins.sources.values(), environ)
    try:
        return Committed(checkout.push(identity.remote, branch, credentials), pushed=True)
    except ImageFactoryError as error:
        if made is None:
            raise
        if isinstance(error, Conflict) and start_over(checkout, identity.remote, branch, credentials, made):
            raise Overtaken(error.message, hint="nothing was pushed; run it again") from error
        unpushed(Committed(made))
        raise


def changed_names(outcomes: Iterable[Outcome], most: int = 4) -> str:
    """Return the names of what changed or failed, for a commit's first line: `web, api and 3 more`."""
    names = [outcome.item for outcome in outcomes if not isinstance(outcome, Skipped)]
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return ", ".join(names) or "images"
