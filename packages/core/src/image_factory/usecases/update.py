"""Carry new versions of managed images into the files that name them.

Gather: the entries of `updates`, each image's version, what is recorded of each entry. Decide: which entries
need anything (`decide.consumers`). Act: one commit or one change request for each branch that versions go to.
Report: outcomes, the records that change, and what people are to be told.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from image_factory.decide.consumers import Step, check_gate, decide_step, entry_keys, find_consumer, recorded
from image_factory.errors import ImageFactoryError, NotFound
from image_factory.model.enrollment import Enrollment, Kind, Update
from image_factory.model.event import Event, EventKind
from image_factory.model.image_state import Consumer, ConsumerStatus, ImageState
from image_factory.ports import SourceRepository
from image_factory.shell.store import FileChange
from image_factory.usecases.consumer_files import Wanted
from image_factory.usecases.consumer_push import Carried, Delivered, Target, push_updates
from image_factory.usecases.consumer_requests import propose_updates
from image_factory.usecases.outcome import Done, Failed, Outcome, Skipped
from image_factory.usecases.workbench import Workbench

log = logging.getLogger("image_factory.update")


@dataclass(frozen=True, slots=True)
class ConsumerEdit:
    """One file of a consumer's repository that was changed, or would be."""

    target: str
    """The repository and branch."""
    path: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Updated:
    """What carrying versions came to; `changes` record it, and are not written yet."""

    outcomes: tuple[Outcome, ...]
    changes: tuple[FileChange, ...]
    events: tuple[Event, ...]
    problems: tuple[ImageFactoryError, ...] = ()
    """What of images.yaml and the state could not be read."""
    edits: tuple[ConsumerEdit, ...] = ()


@dataclass(slots=True)
class _Image:
    """One image on its way: its entries, and what became of them."""

    enrollment: Enrollment
    state: ImageState
    wanted: list[Wanted]
    carried: list[Carried]
    resting: list[str]
    refusal: ImageFactoryError | None = None


def update_consumers(
    bench: Workbench,
    names: Iterable[str] = (),
    *,
    repositories: Collection[str] = (),
    types: Collection[str] = (),
    dry_run: bool = False,
) -> Updated:
    """Carry the version of each managed image to every entry of its `updates` that does not name it yet.

    Nothing is asked about an entry that is known to name it. One that fails stops no other.

    Args:
        names: the images; all where it is empty.
        repositories: the `repo` of the entries that are looked at; all where it is empty.
        types: the `type` of those entries; all where it is empty.
        dry_run: whether to read alone, and return what would be changed.

    Raises:
        NotFound: there is no images.yaml, or no image of one of `names`.
    """
    file, loaded = bench.images(), bench.store.images()
    enrolled = {entry.enrollment.name: entry.enrollment for entry in file.enrollments}
    wanted_names = list(dict.fromkeys(names))
    for name in wanted_names:
        if name not in enrolled:
            raise NotFound(f"no image is called {name!r}", hint=f"enrolled: {', '.join(enrolled) or 'none'}")
    outcomes: list[Outcome] = []
    images: list[_Image] = []
    # All records are built at once, which is quicker than one by one.
    known: Mapping[str, ImageState] = loaded.records if wanted_names else dict(loaded.records.items())
    for name in wanted_names or enrolled:
        state = known.get(name)
        if state is None:
            if enrolled[name].updates and name not in loaded.broken:
                outcomes.append(Skipped(name, f"not analyzed yet: image-factory analyze --image {name}"))
            continue
        if enrolled[name].updates or state.runtime.consumers:
            images.append(_image(enrolled[name], state, repositories, types))
    edits = _deliver_all(bench, {image.enrollment.name: image for image in images}, dry_run=dry_run)
    now = bench.clock.now().replace(microsecond=0)
    events: list[Event] = []
    records = []
    for image in images:
        outcomes += _outcomes(image)
        events += _events(image, now)
        record = _recorded(image, now)
        if record is not image.state:
            records.append(record)
    changes = () if dry_run else bench.store.plan(records)
    problems = (*file.problems, *loaded.problems)
    return Updated(tuple(outcomes), changes, () if dry_run else tuple(events), problems, edits)


def _image(enrollment: Enrollment, state: ImageState, repositories: Collection[str], types: Collection[str]) -> _Image:
    image = _Image(enrollment, state, [], [], [])
    version, digest = state.runtime.current_version, state.runtime.current_digest
    if enrollment.kind is not Kind.MANAGED or not enrollment.updates:
        return image
    if version is None and digest is None:
        image.resting.append("no version is known yet")
        return image
    seen = set()
    for entry in enrollment.updates:
        if (repositories and entry.repo not in repositories) or (types and entry.type not in types):
            continue
        keys = entry_keys(entry)
        identity = (entry.repo, entry.path, entry.type, entry.branch, keys)
        if identity in seen:
            continue
        seen.add(identity)
        known = find_consumer(state.runtime.consumers, entry)
        decided = decide_step(known, version, digest)
        if decided.step is Step.REST:
            image.resting.append(f"{entry.repo}:{entry.path}: {decided.because}")
            continue
        place = _place(enrollment, entry)
        image.wanted.append(
            Wanted(enrollment.name, entry, keys, enrollment.image, place, version, digest, known, decided.step, state)
        )
    if image.wanted:
        try:
            check_gate(enrollment)
        except ImageFactoryError as refusal:
            image.refusal = refusal
            image.wanted.clear()
    return image


def _place(enrollment: Enrollment, entry: Update) -> SourceRepository:
    """Return the consumer's repository; at the image's own host where it has the image's provider."""
    source = enrollment.source
    assert source is not None
    provider = entry.provider or source.provider
    return SourceRepository(provider, source.host if provider == source.provider else None, entry.repo)


