"""Find the base images of enrolled images in their Dockerfiles, and record them.

Gather: images.yaml, the state, the Dockerfiles through their sources. Decide: `decide.discovery`,
`decide.naming`, `state.merge`. Act: one plan of file changes, applied at once. Report: an outcome an
image; a bad image leaves the others done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from pydantic import ValidationError

from image_factory.decide.discovery import Discovery, decide_discovery, watched_references
from image_factory.decide.lifecycle import Transition, rebind
from image_factory.decide.naming import assign_names
from image_factory.decide.notices import decide_analysis_event
from image_factory.errors import Conflict, ImageFactoryError, InvalidDockerfile, NotFound, RemoteError, UserError
from image_factory.model.enrollment import Enrollment, Kind, Source, tag_pattern
from image_factory.model.event import Event
from image_factory.model.image_state import BaseConfiguration, DiscoveryStatus, ImageConfiguration, ImageState
from image_factory.oci.reference import Repository
from image_factory.shell.dockerfile_cache import Reads
from image_factory.shell.run_memory import Question, joined, look
from image_factory.shell.store import FileChange
from image_factory.state.layout import BASE_IMAGES, IMAGES, SETTINGS_FILE
from image_factory.state.merge import keep_discovered, merge_image, record_build, record_discovery
from image_factory.usecases.analysis_memory import Covered, remember_analysis
from image_factory.usecases.dockerfiles import Answer, Dockerfiles, Fetched
from image_factory.usecases.handover import Handover
from image_factory.usecases.lifecycle import (
    Archive,
    Known,
    Restored,
    decide_standings,
    moved_bases,
    moved_canonicals,
    plan_transitions,
)
from image_factory.usecases.outcome import Done, Failed, Outcome, Skipped
from image_factory.usecases.sighting import published_metadata
from image_factory.usecases.workbench import Workbench

log = logging.getLogger("image_factory.analyze")


@dataclass(frozen=True, slots=True)
class Analysis:
    """What an analysis came to; nothing is written yet."""

    outcomes: tuple[Outcome, ...]
    changes: tuple[FileChange, ...]
    problems: tuple[ImageFactoryError, ...] = ()
    """What is wrong with images.yaml or with state files, beside the images' outcomes."""
    keep: Callable[[Question | None], None] = lambda _: None
    """To be called when the changes are written: keeps what this was made from, for a quick next run.

    Without a question, only what the Dockerfiles say.
    """
    events: tuple[Event, ...] = ()
    """What people may want to be told: analyses that fail, and did not, or not like this, before."""
    transitions: tuple[Transition, ...] = ()
    """Images that become something else; `log_transitions` and `count_transitions` tell of them."""
    dockerfiles: Reads = field(default=Reads())
    """How many Dockerfiles were parsed, and of how many was known what they say."""


