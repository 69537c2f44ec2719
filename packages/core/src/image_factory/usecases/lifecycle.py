"""Carry out what images become: records bound anew, archived, and taken back from the archive.

Gather: the archive, requests, holds. Decide: `decide.lifecycle`. The changes and the transitions are
returned; `analyze` and `cleanup` write them in their one commit, and tell of them with
`log_transitions` when that is done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import TypeVar

from image_factory.decide.discovery import base_configuration, watched_canonical
from image_factory.decide.eligible_times import dependents_by_base, with_eligible_times
from image_factory.decide.emergency_progress import decide_emergency_finished
from image_factory.decide.lifecycle import (
    Standing,
    Transition,
    closed_request,
    decide_publishers,
    decide_removed,
    find_base_conflicts,
    find_conflicts,
    find_orphans,
    history_from_base,
    history_from_image,
    moved_references,
    moved_repositories,
    published,
    publisher_of,
    taken_over,
)
from image_factory.decide.versions import looks_pinned
from image_factory.errors import ImageFactoryError
from image_factory.model.enrollment import Enrollment, Kind
from image_factory.model.event import Event
from image_factory.model.hold import Hold
from image_factory.model.image_state import BaseConfiguration, BaseState, ImageState, StateFolder
from image_factory.model.request import RebuildRequest
from image_factory.oci.reference import Repository
from image_factory.shell.archive_folder import ArchiveEntry, ArchiveFolder, archive_first
from image_factory.shell.store import FileChange
from image_factory.state.codec import read_base, read_image
from image_factory.state.images_yaml import ImagesFile
from image_factory.state.layout import BASE_IMAGES, HOLDS, IMAGES, REQUESTS, state_path
from image_factory.state.merge import merge_base
from image_factory.state.record_codec import read_record, update_any
from image_factory.usecases.outcome import Done, Outcome
from image_factory.usecases.workbench import Workbench

log = logging.getLogger("image_factory.lifecycle")

T = TypeVar("T", ImageState, BaseState)

_NAMED = 5
"""Images that a warning names."""


@dataclass(frozen=True, slots=True)
class Standings:
    """Who publishes what, as it was recorded and as images.yaml has it now."""

    before: Mapping[Repository, str]
    after: Mapping[Repository, str]
    removed: tuple[str, ...]
    """Images that are gone from images.yaml."""
    moved: frozenset[str]
    """The repositories whose publisher is another one now, or none."""


def decide_standings(
    file: ImagesFile, images: Mapping[str, ImageState], *, whole: bool = True, only: str | None = None
) -> Standings:
    """Return how the recorded images stand to images.yaml.

    Args:
        whole: whether images that are gone from it are to be removed now.
        only: the one that is, if it is gone; None for all that are.
    """
    removed = decide_removed(images, file.names, is_sound=not file.problems) if whole else ()
    removed = tuple(name for name in removed if only in (None, name))
    missing = sorted(set(images) - file.names) if file.problems and file.names and whole else []
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        log.warning(
            "not in images.yaml, which has errors; nothing is archived until they are corrected: %s%s",
            ", ".join(missing[:_NAMED]),
            more,
            extra={"image": None, "op": "lifecycle"},
        )
    before = published(images)
    after = decide_publishers({entry.enrollment.name: entry.enrollment for entry in file.enrollments}, images, removed)
    return Standings(before, after, removed, moved_repositories(before, after))


def moved_canonicals(images: Mapping[str, ImageState], standings: Standings) -> set[str]:
    """Return the canonical references that become base images because nobody here publishes them any more."""
    return {
        watched_canonical(reference)
        for name, image in images.items()
        if name not in standings.removed
        for reference in moved_references(image, standings.moved)
        if reference.repository not in standings.after
    }


# --- back from the archive -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Restored:
    """A record that comes back from the archive, or may not."""

    entry: ArchiveEntry
    record: ImageState | BaseState
    conflicts: tuple[str, ...] = ()
    """Why it is not that of what is enrolled now; it stays in the archive then."""

    @property
    def image(self) -> ImageState | None:
        """The image's record, where it comes back."""
        return self.record if isinstance(self.record, ImageState) and not self.conflicts else None

    @property
    def sentence(self) -> str:
        """What people are told of it."""
        when = f"{self.entry.archived.at:%Y-%m-%d %H:%M} UTC"
        if not self.conflicts:
            return f"restored from the archive of {when}"
        return (
            f"its history in the archive of {when} is left there, since {' and '.join(self.conflicts)} "
            f"(image-factory cleanup restore {self.entry.name} --history-only takes it all the same)"
        )


