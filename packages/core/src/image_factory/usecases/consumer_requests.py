"""Carry versions to one branch of one repository by a change request, which people review and merge.

There is one request for each branch, under a branch name that is always the same, so that a run that was
stopped is taken up and a newer version joins the request that is open. One that was closed without being
merged is not opened again for the same versions.
"""

from __future__ import annotations

from collections.abc import Sequence

from image_factory.decide.consumers import TRAILER, Step
from image_factory.decide.update_texts import (
    Evidence,
    commit_message,
    evidence_of,
    request_body,
    request_ids,
    subject_of,
)
from image_factory.errors import Conflict, ImageFactoryError, RemoteRefused
from image_factory.model.image_state import ConsumerStatus
from image_factory.ports import ChangeProposal, ChangeRequest, FileEdit
from image_factory.usecases.consumer_files import Edited, Wanted, edit_files
from image_factory.usecases.consumer_push import Carried, Delivered, Target, failed, reverted
from image_factory.usecases.workbench import Workbench

BRANCH = "image-factory/update/"
"""What the name of a request's branch begins with; the branch that it goes to follows."""


def propose_updates(bench: Workbench, target: Target, *, dry_run: bool = False) -> Delivered:
    """Let one change request hold every version that goes to the branch and is not there yet.

    Raises:
        RemoteError: the repository cannot be read.
    """
    delivered = _propose_once(bench, target, dry_run=dry_run)
    if any(isinstance(carried.error, RemoteRefused) for carried in delivered.carried):
        # Another run may have opened it a moment before: what it did is found, and what is still refused, is.
        delivered = _propose_once(bench, target, dry_run=dry_run)
    return delivered


def _propose_once(bench: Workbench, target: Target, *, dry_run: bool) -> Delivered:
    source, place = target.source, target.place
    name = f"{BRANCH}{target.branch}"
    # The request first: were it merged after this, the branch that is read next holds what it brought.
    request = source.change_request(place, name, target.branch)
    revision = source.revision(place, f"refs/heads/{target.branch}")
    edited = edit_files(bench.plugins, source, place, revision, target.entries)
    settled = [_held(wanted, request) for wanted in edited.held]
    settled += [failed(wanted, error) for wanted, error in edited.failed]
    todo: list[Wanted] = []
    for wanted in edited.edited:
        closed = _closed(wanted, target, request)
        if closed is None:
            todo.append(wanted)
        else:
            settled.append(closed)
    kept: list[Wanted] = []
    if request is not None and request.is_open:
        revision = source.revision(place, f"refs/heads/{name}")
        there = edit_files(bench.plugins, source, place, revision, todo)
        settled += [failed(wanted, error) for wanted, error in there.failed]
        # What a reviewer has changed in the request since stays as it is.
        kept = [*there.held, *(wanted for wanted in there.edited if wanted.step is Step.VERIFY)]
        todo = [wanted for wanted in there.edited if wanted.step is not Step.VERIFY]
        if not todo and {wanted.id for wanted in kept} <= request_ids(request.body):
            return Delivered((*settled, *(_waiting(wanted, request) for wanted in kept)))
    if not todo and not kept:
        return Delivered(tuple(settled))
    try:
        opened, edits, proposed = _propose(bench, target, name, revision, kept, todo, dry_run=dry_run)
    except ImageFactoryError as error:
        opened, edits, proposed = None, None, [failed(wanted, error) for wanted in todo]
    there_now = opened or request
    waiting = [] if there_now is None else [_waiting(wanted, there_now) for wanted in kept]
    return Delivered((*settled, *proposed, *waiting), edits)


