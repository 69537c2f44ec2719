"""Learn what became of the builds that were started, and record it: run, times, version and digest.

Gather: the requests that are dispatched, their runs at the provider, what is published at the registry.
Decide: `decide.settlement`. Act: one plan of changes. A build that goes on changes no byte.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from image_factory.decide.settlement import (
    PUBLICATION_TIME,
    REQUEST_ID_LABEL,
    Candidate,
    Verdict,
    check_base,
    decide_rebuild_event,
    history_entry,
    is_given_up,
    judge_run,
)
from image_factory.errors import (
    AuthenticationRequired,
    ImageFactoryError,
    PluginError,
    RemoteNotFound,
)
from image_factory.model.enrollment import Enrollment
from image_factory.model.event import Event
from image_factory.model.image_state import BaseState, ImageState
from image_factory.model.request import RebuildRequest, RequestStatus
from image_factory.ports import BuildRun
from image_factory.shell.store import FileChange
from image_factory.state.merge import record_build, record_rebuild
from image_factory.usecases.adopt import find_start
from image_factory.usecases.cascade import advance_emergencies
from image_factory.usecases.outcome import Done, Failed, Outcome, Skipped
from image_factory.usecases.publication import find_publication
from image_factory.usecases.requests import NOT_ENROLLED, OpenRequests, open_requests
from image_factory.usecases.trigger import build_request
from image_factory.usecases.workbench import Workbench

log = logging.getLogger("image_factory.settle")

JOBS = 8
"""Builds that are asked after at once."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of the builds that were under way; nothing is written yet."""

    requests: tuple[RebuildRequest, ...]
    """Those that ended now."""
    outcomes: tuple[Outcome, ...]
    changes: tuple[FileChange, ...]
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class _Answer:
    """What was learned of one request; the same request where that is nothing."""

    request: RebuildRequest
    outcome: Outcome
    published: Candidate | None = None


def settle(bench: Workbench, names: Iterable[str] = (), *, jobs: int = JOBS) -> Settled:
    """Return what became of each build that was started: nothing of those that go on.

    Args:
        names: the images; all where none is named.
        jobs: how many builds are asked after at once.
    """
    now = bench.clock.now().replace(microsecond=0)

    def may_be_started(request: RebuildRequest) -> bool:
        # A promotion that was under way when its request was given up starts its build all the same.
        is_recent = request.requested_at > now - bench.settings.build_timeout
        return request.status.is_open or (is_given_up(request) and is_recent)

    # What Kargo is to start, it may have started: nobody tells us but the run itself.
    found = open_requests(bench, _is_started if bench.settings.starts_builds else may_be_started, names)
    outcomes: list[Outcome] = [Failed(name, error) for name, error in sorted(found.problems.items())]
    bases = bench.store.bases().records if any(request.digests for request in found.requests) else {}
    answers = _ask_all(bench, found, bases, now, jobs) if found.requests else ()
    ended: list[RebuildRequest] = []
    written: list[RebuildRequest] = []
    states: list[ImageState] = []
    events: list[Event] = []
    for request, answer in zip(found.requests, answers, strict=True):
        outcomes.append(answer.outcome)
        if answer.request == request:
            continue
        written.append(answer.request)
        if not answer.request.status.is_open:
            ended.append(answer.request)
        events += [event for event in [decide_rebuild_event(answer.request, at=now)] if event is not None]
        state, build = found.images.get(request.name), history_entry(answer.request)
        if state is not None and build is not None:
            if answer.published is not None:
                state = record_build(state, version=answer.published.version, digest=answer.published.digest, at=now)
            states.append(record_rebuild(state, build))
    advanced = advance_emergencies(bench, written, states, now=now)
    outcomes += advanced.outcomes
    ended += [request for request in advanced.requests if not request.status.is_open]
    events += advanced.events
    changes = bench.store.plan([*states, *advanced.states], requests=[*written, *advanced.requests])
    return Settled(tuple(ended), tuple(outcomes), changes, tuple(events))


def _is_started(request: RebuildRequest) -> bool:
    return request.status is RequestStatus.DISPATCHED


def _ask_all(
    bench: Workbench, found: OpenRequests, bases: Mapping[str, BaseState], now: datetime, jobs: int
) -> Sequence[_Answer]:
    bench.progress.start("asking after builds", len(found.requests))
    answers = []
    try:
        with ThreadPoolExecutor(max_workers=max(1, min(jobs, len(found.requests)))) as pool:
            for answer in pool.map(lambda request: _guarded(bench, request, found, bases, now), found.requests):
                answers.append(answer)
                bench.progress.advance(answer.request.name)
    finally:
        bench.progress.finish()
    return answers