@dataclass
class Archive:
    """The archive as a run looks into it, with what of it could not be read."""

    folder: ArchiveFolder
    problems: list[ImageFactoryError] = field(default_factory=list)

    @classmethod
    def of(cls, bench: Workbench) -> Archive:
        """Return the archive of a workbench's folder."""
        return cls(ArchiveFolder(bench.store, bench.root, bench.settings.state_dir))

    def image(self, enrollment: Enrollment) -> Restored | None:
        """Return what was archived last of an image, or None where nothing was."""
        newest = self._newest(IMAGES, enrollment.name, read_image)
        return None if newest is None else Restored(*newest, find_conflicts(newest[1], enrollment))

    def base(self, configuration: BaseConfiguration) -> Restored | None:
        """Return what was archived last of a base image, or None where nothing was."""
        newest = self._newest(BASE_IMAGES, configuration.name, read_base)
        return None if newest is None else Restored(*newest, find_base_conflicts(newest[1], configuration))

    def _newest(self, folder: StateFolder, name: str, read: Callable[[str, str], T]) -> tuple[ArchiveEntry, T] | None:
        found = self.folder.find(folder, name)
        self.problems += found.broken.values()
        for entry in found.entries:
            try:
                return entry, read(entry.archived.text, str(entry.path))
            except ImageFactoryError as error:
                self.problems.append(error)
        return None


# --- the plan ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Known:
    """What a run has found out, from which follows what images become."""

    recorded: Mapping[str, ImageState]
    """The images that there is state of, as it is."""
    images: Mapping[str, ImageState]
    """The images that there are from now on, as they are to be written."""
    bases: Mapping[str, BaseState]
    """The base images that there is state of."""
    found: Mapping[str, BaseConfiguration]
    """The base images that Dockerfiles name."""
    restored: Mapping[str, Restored] = field(default_factory=dict)
    """The images that are enrolled again, and what the archive has of them."""
    is_whole: bool = True
    """False where some image's record cannot be read, so that nobody knows what it is made from."""
    unread: Collection[str] = ()
    """The images whose record cannot be read."""
    only: str | None = None
    """The one base image that is to be archived if nothing uses it; None for all such."""


@dataclass(frozen=True, slots=True)
class Transitions:
    """What images become in a run; nothing is written yet."""

    changes: tuple[FileChange, ...]
    """Of the records and the archive, in the order in which they are to be written."""
    done: tuple[Transition, ...]
    outcomes: tuple[Outcome, ...]
    """Of images that are gone."""
    events: tuple[Event, ...] = ()
    """Of emergencies whose last request is given up with them."""


def plan_transitions(
    bench: Workbench, archive: Archive, standings: Standings, known: Known, *, now: datetime
) -> Transitions:
    """Return what becomes of all records, given what was found out."""
    plan = _Plan(bench, archive, standings, known, now)
    plan.find_bases()
    plan.take_bases_over()
    plan.enroll_again()
    plan.change_kinds()
    plan.remove_images()
    plan.archive_orphans()
    plan.tell_times()
    return plan.finished()