def analyze(
    bench: Workbench, handover: Handover | None = None, *, jobs: int = 1, earlier: Covered | None = None
) -> Analysis:
    """Return what analysis changes: for the handed-over image, or for all of images.yaml.

    Args:
        earlier: what an earlier analysis of all covered, since which nothing has changed: only what failed in
            it is tried again.

    Raises:
        NotFound: images.yaml does not exist, or does not enroll the image that is named.
        Conflict: the image that is named is enrolled as external, and a Dockerfile of it is given.
    """
    inputs = look([bench.images_file, bench.root / SETTINGS_FILE])
    file = bench.images() if handover is None else bench.enrolled()
    loaded_images, loaded_bases = bench.store.images(), bench.store.bases()
    recorded, bases = loaded_images.records, loaded_bases.records
    enrollments = {entry.enrollment.name: entry.enrollment for entry in file.enrollments}
    selected = _selected(enrollments, handover, str(bench.images_file), earlier)
    now = bench.clock.now()
    standings = decide_standings(file, recorded, whole=handover is None)
    archive = Archive.of(bench)
    restored = _restored(archive, selected, {*recorded, *loaded_images.broken})

    managed = {
        name: one.model_copy(update={"source": _source(one, handover)})
        for name, one in selected.items()
        if one.kind is Kind.MANAGED
    }
    dockerfiles = Dockerfiles(bench)
    answers = dockerfiles.read(managed, jobs=jobs)
    parsed, cached = dockerfiles.reads
    reads = Reads(parsed, cached + (earlier.dockerfiles if earlier is not None else 0))
    log.info("Dockerfiles read", extra={"image": None, "op": "analyze", **reads._asdict()})
    names = assign_names(
        {*_watched(answers.values()), *moved_canonicals(recorded, standings)},
        known={state.configuration.full_image: name for name, state in bases.items()},
        reserved={*enrollments, *file.names},
    )

    outcomes: list[Outcome] = []
    events: list[Event] = []
    images = {
        name: rebind(image, standings.moved, standings.after, names)
        for name, image in recorded.items()
        if name not in standings.removed
    }
    unread = {name: image for name, image in images.items() if name in managed or name not in selected}
    found = moved_bases(_unread(unread, answers), standings, names)
    for name in earlier.names if earlier is not None else ():
        if name not in selected:
            outcomes.append(Skipped(name, "nothing new"))
    for name, enrollment in sorted(selected.items()):
        back = restored.get(name)
        known = images.get(name) or (back.image if back is not None else None)
        answer = answers.get(name)
        discovery = _discovery(answer, names, standings.after)
        error = answer if isinstance(answer, ImageFactoryError) else _failure(discovery)
        if error is not None and name in loaded_images.broken:
            # Only its Dockerfile could tell what it is made from: a record without that would say, of nothing.
            outcomes.append(Failed(name, error))
            _report(enrollment, None, discovery, error)
            continue
        state = _state(known, enrollment, discovery, error, now)
        if handover is not None and (handover.tag or handover.digest):
            told = _told_of(bench, state, handover)
            state = record_build(state, version=handover.tag, digest=handover.digest, at=now, metadata=told)
        images[name] = state
        for base in discovery.bases if discovery else ():
            found[base.name] = _joined(found.get(base.name), base)
        old = recorded.get(name)
        outcomes.append(_outcome(old, state, back) if error is None else Failed(name, error))
        _report(enrollment, state, discovery, error)
        event = decide_analysis_event(old, state, at=now, hint=error.hint if error else "")
        events += [] if event is None else [event]
    outcomes.sort(key=lambda outcome: outcome.item)
    outcomes += [
        _outcome(recorded[name], image)
        for name, image in images.items()
        if name not in selected and image is not recorded[name]
    ]

    unread_names = [name for name in loaded_images.broken if name not in images]
    facts = Known(recorded, images, bases, found, restored, is_whole=not unread_names, unread=unread_names)
    transitions = plan_transitions(bench, archive, standings, facts, now=now)
    changes = transitions.changes
    outcomes = _unwritten([*outcomes, *transitions.outcomes], loaded_images.broken, changes)
    problems = (*file.problems, *loaded_images.problems, *loaded_bases.problems, *archive.problems)
    analysis = Analysis(
        tuple(outcomes),
        changes,
        problems,
        lambda _: dockerfiles.keep(),
        events=(*events, *transitions.events),
        transitions=transitions.done,
        dockerfiles=reads,
    )
    if handover is not None:
        return analysis

    failed = {outcome.item for outcome in outcomes if isinstance(outcome, Failed)} & {*enrollments}
    origins = {(one.provider, one.host, one.path, one.branch): one for one in dockerfiles.origins}
    if earlier is not None:
        # What was read at an earlier commit of a branch that has moved since is to be read again.
        origins |= {(one.provider, one.host, one.path, one.branch): one for one in earlier.origins}
    covered = Covered(
        tuple(sorted(enrollments)),
        (earlier.dockerfiles if earlier is not None else 0)
        + sum(one.dockerfiles for name, one in answers.items() if isinstance(one, Fetched) and name not in failed),
        tuple(sorted(failed)),
        not problems,
        tuple(origins.values()),
    )
    folders = [bench.root / bench.settings.state_dir / folder for folder in (IMAGES, BASE_IMAGES)]

    def keep(question: Question | None) -> None:
        dockerfiles.keep()
        if question is not None:
            looked = [inputs, dockerfiles.inputs, *([earlier.inputs] if earlier is not None and earlier.inputs else [])]
            remember_analysis(question, joined(*looked), folders, covered)

    return replace(analysis, keep=keep)


