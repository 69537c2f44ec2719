"""Commit what a run wrote: one commit a run, of exactly those files, pushed where that is wanted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from image_factory.errors import Conflict, ImageFactoryError, UserError
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
            from image_factory.shell.git import pause

            sleep(pause(attempt))
    return work()


class Batch:
    """What one run writes, step by step, and commits as one: each step reads what the one before it wrote.

    What an earlier run wrote and was stopped before it was committed, or pushed, is committed and
    pushed with it.

    Args:
        commit: whether to commit at all; without, files are only written.
        push: whether to push the branch that is checked out, with rebase and retry.
        environ: where a job's secret for git may be (`push_credentials`).
        unpushed: told of a commit that is kept here because its push failed, before the error is raised.
    """

    def __init__(
        self,
        bench: Workbench,
        *,
        commit: bool = True,
        push: bool = False,
        environ: Mapping[str, str] | None = None,
        unpushed: Callable[[Committed], object] = lambda committed: None,
    ) -> None:
        self._bench = bench
        self._is_committed = commit
        self._push = push or bench.settings.commit.push
        self._environ = environ or {}
        self._unpushed = unpushed
        self._left = read_unfinished(bench.root) if commit else None
        self._new: Unfinished | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit: nothing was written, by this run or by one that was stopped."""
        return self._new is None and self._left is None

    def write(self, changes: Sequence[FileChange], body: Sequence[str] = ()) -> None:
        """Write `changes` now, noted as to be committed.

        Args:
            body: what they are, one line an image.

        Raises:
            Overtaken: a file was changed meanwhile; nothing of `changes` was written.
        """
        if not changes:
            return
        if not self._is_committed:
            self._bench.store.apply(changes)
            return
        # The first line is not known yet; a run that finishes this one's work gives it its own.
        new = Unfinished(tuple(change.path for change in changes), "Finish what was begun", tuple(body), self._push)
        new = new if self._new is None else self._new.joined(new)
        note_unfinished(self._bench.root, new if self._left is None else self._left.joined(new))
        try:
            self._bench.store.apply(changes)
        except ImageFactoryError:
            self._note_again(self._joined())  # nothing was written
            raise
        self._new = new

    def commit(self, subject: str) -> Committed:
        """Commit what was written, and push it where that is wanted.

        Args:
            subject: the first line of the message; says what was learned.

        Raises:
            Overtaken: a file was changed on the remote; what this run wrote is taken back.
        """
        work = self._joined()
        if not self._is_committed:
            return Committed(None, "left uncommitted, as asked")
        if work is None:
            return Committed(None, "nothing changed")
        if self._new is not None:
            work = replace(work, subject=subject)
            note_unfinished(self._bench.root, work)
        is_behind = self._left is not None and self._left.push
        try:
            committed = _commit(
                self._bench, work, self._push, self._environ, self._unpushed, is_behind=is_behind, left=self._left
            )
        except Overtaken:
            self._note_again(self._left)
            raise
        is_finished = self._push or not work.push
        if is_finished:
            forget_unfinished(self._bench.root)
        self._left, self._new = None if is_finished else work, None
        return committed

    def _joined(self) -> Unfinished | None:
        if self._left is None or self._new is None:
            return self._left or self._new
        return self._left.joined(self._new)

    def _note_again(self, work: Unfinished | None) -> None:
        if work is None:
            forget_unfinished(self._bench.root)
        else:
            note_unfinished(self._bench.root, work)


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
    """Write `changes`, and commit them where the folder lies in a git checkout, as a `Batch` of one step.

    Args:
        subject: the first line of the message; says what was learned.
        body: one line an image.

    Raises:
        Overtaken: a file was changed meanwhile, here or on the remote; what this run wrote is taken back.
    """
    batch = Batch(bench, commit=commit, push=push, environ=environ, unpushed=unpushed)
    batch.write(changes, body)
    if not commit and not changes:
        return Committed(None, "nothing changed")
    return batch.commit(subject)


def _commit(
    bench: Workbench,
    work: Unfinished,
    push: bool,
    environ: Mapping[str, str],
    unpushed: Callable[[Committed], object],
    *,
    is_behind: bool,
    left: Unfinished | None,
) -> Committed:
    """Commit `work` and push it; with `is_behind` a commit of an earlier run is still to be pushed.

    What is `left` may be committed already, by who was stopped before git's index was told.
    """
    # Not needed, and not imported, where nothing was written.
    from image_factory.shell.git import Checkout
    from image_factory.shell.git_clone import push_credentials
    from image_factory.shell.git_push import start_over

    checkout = Checkout.find(bench.root)
    if checkout is None:
        return Committed(None, "the folder lies in no git checkout")
    identity = bench.settings.commit
    message = "\n".join([work.subject, "", *work.body]).rstrip() + "\n"
    made = checkout.commit(
        [bench.root / path for path in work.paths], message, name=identity.name, email=identity.email
    )
    if left is not None:
        checkout.refresh([bench.root / path for path in left.paths])
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