def _guarded(
    bench: Workbench, request: RebuildRequest, found: OpenRequests, bases: Mapping[str, BaseState], now: datetime
) -> _Answer:
    enrollment = found.enrollments.get(request.name)
    if enrollment is None and not request.status.is_open:
        return _Answer(request, Skipped(request.name, NOT_ENROLLED))
    if enrollment is None:
        return _finished(request, Verdict(RequestStatus.CANCELLED, NOT_ENROLLED), now)
    error: ImageFactoryError
    try:
        return _ask(bench, request, enrollment, found.images.get(request.name), bases, now)
    except ImageFactoryError as known:
        error = known
    except Exception as defect:  # noqa: BLE001  (a plugin's defect fails its own images only)
        error = PluginError(
            f"a plugin failed for {request.name}: {type(defect).__name__}: {defect}",
            hint="report it to the plugin's author; image-factory plugins says whose it is",
        )
    fields = {"image": request.name, "op": "settle", "request": request.request_id, "hint": error.hint}
    log.error(str(error), extra={**fields, "reported": True})
    if request.status is RequestStatus.NEEDS_APPROVAL or request.waits_for or not request.status.is_open:
        return _Answer(request, Failed(request.name, error))  # it keeps no place, and has no time
    verdict = judge_run(request, None, now=now, timeout=bench.settings.build_timeout)
    if verdict.status is RequestStatus.TIMED_OUT:
        # Nobody could say for as long as a build may take: waiting longer would keep its place for ever.
        return _finished(request, Verdict(verdict.status, f"its build cannot be asked after: {error.message}"), now)
    return _Answer(request, Failed(request.name, error))


def _ask(
    bench: Workbench,
    request: RebuildRequest,
    enrollment: Enrollment,
    state: ImageState | None,
    bases: Mapping[str, BaseState],
    now: datetime,
) -> _Answer:
    unseen: AuthenticationRequired | None = None
    run, vanished = None, None
    was_started = _is_started(request)
    try:
        if was_started:
            run, vanished = _run(bench, request, enrollment)
        else:
            start = find_start(bench, request, enrollment, now)
            if isinstance(start, Verdict):
                return _not_started(request, start, now)
            request, run = start
    except AuthenticationRequired as error:
        unseen = error  # a token that may start builds and not see them; what was published tells as well
    if unseen is not None:
        began = request.requested_at if request.dispatch is None else request.dispatch.at
        published = find_publication(bench, enrollment, state, request, began)
        if published is None or not _is_its_own(published, request, state, was_started=was_started):
            raise unseen
        return _succeeded(request, published, bases, now, now)
    request = _with_run(request, run)
    verdict = judge_run(request, run, now=now, timeout=bench.settings.build_timeout, vanished=vanished)
    if verdict.status is RequestStatus.DISPATCHED:
        if not was_started:
            return _Answer(request, Done(request.name, (f"Kargo has started it ({request.request_id})",)))
        return _Answer(request, Skipped(request.name, verdict.because))
    if verdict.status is not RequestStatus.SUCCEEDED:
        return _finished(request, verdict, now, run)
    return _publication(bench, request, enrollment, state, bases, run, now)


def _not_started(request: RebuildRequest, verdict: Verdict, now: datetime) -> _Answer:
    if verdict.status is request.status or verdict.status.is_open:
        return _Answer(request, Skipped(request.name, verdict.because))
    return _finished(request, verdict, now)


def _is_its_own(published: Candidate, request: RebuildRequest, state: ImageState | None, *, was_started: bool) -> bool:
    """Return whether what is published tells by itself that the build has ended.

    Of an image whose version was never known, what lies there may be older than the build; and where nobody
    knows that it was started, anything without its label may be another's.
    """
    if published.labels.get(REQUEST_ID_LABEL) == request.request_id:
        return True
    if not was_started or published.published_at is not None:
        return was_started
    runtime = None if state is None else state.runtime
    return runtime is not None and (runtime.current_version is not None or runtime.current_digest == published.digest)


