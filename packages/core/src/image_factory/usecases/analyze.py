"""Find the base images of enrolled images in their Dockerfiles, and record them.

Gather: images.yaml, the state, the Dockerfiles through their sources. Decide: `decide.discovery`,
`decide.naming`, `state.merge`. Act: one plan of file changes, applied at once. Report: an outcome an
image; a bad image leaves the others done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from image_factory.decide.discovery import Discovery, decide_discovery, tag_pattern, watched_references
from image_factory.decide.naming import assign_names
from image_factory.decide.notices import decide_analysis_event
from image_factory.errors import Conflict, ImageFactoryError, InvalidDockerfile, NotFound, RemoteError, UserError
from image_factory.model.enrollment import Enrollment, Kind, Source
from image_factory.model.event import Event
from image_factory.model.image_state import (
    BaseConfiguration,
    BaseState,
    DiscoveryStatus,
    ImageConfiguration,
    ImageState,
)
from image_factory.oci.reference import Repository
from image_factory.shell.run_memory import Question, joined, look
from image_factory.shell.store import FileChange
from image_factory.state.archive import archive_path, archived_text
from image_factory.state.layout import BASE_IMAGES, IMAGES, SETTINGS_FILE
from image_factory.state.merge import keep_discovered, merge_base, merge_image, record_build, record_discovery
from image_factory.usecases.analysis_memory import remember_analysis
from image_factory.usecases.dockerfiles import Answer, Dockerfiles, Fetched
from image_factory.usecases.handover import Handover
from image_factory.usecases.outcome import Done, Failed, Outcome, Skipped
from image_factory.usecases.workbench import Workbench

log = logging.getLogger("image_factory.analyze")


@dataclass(frozen=True, slots=True)
class Analysis:
    """What an analysis came to; nothing is written yet."""

    outcomes: tuple[Outcome, ...]
    changes: tuple[FileChange, ...]
    problems: tuple[ImageFactoryError, ...] = ()
    """What is wrong with images.yaml or with state files, beside the images' outcomes."""
    keep: Callable[[Question], None] = lambda _: None
    """To be called when the changes are written: keeps what this was made from, for a quick next run."""
    events: tuple[Event, ...] = ()
    """What people may want to be told: analyses that fail, and did not, or not like this, before."""


def analyze(bench: Workbench, handover: Handover | None = None, *, jobs: int = 1) -> Analysis:
    """Return what analysis changes: for the handed-over image, or for all of images.yaml.

    Raises:
        NotFound: images.yaml does not exist, or does not enroll the image that is named.
        Conflict: the image that is named is enrolled as external, and a Dockerfile of it is given.
    """
    inputs = look([bench.images_file, bench.root / SETTINGS_FILE])
    file = bench.images() if handover is None else bench.enrolled()
    loaded_images, loaded_bases = bench.store.images(), bench.store.bases()
    bases = loaded_bases.records
    enrollments = {entry.enrollment.name: entry.enrollment for entry in file.enrollments}
    selected = _selected(enrollments, handover, str(bench.images_file))
    now = bench.clock.now()

    managed = {
        name: one.model_copy(update={"source": _source(one, handover)})
        for name, one in selected.items()
        if one.kind is Kind.MANAGED
    }
    dockerfiles = Dockerfiles(bench)
    answers = dockerfiles.read(managed, jobs=jobs)
    names = assign_names(
        _watched(answers.values()),
        known={state.configuration.full_image: name for name, state in bases.items()},
        reserved=enrollments,
    )
    publishers = {one.image: name for name, one in enrollments.items() if one.kind is Kind.MANAGED}

    outcomes: list[Outcome] = []
    events: list[Event] = []
    images: dict[str, ImageState] = {}
    found: dict[str, BaseConfiguration] = {}
    for name, enrollment in sorted(selected.items()):
        old = loaded_images.records.get(name)
        answer = answers.get(name)
        discovery = _discovery(answer, names, publishers)
        error = answer if isinstance(answer, ImageFactoryError) else _failure(discovery)
        state = _state(old, enrollment, discovery, error, now)
        if handover is not None and (handover.tag or handover.digest):
            state = record_build(state, version=handover.tag, digest=handover.digest, at=now)
        images[name] = state
        for base in discovery.bases if discovery else ():
            found[base.name] = _joined(found.get(base.name), base)
        outcomes.append(_outcome(old, state) if error is None else Failed(name, error))
        _report(name, state, discovery, error)
        event = decide_analysis_event(old, state, at=now, hint=error.hint if error else "")
        events += [] if event is None else [event]

    merged = [
        merge_base(bases.get(name), _with_known_spellings(bases.get(name), configuration), at=now)
        for name, configuration in sorted(found.items())
    ]
    changes = bench.store.plan(images.values(), merged)
    outcomes = _unwritten(outcomes, loaded_images.broken, changes)
    orphans = _orphans({**loaded_images.records, **images}, [*bases, *found], broken=loaded_images.broken)
    changes = (*changes, *_archived(bench, orphans, now))
    problems = (*file.problems, *loaded_images.problems, *loaded_bases.problems)
    if handover is not None or problems or any(isinstance(outcome, Failed) for outcome in outcomes):
        return Analysis(tuple(outcomes), changes, problems, events=tuple(events))

    folders = [bench.root / bench.settings.state_dir / folder for folder in (IMAGES, BASE_IMAGES)]

    def keep(question: Question) -> None:
        remember_analysis(question, joined(inputs, dockerfiles.inputs), folders, selected, dockerfiles.origins)

    return Analysis(tuple(outcomes), changes, problems, keep)


