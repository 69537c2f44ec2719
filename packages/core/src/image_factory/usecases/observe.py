"""Ask registries what tags point at now, and record what moved.

Gather: base images and external images. Act: ask (`usecases.sighting`).
Record: digest, history with the first-seen time, and from when each dependent may be rebuilt. A reference
that cannot be asked leaves the others done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from image_factory.decide.absorption import absorbed_digest
from image_factory.decide.eligible_times import dependents_by_base, with_eligible_times
from image_factory.decide.notices import decide_base_event, decide_external_event
from image_factory.decide.versions import looks_pinned
from image_factory.errors import (
    Conflict,
    ImageFactoryError,
    InvalidReference,
    NotFound,
    RemoteNotFound,
    Unavailable,
)
from image_factory.model.enrollment import Kind
from image_factory.model.event import Event
from image_factory.model.image_state import BaseState, DiscoveryStatus, ImageState
from image_factory.oci.reference import Digest
from image_factory.shell.asked import remember_asked
from image_factory.shell.store import FileChange
from image_factory.state.merge import merge_image, record_digest, record_discovery, record_problem
from image_factory.usecases.outcome import Done, Failed, Outcome, Skipped
from image_factory.usecases.sighting import Answer, Registries, Sighting, ask_all, ask_base, ask_image
from image_factory.usecases.watch import plan_watch, watch_key
from image_factory.usecases.workbench import Workbench

log = logging.getLogger("image_factory.observe")


@dataclass(frozen=True, slots=True)
class Observation:
    """What the registries answered; nothing is written yet."""

    outcomes: tuple[Outcome, ...]
    changes: tuple[FileChange, ...]
    problems: tuple[ImageFactoryError, ...] = ()
    events: tuple[Event, ...] = ()
    """What people may want to be told: images that moved, tags that have vanished since the last run."""
    next_at: datetime | None = None
    """When something that was left out now is to be asked for; None where nothing was."""
    keep: Callable[[], None] = lambda: None
    """To be called when the changes are written: notes when was asked, so that it is not asked too often."""


def observe(bench: Workbench, names: Iterable[str] = (), *, jobs: int = 8, due_only: bool = False) -> Observation:
    """Return what changes by asking for the named base and external images, or for all of them.

    Args:
        due_only: whether to leave out those that were asked for not long ago (`decide.due`).

    Raises:
        NotFound, Conflict, InvalidState: a name is no base image and no external image, or its record is broken.
    """
    images, bases = bench.store.images(), bench.store.bases()
    watched_bases = {name: base for name, base in bases.records.items() if _is_watched(base)}
    watched_images = {name: image for name, image in images.records.items() if image.kind is Kind.EXTERNAL}
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if name not in bases.records and name not in watched_images:
            broken = bases.broken.get(name) or images.broken.get(name)
            raise broken or _not_watched(bench, name, is_managed=name in images.records)
    chosen = wanted or [*watched_bases, *watched_images]
    next_at = None
    if due_only and not wanted:
        watch = plan_watch(bench, watched_bases, watched_images)
        chosen = [name for name in chosen if name in watch.due]
        next_at = watch.next_at

    registries = Registries(bench)
    questions: dict[str, Callable[[], Answer]] = {}
    for name in chosen:
        if name in watched_bases:
            questions[name] = ask_base(registries, watched_bases[name])
        elif name in watched_images:
            questions[name] = ask_image(registries, watched_images[name])
    answers = ask_all(bench, questions, jobs)

    outcomes: list[Outcome] = []
    new_bases: list[BaseState] = []
    new_images: list[ImageState] = []
    events: list[Event] = []
    now = bench.clock.now()
    dependents = _Dependents(images.records, images.broken)
    for name in sorted(chosen):
        answer = answers.get(name)
        if answer is None:
            outcomes.append(Skipped(name, _why_unwatched(bases.records[name])))
        elif name in watched_bases:
            base, outcome = _recorded_base(watched_bases[name], answer, dependents, now, is_timed=not due_only)
            new_bases.append(base)
            outcomes.append(outcome)
            events += _events(watched_bases[name], base, dependents, now)
        else:
            image, outcome = _recorded_image(watched_images[name], answer, now)
            new_images.append(image)
            outcomes.append(outcome)
            event = decide_external_event(watched_images[name], image, at=now)
            events += [] if event is None else [event]
    changes = bench.store.plan(new_images, new_bases)
    # What did not answer at all is asked again by the next run.
    told = [name for name in questions if not isinstance(answers[name], Unavailable)]
    asked = [watch_key(watched_bases.get(name) or watched_images[name]) for name in told]
    problems = (*images.problems, *bases.problems)
    return Observation(
        tuple(outcomes),
        changes,
        problems,
        tuple(events),
        next_at,
        lambda: remember_asked(bench.root, asked, now),
    )


def _is_watched(base: BaseState) -> bool:
    return base.configuration.tag is not None and base.configuration.managed_by is None


def _why_unwatched(base: BaseState) -> str:
    if base.configuration.managed_by is not None:
        return f"the managed image {base.configuration.managed_by} publishes it: it moves by its builds"
    return "it is pinned by its digest: nothing about it can move"


def record_observed(bench: Workbench, name: str, digest: str) -> Observation:
    """Return what changes by a digest that was seen elsewhere, such as by Kargo; asks no registry.

    Of an external image it is the digest of the tag that is watched; where several are, of the last one seen.

    Raises:
        NotFound: `name` is no base image and no external image.
        Conflict: it is a managed image, or an external image is watched by several tags, and none was seen yet.
        InvalidReference: `digest` is none.
    """
    Digest.parse(digest)
    images, bases = bench.store.images(), bench.store.bases()
    image = images.records.get(name)
    if image is None and not {name} & {*bases.records, *images.broken, *bases.broken}:
        image = _enrolled_external(bench, name)
    if name not in bases.records and image is not None and image.kind is Kind.EXTERNAL:
        return _record_image(bench, image, digest, (*images.problems, *bases.problems))
    base = bases.records.get(name)
    if base is None:
        if name in bases.broken:
            raise bases.broken[name]
        raise images.broken.get(name) or _not_watched(bench, name, is_managed=image is not None)
    sighting = Sighting(base.configuration.tag or "", digest)
    now = bench.clock.now()
    dependents = _Dependents(images.records, images.broken)
    changed, outcome = _recorded_base(base, sighting, dependents, now, source="handover")
    changes = bench.store.plan((), [changed])
    events = _events(base, changed, dependents, now)
    return Observation((outcome,), changes, (*images.problems, *bases.problems), tuple(events))


def _record_image(
    bench: Workbench, image: ImageState, digest: str, problems: tuple[ImageFactoryError, ...]
) -> Observation:
    tag = image.configuration.enrollment.only_tag or image.runtime.current_version
    if tag is None:
        raise Conflict(
            f"{image.name!r} is watched by several tags, and none of them was seen yet",
            hint=f"image-factory observe --base {image.name} asks the registry which one it is",
        )
    now = bench.clock.now()
    changed, outcome = _recorded_image(image, Sighting(tag, digest), now, source="handover")
    event = decide_external_event(image, changed, at=now)
    return Observation((outcome,), bench.store.plan([changed], ()), problems, () if event is None else (event,))


def _enrolled_external(bench: Workbench, name: str) -> ImageState | None:
    """Return the first record of an external image: in a cluster nothing else makes one, as no Dockerfile is read."""
    from image_factory.usecases.analyze import image_configuration

    for entry in bench.images().enrollments:
        if entry.enrollment.name == name and entry.enrollment.kind is Kind.EXTERNAL:
            now = bench.clock.now()
            state = merge_image(None, image_configuration(entry.enrollment), at=now)
            return record_discovery(state, DiscoveryStatus.EXTERNAL, at=now, learned=True)
    return None


def _not_watched(bench: Workbench, name: str, *, is_managed: bool) -> ImageFactoryError:
    if is_managed:
        return Conflict(
            f"{name!r} is a managed image, which no tag elsewhere moves",
            hint=f"image-factory analyze --image {name} --digest … records what was built",
        )
    if any(entry.enrollment.name == name for entry in bench.images().enrollments):
        return NotFound(f"{name!r} is enrolled, but not analyzed yet", hint=f"image-factory analyze --image {name}")
    return NotFound(f"no base image and no external image is called {name!r}", hint="image-factory status lists them")


class _Dependents:
    """The images that are built on each base; gathered only where a base has news, since it reads all images."""

    def __init__(self, images: Mapping[str, ImageState], unread: Collection[str]) -> None:
        self._images = images
        self.unread = unread

    def __getitem__(self, base: str) -> Sequence[ImageState]:
        return self._by_base.get(base, ())

    @cached_property
    def _by_base(self) -> Mapping[str, Sequence[ImageState]]:
        return dependents_by_base(self._images.values())


def _recorded_base(
    base: BaseState,
    answer: Answer,
    dependents_of: _Dependents,
    now: datetime,
    *,
    source: str = "registry",
    is_timed: bool = True,
) -> tuple[BaseState, Outcome]:
    if isinstance(answer, ImageFactoryError):
        fields = {"image": base.name, "op": "observe", "input": base.configuration.full_image, "hint": answer.hint}
        log.error(str(answer), extra={**fields, "reported": True})
        vanished = isinstance(answer, RemoteNotFound) and base.runtime.current_digest is not None
        problem = f"tag vanished: {answer}" if vanished else base.runtime.problem
        return record_problem(base, problem, at=now), Failed(base.name, answer)
    if answer.digest == base.runtime.current_digest and base.runtime.problem is None:
        # A delay may be another than it was when the base moved.
        timed = with_eligible_times(base, dependents_of[base.name], dependents_of.unread) if is_timed else base
        return timed, Skipped(base.name, "its digest is the same")
    dependents = dependents_of[base.name]
    holding = {absorbed_digest(image, base) for image in dependents}
    pending = {
        update.new_digest
        for image in dependents
        for update in base.history.update_history
        if update.new_digest not in holding
    }
    changed = record_digest(
        record_problem(base, None, at=now),
        answer.digest,
        at=now,
        metadata=answer.metadata,
        source=source,
        unabsorbed=pending,
    )
    if changed.runtime.current_digest == base.runtime.current_digest:
        return changed, Skipped(base.name, "its digest is the same")
    changed = with_eligible_times(changed, dependents, dependents_of.unread)
    log.info(
        "base image changed",
        extra={"image": base.name, "op": "observe", "old": base.runtime.current_digest, "new": answer.digest},
    )
    if base.runtime.current_digest is None:
        return changed, Done(base.name, (f"first seen at {short_digest(answer.digest)}",))
    moved = f"moved from {short_digest(base.runtime.current_digest)} to {short_digest(answer.digest)}"
    ours = [each.source for each in base.history.update_history][-1:] == ["build"]  # the tag is seen for the first time
    return changed, Done(base.name, (moved, *(() if ours else _alarm(base.name, answer.tag))))


def _alarm(name: str, tag: str) -> tuple[str, ...]:
    """Return what to say of a tag that moved although people expect it to stand still; nothing of others."""
    if not looks_pinned(tag):
        return ()
    log.warning("a version tag has moved", extra={"image": name, "op": "observe", "tag": tag})
    return (f"alarm: {tag} is a version, which is expected to stand still",)


def _events(old: BaseState, new: BaseState, dependents_of: _Dependents, now: datetime) -> list[Event]:
    if old is new:
        return []
    event = decide_base_event(old, new, [image.name for image in dependents_of[old.name]], at=now)
    return [] if event is None else [event]


def _watched(image: ImageState) -> str:
    """Return what is asked of a registry for an external image: a reference, or a repository and its tags."""
    enrollment = image.configuration.enrollment
    return f"{enrollment.image}:{enrollment.only_tag}" if enrollment.only_tag else str(enrollment.image)


def _recorded_image(
    image: ImageState, answer: Answer, now: datetime, *, source: str = "registry"
) -> tuple[ImageState, Outcome]:
    if isinstance(answer, ImageFactoryError):
        fields = {"image": image.name, "op": "observe", "input": _watched(image), "hint": answer.hint}
        log.error(str(answer), extra={**fields, "reported": True})
        vanished = isinstance(answer, RemoteNotFound) and image.runtime.current_digest is not None
        problem = f"tag vanished: {answer}" if vanished else image.runtime.problem
        return record_problem(image, problem, at=now), Failed(image.name, answer)
    changed = record_digest(
        record_problem(image, None, at=now), answer.digest, at=now, metadata=answer.metadata, source=source
    )
    if changed.runtime.current_version != answer.tag:
        runtime = changed.runtime.model_copy(update={"current_version": answer.tag})
        changed = changed.model_copy(update={"runtime": runtime})
    known, now_at = image.runtime, changed.runtime
    if (known.current_digest, known.current_version) == (now_at.current_digest, now_at.current_version):
        return changed, Skipped(image.name, "its digest is the same")
    log.info("external image changed", extra={"image": image.name, "op": "observe", "new": answer.digest})
    verb = "first seen at" if image.runtime.current_digest is None else "moved to"
    is_same_tag = known.current_version == answer.tag and known.current_digest is not None
    alarm = _alarm(image.name, answer.tag) if is_same_tag and now_at.current_digest != known.current_digest else ()
    return changed, Done(image.name, (f"{verb} {answer.tag}, {short_digest(answer.digest)}", *alarm))


def short_digest(digest: str) -> str:
    """Return a digest as people compare it: the algorithm and 12 digits."""
    try:
        return Digest.parse(digest).short
    except InvalidReference:
        return digest