def _propose(
    bench: Workbench,
    target: Target,
    name: str,
    revision: str,
    kept: Sequence[Wanted],
    todo: Sequence[Wanted],
    *,
    dry_run: bool,
) -> tuple[ChangeRequest | None, Edited | None, list[Carried]]:
    """Open the request, or let the open one hold `todo` beside `kept`; a file that is refused stops no other.

    Raises:
        ImageFactoryError: it cannot be opened for another reason than a refusal.
    """
    refused: list[Carried] = []
    while True:
        edited = edit_files(bench.plugins, target.source, target.place, revision, todo)
        entries = [wanted for wanted in target.entries if wanted in kept or wanted in todo]
        try:
            opened = None
            if not dry_run:
                opened = target.source.open_change_request(target.place, _proposal(target, name, entries, edited))
        except RemoteRefused as error:
            named = [wanted for wanted in todo if edited.paths[wanted] in error.message] or todo
            refused += [failed(wanted, error) for wanted in named]
            todo = [wanted for wanted in todo if wanted not in named]
            if not todo:
                return None, None, refused
            continue
        return opened, edited, [*refused, *(_proposed(wanted, target, opened) for wanted in todo)]


def _proposal(target: Target, name: str, entries: Sequence[Wanted], edited: Edited) -> ChangeProposal:
    notes = [wanted.note() for wanted in entries]
    evidence = [Evidence(wanted.note(), evidence_of(wanted.state)) for wanted in entries]
    return ChangeProposal(
        branch=name,
        base=target.branch,
        title=subject_of(notes),
        body=request_body(evidence),
        message=commit_message(notes, str(target)),
        edits=tuple(FileEdit(path, content) for path, content in edited.changes.items()),
        trailer=TRAILER,
    )


def _held(wanted: Wanted, request: ChangeRequest | None) -> Carried:
    url = request.url if request is not None and wanted.id in request_ids(request.body) else None
    if wanted.step is Step.VERIFY:
        known = None if wanted.known is None else wanted.known.url
        return Carried(wanted, ConsumerStatus.CURRENT, f"{wanted.where} holds {wanted.shown}", url or known)
    if url is not None:
        # It was proposed and merged, and the run that proposed it was stopped before it could write so.
        return Carried(wanted, ConsumerStatus.CURRENT, f"{wanted.shown} came to {wanted.where}", url, is_done=True)
    note = f"{wanted.where} names {wanted.shown} already"
    if request is not None and request.is_open and wanted.known is not None and wanted.known.url == request.url:
        # The image went back to an earlier version; a request has no other end than a person's.
        note += f"; {request.url} still proposes {wanted.note().was}: close it"
    return Carried(wanted, ConsumerStatus.CURRENT, note)


def _closed(wanted: Wanted, target: Target, request: ChangeRequest | None) -> Carried | None:
    """Return what became of an entry that was proposed before and is proposed no more; None where it was not."""
    known = wanted.known if wanted.step is Step.VERIFY else None
    if known is not None and known.status is ConsumerStatus.PUSHED:
        return reverted(wanted, target)
    if request is None:
        return None
    was_in = wanted.id in request_ids(request.body) or (known is not None and known.url == request.url)
    is_older = known is not None and known.url not in (None, request.url)
    if (request.is_open or not was_in) and not is_older:
        return None
    url = known.url if known is not None and is_older else request.url
    if request.is_merged and not is_older:
        return reverted(wanted, target)
    error = Conflict(
        f"the change request for {wanted.shown} in {wanted.where} was closed: {url}",
        hint=f"none is opened again until there is another version of {wanted.image}; reopen it, or change the file",
    )
    return Carried(wanted, ConsumerStatus.DECLINED, "", url, error)


def _proposed(wanted: Wanted, target: Target, opened: ChangeRequest | None) -> Carried:
    url = None if opened is None else opened.url
    verb = "would be proposed" if url is None else "proposed"
    note = f"{wanted.shown} {verb} to {wanted.where} on {target.branch}" + (f": {url}" if url else "")
    return Carried(wanted, ConsumerStatus.PROPOSED, note, url, is_done=True)


def _waiting(wanted: Wanted, request: ChangeRequest) -> Carried:
    if wanted.step is not Step.VERIFY:
        # A run that was stopped before it could write so has proposed it; nobody was told.
        note = f"{wanted.shown} is proposed to {wanted.where}: {request.url}"
        return Carried(wanted, ConsumerStatus.PROPOSED, note, request.url, is_done=True)
    return Carried(wanted, ConsumerStatus.PROPOSED, "", request.url, waits=f"{request.url} waits to be merged")