def _targets(bench: Workbench, images: Mapping[str, _Image]) -> list[Target]:
    """Return each branch that something goes to, with all that goes there; what has no source fails at once."""
    grouped: dict[tuple[SourceRepository, str, str], list[Wanted]] = {}
    for image in images.values():
        for wanted in image.wanted:
            key = (wanted.place, wanted.entry.branch, wanted.entry.mode)
            grouped.setdefault(key, []).append(wanted)
    targets = []
    for (place, branch, _), entries in sorted(grouped.items(), key=lambda item: (str(item[0][0]), *item[0][1:])):
        try:
            source = bench.plugins.source_named(place.provider)
        except ImageFactoryError as error:
            for wanted in entries:
                images[wanted.image].carried.append(Carried(wanted, ConsumerStatus.FAILED, error=error))
            continue
        targets.append(Target(source, place, branch, tuple(entries)))
    return targets


def _deliver_all(bench: Workbench, images: Mapping[str, _Image], *, dry_run: bool) -> tuple[ConsumerEdit, ...]:
    """Carry all that is wanted, add to each image what became of it, and return the files that were changed."""
    targets = _targets(bench, images)
    edits: list[ConsumerEdit] = []
    if not targets:
        return ()
    bench.progress.start("updating consumers", len(targets))
    try:
        for target in targets:
            delivered = _deliver(bench, target, dry_run=dry_run)
            for carried in delivered.carried:
                images[carried.wanted.image].carried.append(carried)
            if delivered.edits is not None:
                old, new = delivered.edits.old, delivered.edits.new
                edits += [ConsumerEdit(str(target), path, old[path], new[path]) for path in delivered.edits.changes]
            bench.progress.advance(str(target))
    finally:
        bench.progress.finish()
    return tuple(edits)


def _deliver(bench: Workbench, target: Target, *, dry_run: bool) -> Delivered:
    try:
        if target.entries[0].entry.mode == "pr":
            return propose_updates(bench, target, dry_run=dry_run)
        return push_updates(bench, target, dry_run=dry_run)
    except ImageFactoryError as error:
        fields = {"image": None, "op": "update", "input": str(target), "hint": error.hint}
        log.warning("consumers were not updated: %s", error, extra=fields)
        return Delivered(tuple(Carried(wanted, ConsumerStatus.FAILED, error=error) for wanted in target.entries))


def _recorded(image: _Image, now: datetime) -> ImageState:
    """Return the image's record: an entry each of `updates` for which something was done, and no other."""
    became = {id(carried.wanted.entry): carried for carried in image.carried}
    consumers: list[Consumer] = []
    for entry in image.enrollment.updates:
        known = find_consumer(image.state.runtime.consumers, entry)
        carried = became.get(id(entry))
        if carried is not None and not carried.error_is_passing:
            known = recorded(known, _consumer(carried, now))
        if known is not None and known not in consumers:
            consumers.append(known)
    if tuple(consumers) == image.state.runtime.consumers:
        return image.state
    runtime = image.state.runtime.model_copy(update={"consumers": tuple(consumers)})
    return image.state.model_copy(update={"runtime": runtime})


def _consumer(carried: Carried, now: datetime) -> Consumer:
    wanted = carried.wanted
    return Consumer(
        repo=wanted.entry.repo,
        path=wanted.entry.path,
        type=wanted.entry.type,
        branch=wanted.entry.branch,
        keys=wanted.keys,
        status=carried.status,
        version=wanted.version,
        digest=wanted.digest,
        at=now,
        url=carried.url,
        problem=None if carried.error is None else carried.error.message,
    )


def _outcomes(image: _Image) -> list[Outcome]:
    name = image.enrollment.name
    outcomes: list[Outcome] = []
    news = tuple(carried.note for carried in image.carried if carried.note)
    if news:
        outcomes.append(Done(name, news))
    for carried in image.carried:
        if carried.error is not None:
            outcomes.append(Failed(name, _told(carried)))
    if image.refusal is not None:
        outcomes.append(Failed(name, image.refusal))
    if not outcomes:
        waits = [carried.waits for carried in image.carried if carried.waits]
        reasons = dict.fromkeys((*waits, *image.resting))
        outcomes.append(Skipped(name, "; ".join(reasons) or "nothing names it any more"))
    return outcomes


def _told(carried: Carried) -> ImageFactoryError:
    """Return the error with the file that it is about, as one of its own for each entry."""
    error = carried.error
    assert error is not None
    where = carried.wanted.where
    told = copy.copy(error)
    told.message = error.message if where in error.message else f"cannot update {where}: {error.message}"
    return told


def _events(image: _Image, now: datetime) -> list[Event]:
    events = []
    for carried in image.carried:
        wanted, known = carried.wanted, carried.wanted.known
        facts = {"Version": wanted.shown, "Digest": wanted.digest or "", "Where": wanted.where}
        if carried.is_done:
            verb = "is proposed to" if carried.status is ConsumerStatus.PROPOSED else "is in"
            summary = f"{wanted.image} {wanted.shown} {verb} {wanted.place}."
            events.append(Event(EventKind.CONSUMER_UPDATED, now, wanted.image, summary, _known(facts), carried.url))
        elif carried.error is not None and not carried.error_is_passing:
            told = _told(carried)
            if known is None or recorded(known, _consumer(carried, now)) is not known:
                facts |= {"Problem": told.message, "What to do": told.hint}
                summary = f"{wanted.image} {wanted.shown} is not in {wanted.place}."
                events.append(Event(EventKind.CONSUMER_FAILED, now, wanted.image, summary, _known(facts), carried.url))
    return events


def _known(facts: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in facts.items() if value}
