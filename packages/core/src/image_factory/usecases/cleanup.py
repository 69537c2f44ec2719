"""Archive what is no longer used without reading a Dockerfile, and list, restore and prune the archive.

What `analyze --all` does on its way, for who wants that alone: images that are gone from images.yaml and
base images that nothing is made from go to the archive; holds that have ended are removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePosixPath

from image_factory.decide.lifecycle import (
    Standing,
    Transition,
    closed_request,
    rebind,
    with_base_history,
    with_history,
)
from image_factory.decide.naming import assign_names
from image_factory.errors import Conflict, ImageFactoryError, NotFound
from image_factory.model.enrollment import Enrollment
from image_factory.model.event import Event
from image_factory.model.image_state import BaseState, ImageState
from image_factory.shell.archive_folder import ArchiveEntry, archive_first
from image_factory.shell.store import FileChange
from image_factory.state.layout import BASE_IMAGES, HOLDS, IMAGES, REQUESTS, state_path
from image_factory.state.merge import keep_discovered, merge_image
from image_factory.state.record_codec import update_any
from image_factory.usecases.analyze import image_configuration
from image_factory.usecases.lifecycle import (
    Archive,
    Known,
    Restored,
    decide_standings,
    finished_emergencies,
    moved_bases,
    moved_canonicals,
    plan_transitions,
)
from image_factory.usecases.outcome import Done, Outcome, Skipped
from image_factory.usecases.workbench import Workbench


@dataclass(frozen=True, slots=True)
class Cleanup:
    """What is to be moved; nothing is written yet."""

    outcomes: tuple[Outcome, ...] = ()
    changes: tuple[FileChange, ...] = ()
    """In the order in which they are to be written."""
    transitions: tuple[Transition, ...] = ()
    problems: tuple[ImageFactoryError, ...] = ()
    events: tuple[Event, ...] = ()
    """Of emergencies that end with it."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything that is archived."""

    entries: tuple[ArchiveEntry, ...]
    """By folder and name, of each the newest first."""
    problems: tuple[ImageFactoryError, ...] = ()
    """Files of the archive that cannot be read; they are left as they are."""


# --- archiving -----------------------------------------------------------------------------------


def clean_up(bench: Workbench, name: str | None = None) -> Cleanup:
    """Return what is to be archived and removed, of all or of one image or base image.

    Raises:
        NotFound: there is no images.yaml, or no record called `name`.
        Conflict: `name` is enrolled, or something is built on it.
    """
    file = bench.images()
    images, bases = bench.store.images(), bench.store.bases()
    now = bench.clock.now()
    archive = Archive.of(bench)
    standings = decide_standings(file, images.records, only=name)
    names = assign_names(
        moved_canonicals(images.records, standings),
        known={state.configuration.full_image: known for known, state in bases.records.items()},
        reserved=file.names,
    )
    left = {
        known: rebind(image, standings.moved, standings.after, names)
        for known, image in images.records.items()
        if known not in standings.removed
    }
    facts = Known(
        images.records,
        left,
        bases.records,
        moved_bases(left.values(), standings, names),
        is_whole=not images.broken,
        unread=images.broken,
        only=name,
    )
    plan = plan_transitions(bench, archive, standings, facts, now=now)
    outcomes = [*plan.outcomes, *_told(plan.done)]
    changes = list(plan.changes)
    strays = None
    if name is None:
        ended = _ended_holds(bench)
        changes += ended.changes
        outcomes += ended.outcomes
        if not file.problems:
            strays = _strays(bench, archive, {*images.records, *images.broken, *file.names})
            changes += strays.changes
            outcomes += strays.outcomes
    elif not outcomes:
        raise _why_not(bench, name)
    problems = (*file.problems, *images.problems, *bases.problems, *archive.problems)
    events = (*plan.events, *(strays.events if strays is not None else ()))
    return Cleanup(tuple(outcomes), archive_first(changes), plan.done, problems, events)


def _told(transitions: tuple[Transition, ...]) -> list[Outcome]:
    """Return an outcome for each base image; images have theirs already."""
    return [
        Done(one.image, (f"{one.reason}: {'archived' if one.after is Standing.ARCHIVED else f'now {one.after}'}",))
        for one in transitions
        if one.before is Standing.BASE
    ]


