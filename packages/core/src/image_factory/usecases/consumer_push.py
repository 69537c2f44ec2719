"""Carry versions to one branch of one repository, in one commit that is pushed.

Content decides: what the branch holds gets no commit. What is not held, and was pushed before by its trailer, was
taken back by somebody. A branch that moves meanwhile is read and edited anew; nothing is forced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from image_factory.decide.consumers import TRAILER, Step, latest_id
from image_factory.decide.update_texts import commit_message
from image_factory.errors import Conflict, ImageFactoryError, Unavailable
from image_factory.model.enrollment import GIT_PROVIDER
from image_factory.model.image_state import ConsumerStatus
from image_factory.ports import Source, SourceRepository
from image_factory.shell.git import pause
from image_factory.shell.git_branch import RemoteBranch
from image_factory.shell.git_source import default_cache
from image_factory.usecases.consumer_files import Edited, Wanted, edit_files, is_passing
from image_factory.usecases.workbench import Workbench

ATTEMPTS = 30
"""How often a branch that others push to is tried."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of one entry."""

    wanted: Wanted
    status: ConsumerStatus
    note: str = ""
    """What is new, as a sentence; empty where nothing is."""
    url: str | None = None
    error: ImageFactoryError | None = None
    """Why it is not done, or was undone."""
    waits: str = ""
    """What it waits for, where nothing is new."""
    is_done: bool = False
    """Whether the version has come to its file by us, so that people are told."""

    @property
    def error_is_passing(self) -> bool:
        return is_passing(self.error)


@dataclass(frozen=True, slots=True)
class Target:
    """One branch of one repository, and all that goes there in this run."""

    source: Source
    place: SourceRepository
    branch: str
    entries: tuple[Wanted, ...]

    def __str__(self) -> str:
        return f"{self.place} {self.branch}"


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of a target; `edits` are the files that were changed, or would be."""

    carried: tuple[Carried, ...]
    edits: Edited | None = None


def push_updates(bench: Workbench, target: Target, *, dry_run: bool = False) -> Delivered:
    """Make the branch hold every version that goes there, with at most one commit.

    Raises:
        RemoteError: the repository cannot be read, or it takes no push; nothing was pushed then, as far as is known.
    """
    branch = RemoteBranch(
        target.source.clone_url(target.place),
        target.branch,
        cache_folder(bench),
        target.source.credentials(target.place),
    )
    ids: tuple[str, ...] | None = None
    for attempt in range(ATTEMPTS):
        revision = target.source.revision(target.place, f"refs/heads/{target.branch}")
        edited = edit_files(bench.plugins, target.source, target.place, revision, target.entries)
        if ids is None and any(wanted.step is Step.CARRY for wanted in (*edited.held, *edited.edited)):
            ids = branch.trailers(revision, TRAILER)
        settled = [_held(wanted, ids or ()) for wanted in edited.held]
        settled += [failed(wanted, error) for wanted, error in edited.failed]
        refused = branch.refused(revision, edited.changes) if edited.edited else {}
        todo: list[Wanted] = []
        for wanted in edited.edited:
            if _was_pushed(wanted, ids or ()):
                settled.append(reverted(wanted, target))
            elif edited.paths[wanted] in refused:
                settled.append(failed(wanted, refused[edited.paths[wanted]]))
            else:
                todo.append(wanted)
        if not todo:
            return Delivered(tuple(settled))
        if len(todo) < len(edited.edited):
            edited = edit_files(bench.plugins, target.source, target.place, revision, todo)
        url = None
        if not dry_run:
            try:
                commit = _commit(bench, branch, revision, edited, commit_message([w.note() for w in todo], str(target)))
                if not branch.push(commit):
                    bench.clock.sleep(timedelta(seconds=pause(attempt)))
                    continue
            except ImageFactoryError as error:
                return Delivered((*settled, *(failed(wanted, error) for wanted in todo)))
            url = target.source.web_url(target.place, commit)
        return Delivered((*settled, *(_pushed(wanted, target, url, dry_run=dry_run) for wanted in todo)), edited)
    raise Unavailable(
        f"cannot push to {target}: it moved at each of {ATTEMPTS} attempts", hint="the next run tries again"
    )


def _commit(bench: Workbench, branch: RemoteBranch, parent: str, edited: Edited, message: str) -> str:
    identity = bench.settings.commit
    return branch.commit(parent, edited.changes, message, name=identity.name, email=identity.email)


def cache_folder(bench: Workbench) -> Path:
    """Return where mirrors lie: where the built-in source `git` has them."""
    told = bench.settings.plugins.get(GIT_PROVIDER, {}).get("cacheDir")
    return Path(told).expanduser() if isinstance(told, str) and told else default_cache()


def _was_pushed(wanted: Wanted, ids: Sequence[str]) -> bool:
    """Whether the version was pushed to the file before, so that it is missing there by somebody's will."""
    if wanted.step is Step.VERIFY:
        return wanted.known is not None and wanted.known.status is ConsumerStatus.PUSHED
    return latest_id(ids, wanted.image, wanted.entry) == wanted.id


def _held(wanted: Wanted, ids: Sequence[str]) -> Carried:
    if wanted.step is Step.VERIFY:
        url = None if wanted.known is None else wanted.known.url
        return Carried(wanted, ConsumerStatus.CURRENT, f"{wanted.where} holds {wanted.shown}", url)
    if _was_pushed(wanted, ids):
        # A run that was stopped before it could write so has pushed it; nobody was told.
        return Carried(wanted, ConsumerStatus.CURRENT, f"{wanted.shown} was pushed to {wanted.where}", is_done=True)
    return Carried(wanted, ConsumerStatus.CURRENT, f"{wanted.where} names {wanted.shown} already")


def _pushed(wanted: Wanted, target: Target, url: str | None, *, dry_run: bool) -> Carried:
    note = f"{wanted.shown} {'would be ' if dry_run else ''}pushed to {wanted.where} on {target.branch}"
    return Carried(wanted, ConsumerStatus.PUSHED, note, url, is_done=True)


def reverted(wanted: Wanted, target: Target) -> Carried:
    """Return that somebody took a version back."""
    error = Conflict(
        f"{wanted.shown} was pushed to {wanted.where}, and taken back on {target.branch}",
        hint=f"it is left so until there is another version of {wanted.image}; or change the file by hand",
    )
    return Carried(wanted, ConsumerStatus.REVERTED, "", None, error)


def failed(wanted: Wanted, error: ImageFactoryError) -> Carried:
    """Return that an entry could not be done."""
    return Carried(wanted, ConsumerStatus.FAILED, "", None, error)
