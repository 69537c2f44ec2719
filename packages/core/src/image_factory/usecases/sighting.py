"""What tags point at now, asked of registries: many at once, each distinct tag once. Asks; records nothing.

One HEAD a distinct reference; the costlier questions, such as for an image's metadata or for all tags of
a repository, only where an answer needs them. A reference that cannot be asked leaves the others done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Lock

from image_factory.errors import ImageFactoryError, PluginError, ProtocolError, RemoteNotFound
from image_factory.model.enrollment import Enrollment, SelectionStrategy
from image_factory.model.image_state import BaseState, ImageState
from image_factory.model.selection import Candidate
from image_factory.oci.reference import Digest, Repository, Tag
from image_factory.plugins import PluginTable
from image_factory.ports import ImageMetadata, Registry
from image_factory.usecases.workbench import Workbench

log = logging.getLogger("image_factory.observe")

MAX_TAGS = 20_000
"""Tags of one repository that are listed for an external image; Docker Hub's largest has about ten thousand."""

_FIRST = 0.05
"""Seconds that the first answer is waited for, for which a connection must be made first."""
_SLOW = 0.02
"""Seconds that an answer takes where a further thread is worth having.

Threads that ask what answers at once, a registry beside us, are in each other's way: eight of them take
half as long again as one.
"""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a tag pointed at."""

    tag: str
    digest: str
    metadata: Mapping[str, object] | None = None


Answer = Sighting | ImageFactoryError


def ask_all(bench: Workbench, questions: Mapping[str, Callable[[], Answer]], jobs: int) -> dict[str, Answer]:
    """Return what each question was answered, or the error that it came to, by name.

    Args:
        jobs: how many are asked at once.
    """
    answers: dict[str, Answer] = {}
    # Each thread takes the next question itself: handing over each answer alone would wake another thread for it.
    left = iter(questions.items())
    lock = Lock()

    def work() -> None:
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
    most = max(1, min(jobs, len(questions)))
    try:
        with ThreadPoolExecutor(max_workers=most) as pool:
            workers = [pool.submit(work)]
            while len(workers) < most:
                answered = len(answers)
                patience = _SLOW if answered else _FIRST
                if wait(workers, timeout=patience, return_when=FIRST_COMPLETED).done:
                    break  # nothing is left to ask
                if len(answers) - answered < len(workers):
                    workers.append(pool.submit(work))
            for worker in workers:
                worker.result()
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


class Registries:
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


def ask_base(registries: Registries, base: BaseState) -> Callable[[], Answer]:
    """Return the question what a base image's tag points at; it must have one."""
    configuration = base.configuration
    repository = Repository(configuration.registry, configuration.repository)
    tag = configuration.tag
    assert tag is not None
    known = base.runtime.current_digest
    return registries.plugins.naming(repository)(lambda: registries.sight(repository, tag, known=known))


def ask_image(registries: Registries, image: ImageState) -> Callable[[], Answer]:
    """Return the question what an external image's tag points at, its one or the one that its strategy picks."""
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


def published_metadata(bench: Workbench, image: Repository, digest: str) -> Mapping[str, object] | None:
    """Return the `metadata` block of one published digest, or None where it cannot be told."""
    try:
        told = Digest.parse(digest)
        return metadata_block(bench.plugins.registry_for(image).metadata(image, told))
    except ImageFactoryError as error:
        # That it was published is known; what it says of itself only helps.
        log.info("no metadata: %s", error, extra={"image": str(image), "op": "analyze"})
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