def _ended_holds(bench: Workbench) -> Cleanup:
    now = bench.clock.now()
    ended = [hold for hold in bench.store.holds().records.values() if hold.until is not None and hold.until <= now]
    outcomes = tuple(Done(f"hold {hold.name}", (f"ended {hold.until:%Y-%m-%d %H:%M} UTC: removed",)) for hold in ended)
    return Cleanup(outcomes, bench.store.plan(removed=[(HOLDS, hold.name) for hold in ended]))


def _strays(bench: Workbench, archive: Archive, known: set[str]) -> Cleanup:
    """Return the archiving of requests and holds whose image is nowhere any more."""
    now = bench.clock.now()
    outcomes: list[Outcome] = []
    changes: list[FileChange] = []
    given_up = {}
    problem = "there is no image of this name"
    for request in bench.store.requests().records.values():
        if request.name not in known:
            removals = bench.store.plan(removed=[(REQUESTS, request.name)])
            closed = closed_request(request, at=now, problem=problem)
            given_up[request.name] = closed
            words = {one.path: update_any(one.old or "", closed) for one in removals}
            changes += archive.folder.moved(removals, at=now, reason=problem, last_words=words)
            outcomes.append(Done(f"request {request.name}", (f"{problem}: archived",)))
    for hold in bench.store.holds().records.values():
        if hold.image is not None and hold.image not in known and (hold.until is None or hold.until > now):
            changes += archive.folder.moved(bench.store.plan(removed=[(HOLDS, hold.name)]), at=now, reason=problem)
            outcomes.append(Done(f"hold {hold.name}", (f"{problem}: archived",)))
    return Cleanup(tuple(outcomes), tuple(changes), events=finished_emergencies(bench, given_up))


def _why_not(bench: Workbench, name: str) -> ImageFactoryError:
    """Return why `name` cannot be archived."""
    file, images, bases = bench.images(), bench.store.images(), bench.store.bases()
    for loaded in (images, bases):
        if name in loaded.broken:
            return loaded.broken[name]
    if name in file.names:
        return Conflict(f"{name} is enrolled", hint=f"remove its entry from {bench.images_file} first")
    if name in images.records:
        return Conflict(
            f"{name} is not in {bench.images_file}, which has errors", hint="correct them: image-factory validate"
        )
    if name in bases.records:
        users = [
            image.name
            for image in images.records.values()
            if name in (*image.configuration.base_images, *image.configuration.secondary_images)
            or bases.records[name].configuration.managed_by in image.configuration.base_images
        ]
        return Conflict(f"{', '.join(users) or 'something'} is built on {name}", hint="it goes when nothing is")
    return NotFound(f"no image is called {name!r}", hint="image-factory status lists them")


# --- the archive ---------------------------------------------------------------------------------


def list_archive(bench: Workbench) -> Listing:
    """Return everything that is archived, and which files of the archive cannot be read."""
    found = Archive.of(bench).folder.all()
    return Listing(
        tuple(entry for one in found for entry in one.entries),
        tuple(problem for one in found for problem in one.broken.values()),
    )


def prune(bench: Workbench, *, older_than: timedelta) -> Cleanup:
    """Return the removal of what was archived longer ago; what cannot be read is left."""
    now = bench.clock.now()
    outcomes: list[Outcome] = []
    changes: list[FileChange] = []
    problems: list[ImageFactoryError] = []
    for found in Archive.of(bench).folder.all():
        old = [entry for entry in found.entries if now - entry.archived.at > older_than]
        if old:
            times = ", ".join(f"{entry.archived.at:%Y-%m-%d}" for entry in old)
            outcomes.append(Done(f"{old[0].folder}/{old[0].name}", (f"archived {times}: removed for good",)))
        changes += [entry.removal() for entry in old]
        problems += found.broken.values()
    return Cleanup(tuple(outcomes), tuple(changes), problems=tuple(problems))


# --- restoring -----------------------------------------------------------------------------------