class _Plan:
    def __init__(self, bench: Workbench, archive: Archive, standings: Standings, known: Known, now: datetime) -> None:
        self.bench = bench
        self.archive = archive
        self.standings = standings
        self.known = known
        self.now = now
        self.images = {name: one for name, one in known.images.items() if known.recorded.get(name) is not one}
        """Records to write."""
        self.bases: dict[str, BaseState] = {}
        """Records to write."""
        self.gone: set[str] = set()
        """Base images whose name a managed image has now."""
        self.changes: list[FileChange] = []
        self.done: list[Transition] = []
        self.outcomes: list[Outcome] = []
        self.closed: dict[str, RebuildRequest] = {}
        """Requests that are given up."""

    def find_bases(self) -> None:
        """Record the base images that Dockerfiles name, those that were managed images with their history."""
        targets: dict[Repository, int] = {}
        for configuration in self.known.found.values():
            repository = Repository(configuration.registry, configuration.repository)
            targets[repository] = targets.get(repository, 0) + 1
        for name, configuration in sorted(self.known.found.items()):
            old = self.known.bases.get(name)
            restored = self.archive.base(configuration) if old is None else None
            known = old
            if restored is not None and not restored.conflicts and isinstance(restored.record, BaseState):
                known = restored.record
            base = merge_base(known, _with_known_spellings(known, configuration), at=self.now)
            repository = Repository(configuration.registry, configuration.repository)
            publisher = self.known.recorded.get(self.standings.before.get(repository, ""))
            is_new = old is None or old.configuration.managed_by is not None
            if publisher is not None and repository not in self.standings.after and is_new:
                tag = configuration.tag or ""
                # One that stands still is an older version's: what was built since is not behind it.
                is_followed = targets[repository] == 1 and not looks_pinned(tag)
                is_its_tag = is_followed or tag == publisher.runtime.current_version
                base = history_from_image(base, publisher, with_digests=is_its_tag)
            if known is not old and restored is not None:
                self._restore(restored.entry, base)
                self._add(name, Standing.ARCHIVED, Standing.BASE, "a Dockerfile names it again")
            self.bases[name] = base

    def take_bases_over(self) -> None:
        """Stop watching base images that a managed image publishes, and let it go on with their history."""
        of: dict[str, list[BaseState]] = {}
        for name, base in self.known.bases.items():
            publisher = publisher_of(base.configuration, self.standings.after)
            if publisher is None:
                continue
            of.setdefault(publisher, []).append(base)
            if base.configuration.managed_by is None:
                self._add(name, Standing.BASE, Standing.MANAGED, f"the managed image {publisher} publishes it")
            self.bases[name] = taken_over(base, publisher)
            if name in self.known.images:
                # Two records of one name would be two resources of one name.
                self.gone.add(name)
        for publisher, bases in of.items():
            image = self.images.get(publisher)
            tracked = [base for base in bases if not base.configuration.pinned]
            is_new = publisher not in self.known.recorded and publisher not in self.known.restored
            if image is not None and is_new and len(tracked) == 1:
                self.images[publisher] = history_from_base(image, tracked[0])

    def enroll_again(self) -> None:
        """Take back from the archive what is enrolled again."""
        for name, restored in self.known.restored.items():
            image = self.images.get(name)
            if restored.conflicts or image is None:
                continue
            self._restore(restored.entry, image)
            self._add(name, Standing.ARCHIVED, Standing(image.kind), "it is enrolled again")
            self._restore_hold(restored.entry)

    def change_kinds(self) -> None:
        """Note enrollments that gained or lost their source; what was to be built of the latter is not any more."""
        for name, image in list(self.images.items()):
            old = self.known.recorded.get(name)
            if old is None or old.kind is image.kind:
                continue
            # What kept it from being watched, or from being built, is over.
            self.images[name] = image.model_copy(update={"runtime": image.runtime.model_copy(update={"problem": None})})
            how = "gained its source" if image.kind is Kind.MANAGED else "lost its source"
            self._add(name, Standing(old.kind), Standing(image.kind), f"its enrollment {how}")
            if image.kind is Kind.EXTERNAL:
                request = self.bench.store.requests().records.get(name)
                if request is not None and not request.status.is_under_way:
                    closed = closed_request(request, at=self.now, problem="the image is external now")
                    self.changes += self.bench.store.plan(requests=[closed])
                    self.closed[name] = closed

    def remove_images(self) -> None:
        """Archive the records of images that are gone from images.yaml, and what belongs to them."""
        for name in self.standings.removed:
            image = self.known.recorded[name]
            bases, users = self._used_as(image)
            after, what, reason = Standing.ARCHIVED, "archived", "removed from images.yaml"
            if bases:
                after, what = Standing.BASE, f"now the base image {', '.join(bases)} of {', '.join(users)}"
                reason = f"{reason}; still used by {', '.join(users)}, as the base image {', '.join(bases)}"
            self._archive(IMAGES, name, reason)
            self._close(name)
            self._add(name, Standing(image.kind), after, reason)
            self.outcomes.append(Done(name, (f"removed from images.yaml, {what}",)))

    def archive_orphans(self) -> None:
        """Archive the records of base images that no image is made from any more."""
        bases = {**self.known.bases, **self.bases}
        orphans = find_orphans(self.known.images.values(), bases) if self.known.is_whole else ()
        orphans = tuple(name for name in orphans if self.known.only in (None, name) or name not in self.known.bases)
        for name in sorted({*orphans, *self.gone}):
            self.bases.pop(name, None)
            if name not in self.known.bases:
                continue
            if name in self.gone:
                self._archive(BASE_IMAGES, name, "a managed image of its name publishes it")
                continue
            self._archive(BASE_IMAGES, name, NO_DEPENDENTS)
            self._add(name, Standing.BASE, Standing.ARCHIVED, NO_DEPENDENTS)

    def tell_times(self) -> None:
        """Write from when each image may be rebuilt for its bases: delays, and what images are built on, change."""
        if self.known.only is not None:
            return
        dependents = dependents_by_base(self.known.images.values())
        gone = {change.path.stem for change in self.changes if change.new is None and BASE_IMAGES in change.path.parts}
        for name, base in {**self.known.bases, **self.bases}.items():
            timed = with_eligible_times(base, dependents.get(name, ()), self.known.unread)
            if timed is not base and name not in gone:
                self.bases[name] = timed

    def finished(self) -> Transitions:
        """Return the plan with the changes of all records."""
        back = {change.path for change in self.changes}
        written = self.bench.store.plan(self.images.values(), self.bases.values())
        self.changes += [change for change in written if change.path not in back]
        events = finished_emergencies(self.bench, self.closed)
        return Transitions(archive_first(self.changes), tuple(self.done), tuple(self.outcomes), events)

    # --- inner ---------------------------------------------------------------------------------------

    def _add(self, image: str, before: Standing, after: Standing, reason: str) -> None:
        self.done.append(Transition(image, before, after, reason))

    def _used_as(self, image: ImageState) -> tuple[list[str], list[str]]:
        """Return which base images a managed image that is gone lives on as, and what is made from them."""
        repository = image.configuration.enrollment.image
        if image.kind is not Kind.MANAGED or str(repository) not in self.standings.moved:
            return [], []
        bases = [
            name
            for name, base in self.known.found.items()
            if (base.registry, base.repository) == (repository.registry, repository.path)
        ]
        users = [
            name
            for name, one in self.known.images.items()
            if not {*one.configuration.base_images, *one.configuration.secondary_images}.isdisjoint(bases)
        ]
        return sorted(bases), sorted(users)

    def _archive(self, folder: StateFolder, name: str, reason: str, last_words: str | None = None) -> None:
        removals = self.bench.store.plan(removed=[(folder, name)])
        words = {removal.path: last_words for removal in removals if last_words is not None}
        self.changes += self.archive.folder.moved(removals, at=self.now, reason=reason, last_words=words)

    def _close(self, name: str) -> None:
        """Archive the request and the hold of an image that is gone."""
        reason = f"the image {name} was removed from images.yaml"
        request = self.bench.store.requests().records.get(name)
        if request is not None:
            closed = closed_request(request, at=self.now, problem="the image was removed from images.yaml")
            text = self.bench.store.text(state_path(REQUESTS, name)) or ""
            self._archive(REQUESTS, name, reason, update_any(text, closed))
            self.closed[name] = closed
        hold = self.bench.store.holds().records.get(name)
        if hold is not None and hold.image == name:
            self._archive(HOLDS, name, reason)

    def _restore(self, entry: ArchiveEntry, record: ImageState | BaseState) -> None:
        live = PurePosixPath(self.bench.settings.state_dir, state_path(entry.folder, record.name))
        text = update_any(entry.archived.text, record, str(entry.path))
        self.changes += [FileChange(live, None, text), *self.archive.folder.taken_out(entry)]

    def _restore_hold(self, image: ArchiveEntry) -> None:
        """Hold again what was held when it was archived, unless that has ended meanwhile."""
        found = self.archive.folder.find(HOLDS, image.name)
        for entry in found.entries:
            if entry.archived.at != image.archived.at or image.name in self.bench.store.holds().records:
                continue
            hold = read_record(entry.archived.text, str(entry.path), Hold)
            if hold.until is None or hold.until > self.now:
                live = PurePosixPath(self.bench.settings.state_dir, state_path(HOLDS, image.name))
                removals = self.archive.folder.taken_out(entry)
                self.changes += [FileChange(live, None, entry.archived.text), *removals]
            return