def _selected(enrollments: Mapping[str, Enrollment], handover: Handover | None, file: str) -> Mapping[str, Enrollment]:
    """Return the enrollments to analyze."""
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
    configuration = _configuration(enrollment)
    if discovery is None:
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


def _configuration(enrollment: Enrollment) -> ImageConfiguration:
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


def _with_known_spellings(old: BaseState | None, found: BaseConfiguration) -> BaseConfiguration:
    """Keep the spellings met earlier: they may stand in Dockerfiles that this run did not read."""
    return found if old is None else _joined(old.configuration, found)


def _orphans(
    images: Mapping[str, ImageState], bases: Iterable[str], *, broken: Mapping[str, ImageFactoryError]
) -> list[str]:
    """Return the base images that nothing names any more; none while an image's record cannot be read."""
    if any(name not in images for name in broken):
        return []
    used = {
        name
        for state in images.values()
        for name in (*state.configuration.base_images, *state.configuration.secondary_images)
    }
    return sorted(set(bases) - used)


def _archived(bench: Workbench, names: Iterable[str], now: datetime) -> list[FileChange]:
    """Return the changes that move base images' records to the archive, their text unchanged but for a note."""
    changes: list[FileChange] = []
    for removal in bench.store.plan(removed=[(BASE_IMAGES, name) for name in names]):
        assert removal.old is not None
        target = archive_path(removal.path, bench.settings.state_dir, now)
        text = archived_text(removal.old, at=now, reason="no image is built on it any more")
        changes += [removal, FileChange(target, None, text)]
    return changes


def _outcome(old: ImageState | None, state: ImageState) -> Outcome:
    if old == state:
        return Skipped(state.name, "nothing new")
    before = set(old.configuration.base_images) if old else set()
    after = set(state.configuration.base_images)
    changes = [f"enrolled as {state.kind}"] if old is None else []
    changes += [f"built on {name}" for name in sorted(after - before)]
    changes += [f"no longer built on {name}" for name in sorted(before - after)]
    version = state.runtime.current_version
    if version and (old is None or old.runtime.current_version != version):
        changes.append(f"version {version}")
    elif state.runtime.current_digest != (old.runtime.current_digest if old else None):
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


def _input(state: ImageState, error: ImageFactoryError) -> str | None:
    """Return what was read when `error` was met: the place that it names, else the image's Dockerfile."""
    source = state.configuration.enrollment.source
    if error.location is not None or source is None:
        return None if error.location is None else str(error.location)
    return f"{source.repo}:{source.dockerfile}"


def _report(name: str, state: ImageState, discovery: Discovery | None, error: ImageFactoryError | None) -> None:
    for warning in discovery.warnings if discovery else ():
        log.warning(warning, extra={"image": name, "op": "analyze"})
    if error is not None:
        fields = {"image": name, "op": "analyze", "input": _input(state, error), "hint": error.hint}
        log.error(str(error), extra={**fields, "reported": True})
    else:
        log.info("analyzed", extra={"image": name, "op": "analyze", "bases": list(state.configuration.base_images)})