def restore(bench: Workbench, name: str, *, history_only: bool = False) -> Cleanup:
    """Return the restoring of what was archived last of an image, or of its history alone.

    Args:
        history_only: join the archived history to the record that there is, or to a new one; what is
            archived stays there.

    Raises:
        NotFound: nothing of it is archived.
        Conflict: it is not enrolled, has a record already, or is another image than it was.
    """
    file = bench.images()
    enrollments = {entry.enrollment.name: entry.enrollment for entry in file.enrollments}
    images, bases = bench.store.images(), bench.store.bases()
    for loaded in (images, bases):
        if name in loaded.broken:
            raise loaded.broken[name]
    archive = Archive.of(bench)
    if name in enrollments:
        found = _found(archive.image(enrollments[name]), archive, name)
        restored = _restored_image(
            bench, archive, found, enrollments[name], images.records.get(name), history_only=history_only
        )
    elif name in bases.records:
        found = _found(archive.base(bases.records[name].configuration), archive, name)
        restored = _restored_base(bench, found, bases.records[name], history_only)
    else:
        raise _why_no_restore(bench, archive, name)
    return Cleanup(restored.outcomes, restored.changes, restored.transitions, tuple(archive.problems))


def _found(restored: Restored | None, archive: Archive, name: str) -> Restored:
    if restored is not None:
        return restored
    if archive.problems:
        raise archive.problems[0]
    raise NotFound(f"nothing of {name} is archived", hint="image-factory cleanup list shows what is")


def _restored_image(
    bench: Workbench,
    archive: Archive,
    found: Restored,
    enrollment: Enrollment,
    live: ImageState | None,
    *,
    history_only: bool,
) -> Cleanup:
    archived = found.record
    assert isinstance(archived, ImageState)
    now = bench.clock.now()
    if history_only:
        record = live or merge_image(None, image_configuration(enrollment), at=now)
        joined = with_history(record, archived.history)
        return _joined(bench, found, bench.store.plan([joined]))
    if live is not None:
        raise _has_record(enrollment.name)
    if found.conflicts:
        raise _is_another(enrollment.name, found)
    configuration = keep_discovered(archived, image_configuration(enrollment))
    record = merge_image(archived, configuration, at=now)
    path = PurePosixPath(bench.settings.state_dir, state_path(IMAGES, record.name))
    text = update_any(found.entry.archived.text, record, str(found.entry.path))
    return Cleanup(
        (Done(record.name, (found.sentence,)),),
        archive_first([FileChange(path, None, text), *archive.folder.taken_out(found.entry)]),
        (Transition(record.name, Standing.ARCHIVED, Standing(record.kind), "it was restored by hand"),),
    )


def _restored_base(bench: Workbench, found: Restored, live: BaseState, history_only: bool) -> Cleanup:
    archived = found.record
    assert isinstance(archived, BaseState)
    if not history_only:
        raise _has_record(live.name)
    return _joined(bench, found, bench.store.plan((), [with_base_history(live, archived.history)]))


def _joined(bench: Workbench, found: Restored, changes: tuple[FileChange, ...]) -> Cleanup:
    name = found.entry.name
    if not changes:
        return Cleanup((Skipped(name, "it has all of the archived history"),))
    when = f"{found.entry.archived.at:%Y-%m-%d %H:%M} UTC"
    return Cleanup((Done(name, (f"has the history in the archive of {when} too",)),), changes)


def _has_record(name: str) -> Conflict:
    return Conflict(f"{name} has a record already", hint="--history-only joins the archived history to it")


def _is_another(name: str, found: Restored) -> Conflict:
    return Conflict(
        f"{name} is not what it was: {' and '.join(found.conflicts)}",
        hint="--history-only takes its history alone; or correct images.yaml",
    )


def _why_no_restore(bench: Workbench, archive: Archive, name: str) -> ImageFactoryError:
    found: Mapping[str, str] = {
        IMAGES: f"enroll it in {bench.images_file}: analyze restores it then",
        BASE_IMAGES: "analyze restores it when a Dockerfile names it again",
    }
    for folder, hint in found.items():
        if name in archive.folder.names(IMAGES if folder == IMAGES else BASE_IMAGES):
            return Conflict(f"{name} is not used: it would be archived again", hint=hint)
    return NotFound(f"nothing of {name!r} is archived", hint="image-factory cleanup list shows what is")
