"""Ask registries what tags point at now, and record what moved.

Gather: base images and external images. Act: one HEAD a distinct reference; the costlier questions
only where a digest is new. Record: digest, history with the first-seen time, and from when each
dependent may be rebuilt. A reference that cannot be asked leaves the others done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from threading import Lock

from image_factory.decide.absorption import absorbed_digest
from image_factory.decide.eligible_times import dependents_by_base, with_eligible_times
from image_factory.decide.notices import decide_base_event, decide_external_event
from image_factory.decide.versions import looks_pinned
from image_factory.errors import (
    Conflict,
    ImageFactoryError,
    InvalidReference,
    NotFound,
    PluginError,
    ProtocolError,
    RemoteNotFound,
    Unavailable,
)
from image_factory.model.enrollment import Enrollment, Kind, SelectionStrategy
from image_factory.model.event import Event
from image_factory.model.image_state import BaseState, DiscoveryStatus, ImageState
from image_factory.model.selection import Candidate
from image_factory.oci.reference import Digest, Repository, Tag
from image_factory.plugins import PluginTable
from image_factory.ports import ImageMetadata, Registry
from image_factory.shell.asked import remember_asked
from image_factory.shell.store import FileChange
from image_factory.state.merge import merge_image, record_digest, record_discovery, record_problem
from image_factory.usecases.outcome import Done, Failed, Outcome, Skipped
from image_factory.usecases.watch import plan_watch, watch_key
from image_factory.usecases.workbench import Workbench

log = logging.getLogger("image_factory.observe")

MAX_TAGS = 20_000
"""Tags of one repository that are listed for an external image; Docker Hub's largest has about ten thousand."""


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


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a tag pointed at."""

    tag: str
    digest: str
    metadata: Mapping[str, object] | None = None


Answer = Sighting | ImageFactoryError


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

    registries = _Registries(bench)
    questions: dict[str, Callable[[], Answer]] = {}
    for name in chosen:
        if name in watched_bases:
            questions[name] = _ask_base(registries, watched_bases[name])
        elif name in watched_images:
            questions[name] = _ask_image(registries, watched_images[name])
    answers = _ask_all(bench, questions, jobs)

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
        tuple(outcomes), changes, problems, tuple(events), next_at, lambda: remember_asked(bench.root, asked, now)
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


def _ask_all(bench: Workbench, questions: Mapping[str, Callable[[], Answer]], jobs: int) -> dict[str, Answer]:
    answers: dict[str, Answer] = {}
    # Each thread takes the next question itself: handing over each answer alone would wake another thread for it.
    left = iter(questions.items())
    lock = Lock()

    def work(_: int) -> None:
        while True:
            with lock:
                name, ask = next(left, ("", None))
            if ask is None:
                return
            answer = _guarded(name, ask)
            with lock:
                answers[name] = answer
                bench.progress.advance(name)

    bench.progress.start("asking registries", len(questions))
    try:
        threads = max(1, min(jobs, len(questions)))
        with ThreadPoolExecutor(max_workers=threads) as pool:
            for _ in pool.map(work, range(threads)):
                pass
    finally:
        bench.progress.finish()
    return answers


def _guarded(name: str, ask: Callable[[], Answer]) -> Answer:
    try:
        return ask()
    except ImageFactoryError as error:
        return error
    except Exception as error:  # noqa: BLE001  (a plugin's defect fails its own images only)
        return PluginError(
            f"a registry plugin failed for {name}: {type(error).__name__}: {error}",
            hint="report it to the plugin's author; image-factory plugins says whose it is",
        )


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


class _Registries:
    """The registries of one run, each distinct tag resolved once however many images are watched by it."""

    def __init__(self, bench: Workbench) -> None:
        self.plugins = bench.plugins
        self._digests: dict[Tag, Digest] = {}
        self._turns: dict[Tag, Lock] = {}
        self._lock = Lock()

    def sight(self, repository: Repository, tag: str, *, known: str | None) -> Sighting:
        """Return what a tag points at, with the metadata of a digest that is not the `known` one."""
        registry = self.plugins.registry_for(repository)
        digest = self._resolve(registry, Tag(repository, tag))
        if str(digest) == known:
            return Sighting(tag, str(digest))
        return Sighting(tag, str(digest), _metadata(registry, repository, digest))

    def _resolve(self, registry: Registry, tag: Tag) -> Digest:
        with self._lock:
            turn = self._turns.setdefault(tag, Lock())
        with turn:
            if tag not in self._digests:
                self._digests[tag] = registry.resolve(tag)
            return self._digests[tag]


def _ask_base(registries: _Registries, base: BaseState) -> Callable[[], Answer]:
    configuration = base.configuration
    repository = Repository(configuration.registry, configuration.repository)
    tag = configuration.tag
    assert tag is not None
    known = base.runtime.current_digest
    return registries.plugins.naming(repository)(lambda: registries.sight(repository, tag, known=known))


def _ask_image(registries: _Registries, image: ImageState) -> Callable[[], Answer]:
    enrollment = image.configuration.enrollment

    @registries.plugins.naming(enrollment.image)
    def ask() -> Answer:
        tag = enrollment.only_tag or _select_tag(registries.plugins, enrollment)
        return registries.sight(enrollment.image, tag, known=image.runtime.current_digest)

    return ask


def _metadata(registry: Registry, repository: Repository, digest: Digest) -> Mapping[str, object] | None:
    try:
        return metadata_block(registry.metadata(repository, digest))
    except (RemoteNotFound, ProtocolError) as error:
        # What a tag was said to point at is not there, or is something else: recording it would be a guess.
        raise ProtocolError(
            f"{repository} names {digest.short}, which it does not have: {error.message}",
            hint="report it to the registry's operators; the last known digest stays",
        ) from error
    except ImageFactoryError as error:
        # The digest is what counts; what the image says of itself can wait until it moves again.
        log.warning("no metadata: %s", error, extra={"image": str(repository), "op": "observe"})
        return None


def metadata_block(metadata: ImageMetadata) -> Mapping[str, object]:
    """Return the `metadata` block of a state file: what is known, in its fixed order."""
    block: dict[str, object] = {
        "architecture": metadata.architecture,
        "os": metadata.os,
        "size": metadata.size,
        "created": metadata.created,
        "labels": dict(sorted(metadata.labels.items())),
        "platforms": {platform: str(digest) for platform, digest in sorted(metadata.platforms.items())},
    }
    return {key: value for key, value in block.items() if value not in (None, {})}


def _select_tag(plugins: PluginTable, enrollment: Enrollment) -> str:
    """Return the tag that an external image's strategy picks among those of its repository.

    Raises:
        RemoteNotFound: none of them qualifies.
    """
    names = {
        SelectionStrategy.SEMVER: "semver",
        SelectionStrategy.LEXICAL: "lexical",
        SelectionStrategy.NEWEST_BUILD: "newest-build",
        SelectionStrategy.DIGEST: "lexical",
    }
    registry = plugins.registry_for(enrollment.image)
    strategy = plugins.strategy_named(names[enrollment.strategy])
    allowed = plugins.strategy_named("lexical")
    candidates: list[Candidate] = []
    for tag in registry.tags(enrollment.image):
        candidate = Candidate(tag.name)
        if enrollment.allow_tags is None or allowed.select([candidate], enrollment.allow_tags).chosen is not None:
            candidates.append(candidate)
        if len(candidates) > MAX_TAGS:
            raise RemoteNotFound(
                f"{enrollment.image} has more than {MAX_TAGS} tags that qualify", hint="narrow allowTags"
            )
    if enrollment.strategy is SelectionStrategy.NEWEST_BUILD:
        candidates = _dated(registry, enrollment.image, candidates)
    selection = strategy.select(candidates, enrollment.constraint)
    if selection.chosen is None:
        raise RemoteNotFound(
            f"no tag of {enrollment.image} qualifies: {selection.reason}", hint="widen allowTags or constraint"
        )
    return selection.chosen.tag


def _dated(registry: Registry, repository: Repository, candidates: list[Candidate]) -> list[Candidate]:
    """Return the candidates with their creation times; a few, since each costs GETs."""
    dated = []
    for candidate in sorted(candidates, key=lambda candidate: candidate.tag)[-MAX_DATED:]:
        digest = registry.resolve(Tag(repository, candidate.tag))
        dated.append(Candidate(candidate.tag, digest, registry.metadata(repository, digest).created))
    return dated


MAX_DATED = 20
"""Tags whose creation time is asked for a `NewestBuild` image: the last in the order of characters."""


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