def _told_of(bench: Workbench, state: ImageState, handover: Handover) -> Mapping[str, object] | None:
    """Return what a digest that was handed over says of itself: on what it was built, for one."""
    if handover.digest is None or handover.digest == state.runtime.current_digest:
        return None
    return published_metadata(bench, state.configuration.enrollment.image, handover.digest)


def _selected(
    enrollments: Mapping[str, Enrollment], handover: Handover | None, file: str, earlier: Covered | None
) -> Mapping[str, Enrollment]:
    """Return the enrollments to analyze."""
    if handover is None and earlier is not None:
        return {name: one for name, one in enrollments.items() if name in earlier.failed}
    if handover is None:
        return enrollments
    enrollment = enrollments.get(handover.image)
    if enrollment is None:
        raise NotFound(
            f"no image {handover.image!r} in {file}", hint="image-factory status lists the images that are enrolled"
        )
    if enrollment.kind is Kind.EXTERNAL and handover.source:
        raise Conflict(
            f"image {handover.image!r} is external: it has no Dockerfile", hint="give it a source in images.yaml"
        )
    return {handover.image: enrollment}


def _source(enrollment: Enrollment, handover: Handover | None) -> Source:
    """Return where to read a Dockerfile: what a handover says of it wins, for this once."""
    assert enrollment.source is not None
    overrides = handover.source if handover is not None else {}
    if not overrides:
        return enrollment.source
    try:
        return Source.model_validate({**enrollment.source.model_dump(), **overrides})
    except ValueError as error:
        given = ", ".join(f"{key} {value!r}" for key, value in overrides.items())
        raise UserError(f"not a source: {given}", hint=_told(error)) from error


def _told(error: ValueError) -> str:
    """Return what a field's check says, without what pydantic adds to it."""
    found = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else str(error)
    return found.removeprefix("Value error, ")


def _watched(answers: Iterable[Answer]) -> list[str]:
    return [
        canonical
        for answer in answers
        if isinstance(answer, Fetched)
        for canonical in watched_references(answer.readings)
    ]


def _discovery(
    answer: Answer | None, names: Mapping[str, str], publishers: Mapping[Repository, str]
) -> Discovery | None:
    if not isinstance(answer, Fetched):
        return None
    return decide_discovery(answer.readings, names=names, managed=publishers)


def _failure(discovery: Discovery | None) -> ImageFactoryError | None:
    if discovery is None or discovery.failure is None:
        return None
    return InvalidDockerfile(
        discovery.failure, hint="correct the Dockerfile, or give a missing argument as source.buildArgs"
    )


def _state(
    old: ImageState | None,
    enrollment: Enrollment,
    discovery: Discovery | None,
    error: ImageFactoryError | None,
    now: datetime,
) -> ImageState:
    """Return the record of one image after its analysis; the old one where nothing is new."""
    configuration = image_configuration(enrollment)
    if enrollment.kind is Kind.EXTERNAL:
        pass  # it has no Dockerfile, even if it had one
    elif discovery is None:
        configuration = keep_discovered(old, configuration)
    else:
        # Where a line could not be read, what it named before may still be what it names.
        earlier = old.configuration.base_images if old is not None and error is not None else ()
        configuration = configuration.model_copy(
            update={
                "base_images": tuple(sorted({*discovery.base_images, *earlier})),
                "secondary_images": discovery.secondary_images,
                "references": discovery.sites,
            }
        )
    state = merge_image(old, configuration, at=now)
    if isinstance(error, RemoteError) and error.transient:
        # Nothing was learned of the Dockerfile: a known image keeps its status, a new one stays pending.
        return state
    learned = old is None or state.configuration != old.configuration
    if enrollment.kind is Kind.EXTERNAL:
        return record_discovery(state, DiscoveryStatus.EXTERNAL, at=now, learned=learned)
    status = DiscoveryStatus.SUCCESS if error is None else DiscoveryStatus.FAILED
    return record_discovery(state, status, at=now, error=None if error is None else str(error), learned=learned)