def _run(bench: Workbench, request: RebuildRequest, enrollment: Enrollment) -> tuple[BuildRun | None, str | None]:
    """Return the run of a request, and the id of the one that was known and has vanished."""
    assert request.dispatch is not None
    trigger, asked = build_request(bench, enrollment, request.request_id)
    run_id = request.dispatch.run_id
    if run_id is None:
        return trigger.find_run(asked), None
    try:
        return trigger.run(asked, run_id), None
    except RemoteNotFound:
        return trigger.find_run(asked), run_id


def _with_run(request: RebuildRequest, run: BuildRun | None) -> RebuildRequest:
    """Return `request` with the run that was found for it; the same one where that was known."""
    assert request.dispatch is not None
    if run is None or (request.dispatch.run_id, request.dispatch.url) == (run.id, run.url):
        return request
    dispatch = request.dispatch.model_copy(update={"run_id": run.id, "url": run.url})
    return request.model_copy(update={"dispatch": dispatch})


def _publication(
    bench: Workbench,
    request: RebuildRequest,
    enrollment: Enrollment,
    state: ImageState | None,
    bases: Mapping[str, BaseState],
    run: BuildRun | None,
    now: datetime,
) -> _Answer:
    assert request.dispatch is not None
    # A provider's clock may be behind ours: no build ends before it was started.
    ended = max((run.updated_at if run else None) or request.dispatch.at, request.dispatch.at)
    is_late = now - ended >= PUBLICATION_TIME
    try:
        published = find_publication(bench, enrollment, state, request, request.dispatch.at)
    except ImageFactoryError as error:
        if not is_late:
            raise
        published, note = None, f"what it published cannot be seen: {error.message}"
    else:
        note = "its run succeeded, and nothing new is published"
    if published is not None:
        return _succeeded(request, published, bases, ended, now)
    if not is_late:
        until = ended + PUBLICATION_TIME
        said = f"its run succeeded, and nothing new is published yet; looked for until {until:%Y-%m-%dT%H:%M:%SZ}"
        return _Answer(request, Skipped(request.name, said))
    done = request.model_copy(
        update={"status": RequestStatus.SUCCEEDED, "finished_at": min(ended, now), "problem": note}
    )
    return _Answer(done, Done(request.name, (f"rebuilt ({request.request_id}), but {note}",)))


def _succeeded(
    request: RebuildRequest, published: Candidate, bases: Mapping[str, BaseState], ended: datetime, now: datetime
) -> _Answer:
    moves = {
        base.configuration.full_image: [update.new_digest for update in base.history.update_history]
        for base in bases.values()
    }
    check = check_base(published, request, moves)
    status = RequestStatus.SUCCEEDED if check.is_as_asked else RequestStatus.FAILED
    update: dict[str, object] = {
        "status": status,
        "finished_at": min(ended, now),
        "digest": published.digest,
        "version": published.version,
        "problem": check.problem,
    }
    if check.is_as_asked and check.actual is not None:
        asked = next(pinned for pinned in request.digests if pinned.role == "final")
        names = {base.name for base in bases.values() if base.configuration.full_image == asked.reference}
        # It holds a newer digest than it was told: that is what it has taken in.
        update["causes"] = tuple(
            cause.model_copy(update={"to": check.actual}) if cause.base in names else cause for cause in request.causes
        )
    done = request.model_copy(update=update)
    what = f"{published.version or 'its build'}, {published.digest[:19]}"
    log.info("rebuild finished", extra={"image": request.name, "op": "settle", "request": request.request_id})
    if check.problem is not None:
        error = RemoteNotFound(
            f"{what} was published, but {check.problem} ({request.request_id})",
            hint="the workflow must build with the digests of its input base_images",
        )
        return _Answer(done, Failed(request.name, error), published)
    return _Answer(done, Done(request.name, (f"rebuilt as {what} ({request.request_id})",)), published)


def _finished(request: RebuildRequest, verdict: Verdict, now: datetime, run: BuildRun | None = None) -> _Answer:
    at = run.updated_at if run is not None and run.updated_at is not None else now
    began = request.dispatch.at if request.dispatch is not None else request.requested_at
    done = request.model_copy(
        update={"status": verdict.status, "problem": verdict.because, "finished_at": min(max(at, began), now)}
    )
    log.warning(
        "rebuild ended: %s",
        verdict.because,
        extra={"image": request.name, "op": "settle", "request": request.request_id, "status": str(verdict.status)},
    )
    said = f"the rebuild ended as {verdict.status}: {verdict.because} ({request.request_id})"
    return _Answer(done, Done(request.name, (said,)))
