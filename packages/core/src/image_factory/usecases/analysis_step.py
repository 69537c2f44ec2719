"""The analysis as a step of a run: only where a Dockerfile may have changed since the last one.

Local files are looked at each time. A branch elsewhere is asked for once in `watch.sourceInterval`, and
several at once; until then it counts as what it was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from image_factory.errors import ImageFactoryError
from image_factory.model.event import Event
from image_factory.ports import SourceRepository
from image_factory.shell.asked import read_asked, remember_asked
from image_factory.shell.run_memory import ask
from image_factory.shell.store import FileChange
from image_factory.usecases.analysis_memory import COMMAND, Origin, Revisions, local_revision, recall_analysis
from image_factory.usecases.outcome import Outcome
from image_factory.usecases.workbench import Workbench

if TYPE_CHECKING:
    from image_factory.decide.lifecycle import Transition

log = logging.getLogger("image_factory.analyze")


@dataclass(frozen=True, slots=True)
class AnalysisStep:
    """What the step came to; nothing is written yet."""

    outcomes: tuple[Outcome, ...] = ()
    changes: tuple[FileChange, ...] = ()
    problems: tuple[ImageFactoryError, ...] = ()
    events: tuple[Event, ...] = ()
    transitions: tuple[Transition, ...] = ()
    keep: Callable[[], None] = lambda: None
    """To be called when the changes are written; logs the transitions too."""


def analyze_what_changed(bench: Workbench, *, jobs: int = 8) -> AnalysisStep:
    """Return what analysis changes, or nothing where nothing that it was made from has changed.

    Raises:
        NotFound: images.yaml does not exist.
    """
    question = ask(COMMAND, bench.root, {}, bench.root)
    revisions = Answers(bench, jobs)
    known = recall_analysis(question, revisions)
    if known is not None and known.is_done:
        return AnalysisStep(keep=revisions.keep)
    # Reading Dockerfiles is not needed, and not imported, where nothing has changed.
    from image_factory.usecases.analyze import analyze
    from image_factory.usecases.lifecycle import log_transitions

    analysis = analyze(bench, jobs=jobs, earlier=known)

    def keep() -> None:
        log_transitions(analysis.transitions)
        analysis.keep(question)
        revisions.keep()

    return AnalysisStep(
        analysis.outcomes, analysis.changes, analysis.problems, analysis.events, analysis.transitions, keep
    )


class Answers:
    """What branches name now; of a run, one that was asked for not long ago counts as unchanged."""

    def __init__(self, bench: Workbench, jobs: int) -> None:
        self._bench = bench
        self._jobs = jobs
        self._asked = read_asked(bench.root)
        self._told: dict[str, datetime] = {}

    def __call__(self, origins: list[Origin]) -> list[str | None]:
        """Return the commit of each, or None where it cannot be told."""
        return _each(self._revision, origins, self._jobs)

    def keep(self) -> None:
        """Note when was asked."""
        if self._told:
            remember_asked(self._bench.root, self._told, max(self._told.values()))

    def _revision(self, origin: Origin) -> str | None:
        now = self._bench.clock.now()
        key = f"source {origin.provider} {origin.host or ''} {origin.path} {origin.branch}"
        asked_at = self._asked.get(key)
        is_recent = asked_at is not None and asked_at <= now < asked_at + self._bench.settings.watch.source_interval
        if is_recent and local_revision(origin) is None:
            return origin.commit
        found = _revision(self._bench, origin)
        if found is not None:
            self._told[key] = now
        return found


def source_revisions(bench: Workbench, *, jobs: int = 8) -> Revisions:
    """Return what asks sources for what branches name now, each time it is called."""
    return lambda origins: _each(lambda origin: _revision(bench, origin), origins, jobs)


def _each(tell: Callable[[Origin], str | None], origins: list[Origin], jobs: int) -> list[str | None]:
    with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        return list(pool.map(tell, origins))


def _revision(bench: Workbench, origin: Origin) -> str | None:
    local = local_revision(origin)
    if local is not None:
        return local
    repository = SourceRepository(origin.provider, origin.host, origin.path)
    try:
        return str(bench.plugins.source_named(origin.provider).revision(repository, origin.branch))
    except ImageFactoryError as error:
        log.info("a branch cannot be told: %s", error, extra={"image": None, "op": "analyze"})
        return None