def image_configuration(enrollment: Enrollment) -> ImageConfiguration:
    """Return what images.yaml alone says of an image; a merge drops the watching fields of a managed one."""
    return ImageConfiguration(
        name=enrollment.name,
        enrollment=enrollment,
        repoURL=str(enrollment.image),
        # A Warehouse wants a pattern; a version range narrows it, so every tag may enter there.
        allow_tags=enrollment.allow_tags or ("^.*$" if enrollment.tag is None else tag_pattern(enrollment.tag)),
        image_selection_strategy=enrollment.strategy,
        constraint=enrollment.only_tag or enrollment.constraint,
    )


def _joined(known: BaseConfiguration | None, found: BaseConfiguration) -> BaseConfiguration:
    """Return `found` with the spellings of both."""
    if known is None:
        return found
    return found.model_copy(update={"aliases": tuple(sorted({*known.aliases, *found.aliases}))})


def _restored(archive: Archive, selected: Mapping[str, Enrollment], known: Collection[str]) -> dict[str, Restored]:
    """Return what the archive has of enrolled images that there is no state of."""
    found = {name: archive.image(one) for name, one in sorted(selected.items()) if name not in known}
    return {name: restored for name, restored in found.items() if restored is not None}


def _unread(images: Mapping[str, ImageState], answers: Mapping[str, Answer]) -> list[ImageState]:
    """Return the images whose Dockerfile was not read, or not whole: their record tells what they are made from."""
    return [
        image
        for name, image in images.items()
        if not isinstance(answer := answers.get(name), Fetched)
        or any(reading.reading.diagnostics for reading in answer.readings)
    ]


def _outcome(old: ImageState | None, state: ImageState, back: Restored | None = None) -> Outcome:
    if old == state:
        return Skipped(state.name, "nothing new")
    before = set(old.configuration.base_images) if old else set()
    after = set(state.configuration.base_images)
    changes = [f"enrolled as {state.kind}"] if old is None else []
    changes += [] if back is None else [back.sentence]
    changes += [f"was {old.kind}, is {state.kind}"] if old is not None and old.kind is not state.kind else []
    changes += [f"built on {name}" for name in sorted(after - before)]
    changes += [f"no longer built on {name}" for name in sorted(before - after)]
    known = back.image if back is not None else old
    version = state.runtime.current_version
    if version and (known is None or known.runtime.current_version != version):
        changes.append(f"version {version}")
    elif state.runtime.current_digest != (known.runtime.current_digest if known else None):
        changes.append(f"digest {state.runtime.current_digest}")
    return Done(state.name, tuple(changes) or ("its enrollment changed",))


def _unwritten(
    outcomes: Iterable[Outcome], broken: Mapping[str, ImageFactoryError], changes: Iterable[FileChange]
) -> list[Outcome]:
    """Return the outcomes, those of images whose state can be neither read nor replaced as failed."""
    written = {change.path.stem for change in changes}
    return [
        Failed(outcome.item, broken[outcome.item])
        if isinstance(outcome, Done) and outcome.item in broken and outcome.item not in written
        else outcome
        for outcome in outcomes
    ]


def _input(source: Source | None, error: ImageFactoryError) -> str | None:
    """Return what was read when `error` was met: the place that it names, else the image's Dockerfile."""
    if error.location is not None or source is None:
        return None if error.location is None else str(error.location)
    return f"{source.repo}:{source.dockerfile}"


def _report(
    enrollment: Enrollment, state: ImageState | None, discovery: Discovery | None, error: ImageFactoryError | None
) -> None:
    name = enrollment.name
    for warning in discovery.warnings if discovery else ():
        log.warning(warning, extra={"image": name, "op": "analyze"})
    if error is not None:
        fields = {"image": name, "op": "analyze", "input": _input(enrollment.source, error), "hint": error.hint}
        log.error(str(error), extra={**fields, "reported": True})
    elif state is not None:
        log.info("analyzed", extra={"image": name, "op": "analyze", "bases": list(state.configuration.base_images)})
