"""Stop rebuilds of an image, or with a digest, for a reason and for a while; and let them go on again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from image_factory.decide.backoff import BY_POLICY
from image_factory.decide.settlement import WITHDRAWN
from image_factory.errors import Conflict, ImageFactoryError, InvalidReference, NotFound, UserError
from image_factory.model.duration import parse_duration
from image_factory.model.enrollment import Kind
from image_factory.model.event import one_line, shorten
from image_factory.model.hold import Hold
from image_factory.model.image_state import BaseState, parse_time
from image_factory.model.request import RebuildRequest, RequestStatus
from image_factory.oci.reference import Digest
from image_factory.shell.store import FileChange
from image_factory.state.layout import HOLDS
from image_factory.usecases.outcome import Done, Outcome, Skipped
from image_factory.usecases.requests import plan_requests
from image_factory.usecases.workbench import Workbench

MAX_REASON = 500
"""Characters of a reason."""
MIN_DIGITS = 12
"""Digits that a digest must be given with, as it is shown."""


@dataclass(frozen=True, slots=True)
class Held:
    """What is to be written; nothing is yet."""

    outcomes: tuple[Outcome, ...]
    changes: tuple[FileChange, ...]


@dataclass(frozen=True, slots=True)
class HoldStatus:
    """One hold, and how it stands."""

    hold: Hold
    is_ended: bool

    @property
    def subject(self) -> str:
        """What is held."""
        return self.hold.image or self.hold.digest or self.hold.name


def read_holds(bench: Workbench) -> tuple[tuple[HoldStatus, ...], tuple[ImageFactoryError, ...]]:
    """Return all holds, ended ones last, and which files cannot be read."""
    loaded = bench.store.holds()
    now = bench.clock.now()
    found = [HoldStatus(one, one.until is not None and one.until <= now) for one in loaded.records.values()]
    return tuple(sorted(found, key=lambda status: (status.is_ended, status.hold.name))), loaded.problems


def hold(bench: Workbench, subject: str, *, reason: str, until: datetime | None = None, by: str = "") -> Held:
    """Return what is written to hold an image, or a digest of a base image; a hold that there is, is replaced.

    Args:
        subject: the name of a managed image; or a digest, which may be shortened where we know it.
        reason: why, for everyone who meets it.
        until: when it ends by itself.
        by: who wants it.

    Raises:
        NotFound: no image is called so, and no known digest begins so; the hint names some that are.
        Conflict: the image is none that is rebuilt.
        UserError: there is no reason, or `until` has passed.
    """
    now = bench.clock.now().replace(microsecond=0)
    why = shorten(one_line(reason), MAX_REASON)
    if not why:
        raise UserError("no reason", hint="say why with --reason: everyone who meets the hold is shown it")
    if until is not None and until <= now:
        raise UserError(f"{until:%Y-%m-%d %H:%M} UTC has passed", hint="give an instant to come, or a time such as 7d")
    image, digest = _subject(bench, subject)
    name = image or hold_name(digest or "")
    loaded = bench.store.holds()
    old = loaded.records.get(name)
    if old is not None and (old.image, old.digest) != (image, digest):
        raise Conflict(f"{name} holds {old.digest or old.image} already", hint=f"release it first: {name}")
    new = Hold(name=name, image=image, digest=digest, reason=why, by=one_line(by), at=now, until=until)
    if old is not None and old.model_copy(update={"at": now, "by": new.by}) == new:
        return Held((Skipped(image or digest or name, f"is held already: {old.reason}"),), ())
    sentence = f"held{f' until {until:%Y-%m-%d %H:%M} UTC' if until else ''}: {why}"
    if old is not None:
        sentence += f" (before: {old.reason})"
    users = ", ".join(base.name for base in bench.store.bases().records.values() if digest in set(_digests(base)))
    named = [f"a digest of {users}"] if users and digest else []
    taken = _withdrawn(bench, new, now)
    outcomes = [Done(image or digest or name, (sentence, *named))]
    outcomes += [Done(one.name, (f"request {one.request_id} is taken back from the cluster",)) for one in taken]
    return Held(tuple(outcomes), (*bench.store.plan(holds=[new]), *plan_requests(bench, taken)))


def _withdrawn(bench: Workbench, new: Hold, now: datetime) -> list[RebuildRequest]:
    """Return the requests that Kargo is to start and a hold takes back: it knows of none, and reads them alone.

    What a person or an emergency ordered goes on, as it does where this program starts builds.
    """
    if bench.settings.starts_builds:
        return []
    update = {"status": RequestStatus.CANCELLED, "finished_at": now, "problem": f"{WITHDRAWN}: {new.reason}"}
    return [
        request.model_copy(update=update)
        for request in bench.store.requests().records.values()
        if request.status is RequestStatus.REQUESTED
        and request.triggered_by == BY_POLICY
        and (request.name == new.image or new.digest in {pinned.digest for pinned in request.digests})
    ]


def release(bench: Workbench, subject: str) -> Held:
    """Return what is written to end a hold.

    Args:
        subject: the image, the digest (which may be shortened), or the hold's own name.

    Raises:
        NotFound: nothing of the kind is held; the hint names what is.
        InvalidState: the hold's file cannot be read.
    """
    loaded = bench.store.holds()
    if subject in loaded.broken:
        raise loaded.broken[subject]
    meant = [
        one
        for one in loaded.records.values()
        if subject in (one.name, one.image) or (one.digest is not None and _begins(one.digest, subject))
    ]
    if len(meant) != 1:
        held = ", ".join(one.image or one.digest or one.name for one in loaded.records.values()) or "nothing"
        what = "is not held" if not meant else "may be any of several holds"
        raise NotFound(f"{subject!r} {what}", hint=f"held: {held}")
    (one,) = meant
    outcome = Done(one.image or one.digest or one.name, (f"held no more (it was: {one.reason})",))
    return Held((outcome,), bench.store.plan(removed=[(HOLDS, one.name)]))


def hold_name(digest: str) -> str:
    """Return the name of the file that holds a digest: its algorithm and first 12 digits."""
    algorithm, _, digits = digest.partition(":")
    return f"{algorithm}-{digits[:MIN_DIGITS]}"


def parse_until(text: str, now: datetime) -> datetime:
    """Return the instant that `text` means: a date or time, or a duration from `now`.

    Raises:
        UserError: it is none of these.
    """
    try:
        return now + parse_duration(text)
    except (UserError, OverflowError):
        pass
    try:
        return parse_time(text.strip())
    except ValueError as error:
        raise UserError(
            f"not a time: {shorten(text, 80)!r}", hint="write a date such as 2026-12-24, or a duration such as 7d"
        ) from error


def _subject(bench: Workbench, subject: str) -> tuple[str | None, str | None]:
    """Return the image or the digest that is meant."""
    bases = bench.store.bases().records
    if ":" in subject:
        return None, _digest(subject, {digest for base in bases.values() for digest in _digests(base)})
    file = bench.images()
    managed = [entry.enrollment.name for entry in file.enrollments if entry.enrollment.kind is Kind.MANAGED]
    if subject in managed:
        return subject, None
    if subject in bases:
        current = bases[subject].runtime.current_digest or "sha256:…"
        raise Conflict(f"{subject} is a base image, which is not rebuilt", hint=f"hold its digest: {current}")
    if subject in file.names and any(entry.enrollment.name == subject for entry in file.enrollments):
        raise Conflict(f"{subject} is external: it is watched, and not rebuilt", hint="hold what is built here")
    known = ", ".join(sorted(managed)[:8]) + (" and more" if len(managed) > 8 else "")
    raise NotFound(f"no managed image is called {subject!r}", hint=f"known are {known or 'none'}")


def _digest(text: str, known: set[str]) -> str:
    try:
        return str(Digest.parse(text))
    except InvalidReference:
        found = sorted(digest for digest in known if _begins(digest, text))
        if len(found) == 1:
            return found[0]
        if found:
            raise NotFound(f"{text} may be any of {len(found)} digests", hint="give more of its digits") from None
        if text.partition(":")[2] and len(text.partition(":")[2]) < MIN_DIGITS:
            raise NotFound(f"too few digits of a digest: {text!r}", hint=f"give {MIN_DIGITS} or more") from None
        raise


def _begins(digest: str, text: str) -> bool:
    return len(text.partition(":")[2]) >= MIN_DIGITS and digest.startswith(text)


def _digests(base: BaseState) -> Iterator[str]:
    if base.runtime.current_digest is not None:
        yield base.runtime.current_digest
    for update in base.history.update_history:
        yield update.new_digest
