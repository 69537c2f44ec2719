"""Start the builds of requests, each exactly once: claimed first, then called, then recorded.

`claim` writes the intent, under the id of this run of the program; the caller brings it to where other
runs see it, and only then `dispatch` calls the providers. A claim that another run left behind is taken
over when its time is up: its build is looked for by the request's id before it is started again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from image_factory.decide.backoff import BY_POLICY
from image_factory.decide.emergency_progress import decide_emergency_finished
from image_factory.decide.freezes import frozen
from image_factory.decide.holds import Holds, active_holds
from image_factory.decide.settlement import decide_rebuild_event
from image_factory.errors import (
    ImageFactoryError,
    PluginError,
    ProtocolError,
    RateLimited,
    Unavailable,
)
from image_factory.model.enrollment import Enrollment
from image_factory.model.event import Event
from image_factory.model.image_state import ImageState
from image_factory.model.request import Dispatch, RebuildRequest, RequestStatus
from image_factory.model.settings import Freeze
from image_factory.ports import BuildRequest, BuildRun, BuildTrigger
from image_factory.shell.store import FileChange
from image_factory.usecases.cascade import Advanced, advance_emergencies
from image_factory.usecases.coordinate import doubtful_holds
from image_factory.usecases.outcome import Done, Failed, Outcome, Skipped
from image_factory.usecases.requests import NOT_ENROLLED, OpenRequests, open_requests, plan_requests
from image_factory.usecases.status import instant
from image_factory.usecases.trigger import build_request, prepare_build
from image_factory.usecases.workbench import Workbench

log = logging.getLogger("image_factory.dispatch")

LEASE = timedelta(minutes=10)
"""How long a claim is another run's alone: longer than a run takes from its claim to its record, and than a
provider takes until a build that it started can be found."""
JOBS = 8
"""Providers' answers that are waited for at once."""
RETRY_AFTER = timedelta(minutes=5)
"""How long a provider is left alone that asks for time, and does not say how much."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What is ours to start; to be written, committed and pushed before `dispatch`."""

    requests: tuple[RebuildRequest, ...]
    """All that are ours now, in the order of starting."""
    changes: tuple[FileChange, ...]
    outcomes: tuple[Outcome, ...] = ()
    """Of what is not started: it waits, is given up, or cannot be read."""
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What calling the providers came to; the calls are made, their record is not written yet."""

    requests: tuple[RebuildRequest, ...]
    """As they are now."""
    outcomes: tuple[Outcome, ...]
    changes: tuple[FileChange, ...]
    events: tuple[Event, ...] = ()
    warnings: tuple[ImageFactoryError, ...] = ()
    """Such as inputs that a workflow does not declare."""
    unseen: tuple[ImageFactoryError, ...] = ()
    """Why a build that was started could not be looked at, such as that the token may start builds and not see them."""


def claim(bench: Workbench, by: str, names: Iterable[str] = ()) -> Claimed:
    """Return the requests that this run starts, claimed for it, and the changes that say so. Asks no provider.

    None, with `engine: kargo`.

    Args:
        by: the id of this run of the program.
        names: the images; all where none is named.
    """
    if not bench.settings.starts_builds:
        return Claimed((), ())
    now = bench.clock.now().replace(microsecond=0)
    found = open_requests(bench, _may_start, names)
    held = _holds(bench, found.requests, now)
    ours: list[RebuildRequest] = []
    new: list[RebuildRequest] = []
    outcomes: list[Outcome] = [Failed(name, error) for name, error in sorted(found.problems.items())]
    events: list[Event] = []
    lost = _lost(found, by, now)
    # What waits for one that is given up is let go, or given up too.
    advanced = advance_emergencies(bench, lost.values(), (), now=now) if lost else Advanced()
    followed = {request.name for request in advanced.requests}
    for request in found.requests:
        if request.name in followed:
            continue
        if _is_by(request, by):
            ours.append(request)
            continue
        waits = _waits(request, now)
        if waits is not None:
            outcomes.append(Skipped(request.name, waits))
            continue
        if request.name in lost:
            cancelled = lost[request.name]
            new.append(cancelled)
            outcomes.append(Done(request.name, (f"request {request.request_id} is cancelled: {NOT_ENROLLED}",)))
            events += [event for event in [decide_rebuild_event(cancelled, at=now)] if event is not None]
            continue
        stopped = _stopped(request, held, bench.settings.freezes, now)
        if stopped is not None:
            outcomes.append(Skipped(request.name, stopped))
            continue
        parents = sorted(found.under_way.intersection(request.waits_for))
        if parents:
            outcomes.append(Skipped(request.name, f"it waits for the rebuild of {', '.join(parents)}"))
            continue
        claimed = claimed_by(_with_parents(request, found.images), by, now)
        ours.append(claimed)
        new.append(claimed)
    changes = plan_requests(bench, (*new, *advanced.requests))
    return Claimed(tuple(ours), changes, (*outcomes, *advanced.outcomes), (*events, *advanced.events))


def _lost(found: OpenRequests, by: str, now: datetime) -> Mapping[str, RebuildRequest]:
    """Return the requests that are given up since their image is not to be built any more, as they are then."""
    return {
        request.name: _ended(request, RequestStatus.CANCELLED, NOT_ENROLLED, now)
        for request in found.requests
        if request.name in found.gone and not _is_by(request, by) and _waits(request, now) is None
    }


def _holds(bench: Workbench, requests: Sequence[RebuildRequest], now: datetime) -> Holds:
    """Return what is held of these requests; a hold that cannot be read holds too."""
    if not requests:
        return active_holds((), now)
    loaded = bench.store.holds()
    pinned = (each.digest for request in requests for each in request.digests)
    return active_holds((*loaded.records.values(), *doubtful_holds(loaded.broken, pinned, now)), now)


def _with_parents(request: RebuildRequest, images: Mapping[str, ImageState]) -> RebuildRequest:
    """Return `request` with the digests that the images it waited for have by now."""
    state = images.get(request.name)
    if state is None or not request.waits_for:
        return request
    fresh = {
        site.reference: digest
        for site in state.configuration.references
        if site.name in request.waits_for
        and site.name in images
        and (digest := images[site.name].runtime.current_digest) is not None
    }
    pinned = tuple(
        each.model_copy(update={"digest": fresh.get(each.reference, each.digest)}) for each in request.digests
    )
    return request.model_copy(update={"digests": pinned})


def claimed_by(request: RebuildRequest, by: str, now: datetime) -> RebuildRequest:
    """Return `request` as the run `by` is about to start it; a further attempt where it may have been started."""
    attempt = 1 if request.dispatch is None else request.dispatch.attempt + 1
    dispatch = Dispatch(at=now, attempt=attempt, by=by)
    return request.model_copy(update={"status": RequestStatus.DISPATCHING, "dispatch": dispatch})


def dispatch(bench: Workbench, by: str, names: Iterable[str] = (), *, jobs: int = JOBS) -> Dispatched:
    """Call the provider for each request that is claimed by this run, and return what came of it.

    A build that may have been started before is looked for first. One that fails stops no other.
    The calls are made once: where the record cannot be written because others wrote meanwhile, `record` plans
    it anew.

    Args:
        by: the id of this run of the program.
        names: the images; all where none is named.
        jobs: how many are called at once.
    """
    found = open_requests(bench, lambda request: _is_by(request, by), names)
    attempts = _call_all(bench, found, jobs)
    now = bench.clock.now().replace(microsecond=0)
    # Files that cannot be read at all are told of by `claim`.
    doubtful = sorted(found.problems.items() - found.broken.items())
    outcomes: list[Outcome] = [Failed(name, error) for name, error in doubtful]
    requests: list[RebuildRequest] = []
    warnings: list[ImageFactoryError] = []
    unseen: list[ImageFactoryError] = []
    events: list[Event] = []
    for request in found.requests:
        attempt = attempts[request.name]
        requests.append(attempt.request)
        outcomes.append(attempt.outcome)
        warnings += attempt.warnings
        unseen += attempt.unseen
        events += [event for event in [decide_rebuild_event(attempt.request, at=now)] if event is not None]
    before = bench.store.requests().records
    events += decide_emergency_finished(before, {**before, **{request.name: request for request in requests}})
    changes = plan_requests(bench, requests)
    return Dispatched(tuple(requests), tuple(outcomes), changes, tuple(events), tuple(warnings), tuple(unseen))


def record(bench: Workbench, dispatched: Dispatched) -> Dispatched:
    """Return `dispatched` with its changes planned over what is on disk now; calls nobody."""
    return replace(dispatched, changes=plan_requests(bench, dispatched.requests))


def _may_start(request: RebuildRequest) -> bool:
    return request.status in (RequestStatus.REQUESTED, RequestStatus.DISPATCHING)


def _is_by(request: RebuildRequest, by: str) -> bool:
    return request.status is RequestStatus.DISPATCHING and request.dispatch is not None and request.dispatch.by == by


def _waits(request: RebuildRequest, now: datetime) -> str | None:
    """Return why a request is not to be started now."""
    dispatch = request.dispatch
    if request.status is RequestStatus.DISPATCHING:
        assert dispatch is not None
        until = max(dispatch.at + LEASE, dispatch.not_before or dispatch.at)
        # A clock that was set back must not make a claim last for ever.
        if dispatch.at <= now < until:
            return f"{dispatch.by or 'another run'} is starting it; left to that until {instant(until)}"
        return None
    instants = [at for at in (request.not_before, dispatch.not_before if dispatch else None) if at is not None]
    if instants and now < max(instants):
        return f"it is not to be started before {instant(max(instants))}"
    return None


def _stopped(request: RebuildRequest, held: Holds, freezes: Sequence[Freeze], now: datetime) -> str | None:
    """Return what a person has stopped a request by since it was made; what a person or an emergency orders goes on."""
    if request.status is not RequestStatus.REQUESTED or request.triggered_by != BY_POLICY:
        return None
    wait = held.image(request.name) or frozen(request.name, freezes, now)
    waits = [wait, *(held.digest(pinned.digest, pinned.reference) for pinned in request.digests)]
    return next((wait.because for wait in waits if wait is not None), None)


def _ended(request: RebuildRequest, status: RequestStatus, problem: str, now: datetime) -> RebuildRequest:
    return request.model_copy(update={"status": status, "problem": problem, "finished_at": now})


# --- calling -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Attempt:
    request: RebuildRequest
    outcome: Outcome
    warnings: tuple[ImageFactoryError, ...] = ()
    unseen: tuple[ImageFactoryError, ...] = ()


def _call_all(bench: Workbench, found: OpenRequests, jobs: int) -> Mapping[str, _Attempt]:
    attempts: dict[str, _Attempt] = {}
    if not found.requests:
        return attempts
    bench.progress.start("starting builds", len(found.requests))
    try:
        with ThreadPoolExecutor(max_workers=max(1, min(jobs, len(found.requests)))) as pool:
            made = pool.map(lambda request: _call(bench, request, found), found.requests)
            for request, attempt in zip(found.requests, made, strict=True):
                attempts[request.name] = attempt
                bench.progress.advance(request.name)
    finally:
        bench.progress.finish()
    return attempts


def _call(bench: Workbench, request: RebuildRequest, found: OpenRequests) -> _Attempt:
    now = bench.clock.now().replace(microsecond=0)
    enrollment, state = found.enrollments.get(request.name), found.images.get(request.name)
    if enrollment is None:
        cancelled = _ended(request, RequestStatus.CANCELLED, NOT_ENROLLED, now)
        return _Attempt(cancelled, Done(request.name, (f"request {request.request_id} is cancelled: {NOT_ENROLLED}",)))
    call = _Call(bench, request, enrollment, state, now)
    try:
        return call.make()
    except ImageFactoryError as error:
        return call.failed(error)
    except Exception as error:  # noqa: BLE001  (a plugin's defect fails its own images only)
        provider = enrollment.source.provider if enrollment.source else "?"
        return call.failed(
            PluginError(
                f"the build trigger {provider} failed for {request.name}: {type(error).__name__}: {error}",
                hint="report it to the plugin's author; image-factory plugins says whose it is",
            )
        )


class _Call:
    """One attempt to start one request's build."""

    def __init__(
        self,
        bench: Workbench,
        request: RebuildRequest,
        enrollment: Enrollment,
        state: ImageState | None,
        now: datetime,
    ) -> None:
        assert request.dispatch is not None
        self._bench = bench
        self._request = request
        self._dispatch = request.dispatch
        self._enrollment = enrollment
        self._state = state
        self._now = now
        self._is_sent = False
        """Whether the provider was told to start it, so that it may have done so."""
        self._is_looked_for = False
        self._where: str | None = None
        self._warnings: tuple[ImageFactoryError, ...] = ()
        self._unseen: tuple[ImageFactoryError, ...] = ()

    def make(self) -> _Attempt:
        trigger, asked = build_request(self._bench, self._enrollment, self._request.request_id)
        self._where = f"{asked.repository}@{asked.ref}" + (f":{asked.workflow}" if asked.workflow else "")
        if self._dispatch.attempt > 1 or not self._bench.settings.starts_builds:
            self._is_looked_for = True
            run = trigger.find_run(asked)
            if run is not None:
                return self._started(run.id, run.url, "was started by an earlier attempt")
            self._is_looked_for = False
        prepared = prepare_build(self._bench, self._request, self._enrollment, self._state)
        self._warnings = prepared.warnings
        prepared.trigger.call(prepared.request)  # what cannot be a call is refused before anything is sent
        self._is_sent = True
        run_id = prepared.trigger.start(prepared.request)
        seen = self._look(trigger, prepared.request, run_id) if self._dispatch.attempt == 1 else None
        if seen is not None:
            return self._started(seen.id, seen.url, "is started")
        return self._started(run_id, None, "is started")

    def _look(self, trigger: BuildTrigger, request: BuildRequest, run_id: str | None) -> BuildRun | None:
        try:
            return trigger.find_run(request) if run_id is None else trigger.run(request, run_id)
        except Exception as error:  # noqa: BLE001  (it is started; where it runs can be asked later)
            log.warning("its run is not known: %s", error, extra=self._fields(getattr(error, "hint", "")))
            if isinstance(error, ImageFactoryError):
                self._unseen = (error,)
            return None

    def _started(self, run_id: str | None, url: str | None, how: str) -> _Attempt:
        made = self._dispatch.model_copy(update={"run_id": run_id, "url": url, "error": None, "not_before": None})
        request = self._request.model_copy(update={"status": RequestStatus.DISPATCHED, "dispatch": made})
        log.info("rebuild started", extra={**self._fields(""), "run": run_id})
        where = f", {url}" if url else ""
        outcome = Done(request.name, (f"rebuild {how} ({request.request_id}){where}",))
        return _Attempt(request, outcome, self._warnings, self._unseen)

    def failed(self, error: ImageFactoryError) -> _Attempt:
        error.message = f"{error.message} (request {self._request.request_id})"
        # A person is shown the error itself; the log tells programs.
        log.error(error.message, extra={**self._fields(error.hint), "reported": True})
        error.is_logged = True
        outcome = Failed(self._request.name, error)
        status = self._status_after(error)
        not_before = None
        if isinstance(error, (RateLimited, Unavailable)) and status is not RequestStatus.FAILED:
            asked = error.retry_after if isinstance(error, RateLimited) else None
            not_before = self._now + (asked or RETRY_AFTER)
        made = self._dispatch.model_copy(update={"error": error.message, "not_before": not_before})
        request = self._request.model_copy(update={"status": status, "dispatch": made})
        if status is RequestStatus.FAILED:
            request = _ended(request, status, error.message, self._now)
        return _Attempt(request, outcome, self._warnings)

    def _status_after(self, error: ImageFactoryError) -> RequestStatus:
        is_refused = isinstance(error, RateLimited)
        may_be_started = (self._is_sent and not is_refused) or self._is_looked_for
        if may_be_started and (is_refused or isinstance(error, (Unavailable, ProtocolError, PluginError))):
            # It stays claimed, and is looked for by its id when that time is up.
            return RequestStatus.DISPATCHING
        if is_refused or isinstance(error, Unavailable):
            return RequestStatus.REQUESTED
        return RequestStatus.FAILED

    def _fields(self, hint: str) -> dict[str, object]:
        return {
            "image": self._request.name,
            "op": "dispatch",
            "input": self._where,
            "request": self._request.request_id,
            "hint": hint,
        }