def finished_emergencies(bench: Workbench, closed: Mapping[str, RebuildRequest]) -> tuple[Event, ...]:
    """Return what people are told of emergencies that end because these requests are given up."""
    if not closed:
        return ()
    known = bench.store.requests().records
    return decide_emergency_finished(known, {**known, **closed})


NO_DEPENDENTS = "no image is built on it any more"


def _with_known_spellings(old: BaseState | None, found: BaseConfiguration) -> BaseConfiguration:
    """Keep the spellings met earlier: they may stand in Dockerfiles that this run did not read."""
    if old is None:
        return found
    return found.model_copy(update={"aliases": tuple(sorted({*old.configuration.aliases, *found.aliases}))})


def moved_bases(
    images: Iterable[ImageState], standings: Standings, names: Mapping[str, str]
) -> dict[str, BaseConfiguration]:
    """Return the base images that these records name in repositories which nobody here publishes any more."""
    found: dict[str, BaseConfiguration] = {}
    for image in images:
        for reference in moved_references(image, standings.moved):
            if reference.repository in standings.after:
                continue
            name = names[watched_canonical(reference)]
            found[name] = base_configuration(name, reference)
    return found


def log_transitions(transitions: Iterable[Transition]) -> None:
    """Log each transition; to be called when it is written."""
    for one in transitions:
        fields = {"image": one.image, "op": "lifecycle", "from": str(one.before), "to": str(one.after)}
        log.info("became %s", one.after, extra={**fields, "reason": one.reason})
