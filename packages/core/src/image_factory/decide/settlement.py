"""Decide what became of a request: from its run, and from what its image's registry shows. Pure.

A run that goes on changes nothing. One that ended well is settled when what it published is known, or
after a while without; one that never ends, or of which nothing is found, when its time is up.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from image_factory.decide.backoff import NOT_STARTED
from image_factory.decide.semver import SemanticVersion
from image_factory.model.event import Event, EventKind
from image_factory.model.image_state import Build, ImageState
from image_factory.model.request import RebuildRequest, RequestStatus

REQUEST_ID_LABEL = "image-factory.io/request-id"
"""What our build workflows label an image with: the request that it was built for."""
BASE_DIGEST_LABEL = "org.opencontainers.image.base.digest"
"""The digest of the base that an image was built on (OCI image-spec, annotations)."""
PUBLICATION_TIME = timedelta(minutes=30)
"""How long after its run's end a publication is looked for."""
CLOCK_SKEW = timedelta(minutes=5)
"""How far a registry's clock may be behind ours."""
LATEST = "latest"
WITHDRAWN = "held before the cluster started it"
"""How the problem of a request begins that a hold has taken back from the cluster."""

REQUESTED = "requested"
STARTED = "started"


class SeenRun(Protocol):
    """What is read of a run; `image_factory.ports.BuildRun` has it all."""

    @property
    def id(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def updated_at(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a request stands by its run: `dispatched` while it goes on, else how it ended."""

    status: RequestStatus
    because: str
    """A sentence without a full stop; the problem, where it ended badly."""


def judge_run(
    request: RebuildRequest, run: SeenRun | None, *, now: datetime, timeout: timedelta, vanished: str | None = None
) -> Verdict:
    """Return how `request` stands.

    Args:
        run: its run; None where none is found.
        timeout: how long after its dispatch a build counts as failed.
        vanished: the id of a run that was known and is not found any more.
    """
    began = request.requested_at if request.dispatch is None else request.dispatch.at
    is_late = now - began >= timeout
    if run is None:
        missing = "no run carries its id" if vanished is None else f"its run {vanished} has vanished"
        if is_late:
            return Verdict(RequestStatus.TIMED_OUT, missing)
        return Verdict(RequestStatus.DISPATCHED, f"{missing} yet" if vanished is None else missing)
    match str(run.status):
        case "succeeded":
            return Verdict(RequestStatus.SUCCEEDED, f"run {run.id} succeeded")
        case "failed":
            return Verdict(RequestStatus.FAILED, f"run {run.id} failed{_word(run.message, 'failure')}")
        case "cancelled":
            return Verdict(RequestStatus.CANCELLED, f"run {run.id} was cancelled{_word(run.message, 'cancelled')}")
    if is_late:
        return Verdict(RequestStatus.TIMED_OUT, f"run {run.id} has not ended within {_span(timeout)}")
    return Verdict(RequestStatus.DISPATCHED, f"run {run.id} is {run.status}")


def judge_start(request: RebuildRequest, *, now: datetime, timeout: timedelta, is_manual: bool) -> Verdict:
    """Return how a request stands that something else is to start, and that no run was found of.

    Args:
        timeout: how long after it could be started it counts as failed, so that another attempt is made.
        is_manual: whether a person starts it, for whom there is no such time.
    """
    if request.status is RequestStatus.NEEDS_APPROVAL:
        return Verdict(request.status, f"request {request.request_id} waits for a person")
    if is_given_up(request):
        return Verdict(request.status, f"request {request.request_id} was given up, and no run carries its id")
    if request.waits_for:
        return Verdict(request.status, f"it waits for the rebuild of {', '.join(request.waits_for)}")
    if is_manual:
        return Verdict(request.status, f"request {request.request_id} waits for a person to promote it in Kargo")
    dispatch = request.dispatch.at if request.dispatch is not None else None
    instants = (request.requested_at, request.not_before, request.approved_at, dispatch)
    until = max(at for at in instants if at is not None) + timeout
    if now >= until:
        return Verdict(RequestStatus.FAILED, f"{NOT_STARTED} within {_span(timeout)}")
    told = f"Kargo has not started request {request.request_id} yet; looked for until {until:%Y-%m-%dT%H:%M:%SZ}"
    return Verdict(request.status, told)


def is_given_up(request: RebuildRequest) -> bool:
    """Return whether a request ended only because no run of it was known: a late one may still come."""
    if request.dispatch is not None or request.status not in (RequestStatus.FAILED, RequestStatus.CANCELLED):
        return False
    return (request.problem or "").startswith((NOT_STARTED, WITHDRAWN))


def _word(message: str, expected: str) -> str:
    return f": {message}" if message and message != expected else ""


def _span(duration: timedelta) -> str:
    hours = duration / timedelta(hours=1)
    return f"{hours:g} h" if hours >= 1 else f"{duration / timedelta(minutes=1):g} min"


# --- what was published -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Candidate:
    """One published digest that was not known when the build was started."""

    digest: str
    tags: tuple[str, ...]
    """All that are known to point at it, the most telling first."""
    labels: Mapping[str, str] = field(default_factory=dict)
    published_at: datetime | None = None

    @property
    def version(self) -> str | None:
        """The tag that is recorded; None where there is only `latest`, which is no version."""
        return next((tag for tag in self.tags if tag != LATEST), None)


def recorded_since(state: ImageState, at: datetime) -> str | None:
    """Return the digest that analysis recorded as the image's since `at`; None where it did not."""
    current = state.runtime.current_digest
    for update in state.history.update_history:
        if update.new_digest == current and update.at >= at:
            return current
    return None


def known_before(state: ImageState, request: RebuildRequest, at: datetime) -> frozenset[str]:
    """Return the digests of the image that were known before `at`, or are other requests' results."""
    known = {update.old_digest for update in state.history.update_history if update.at < at}
    known |= {update.new_digest for update in state.history.update_history if update.at < at}
    known |= {build.digest for build in state.history.rebuild_history if build.request_id != request.request_id}
    if recorded_since(state, at) is None:
        known |= {state.runtime.current_digest, state.runtime.previous_digest}
    return frozenset(digest for digest in known if digest is not None)


def choose_publication(
    candidates: Sequence[Candidate],
    request: RebuildRequest,
    *,
    current_version: str | None,
    since: datetime,
    followed: Collection[str] = (LATEST,),
) -> Candidate | None:
    """Return what the request's build published, or None where nothing shows it yet.

    The one that is labeled with the request's id; else, among those without such a label, the highest
    version from the current one on, else the newest, else what a followed tag points at.

    Args:
        candidates: digests that were not known before.
        current_version: the image's version before the build.
        since: when the build was started; what was published long before is not its own.
        followed: tags that move with each build.
    """
    for candidate in candidates:
        if candidate.labels.get(REQUEST_ID_LABEL) == request.request_id:
            return candidate
    rest = [
        candidate
        for candidate in candidates
        if REQUEST_ID_LABEL not in candidate.labels
        and (candidate.published_at is None or candidate.published_at >= since - CLOCK_SKEW)
    ]
    current = SemanticVersion.parse(current_version) if current_version else None
    versions = []
    for candidate in rest:
        found = [version for tag in candidate.tags if (version := SemanticVersion.parse(tag)) is not None]
        if found and (current is None or max(each.precedence for each in found) >= current.precedence):
            versions.append((max(each.precedence for each in found), candidate))
    if versions:
        return max(versions, key=lambda pair: pair[0])[1]
    dated = [candidate for candidate in rest if candidate.published_at is not None]
    if dated:
        return max(dated, key=_published)
    return next((candidate for candidate in rest if set(candidate.tags) & set(followed)), None)


def _published(candidate: Candidate) -> datetime:
    assert candidate.published_at is not None
    return candidate.published_at


@dataclass(frozen=True, slots=True)
class BaseCheck:
    """Whether an image was built on the digest that its request asked for."""

    is_as_asked: bool
    actual: str | None = None
    """What it says that it was built on, where that is another digest that the base is known to have had."""
    problem: str | None = None


def check_base(candidate: Candidate, request: RebuildRequest, moves: Mapping[str, Sequence[str]]) -> BaseCheck:
    """Return whether the label of what was published names the base that the build was told.

    A digest that we never saw says nothing: builders differ in whether they name the index or one platform.

    Args:
        moves: the digests that each base had, by reference, oldest first.
    """
    asked = next((pinned for pinned in request.digests if pinned.role == "final"), None)
    told = candidate.labels.get(BASE_DIGEST_LABEL)
    if asked is None or told is None or told == asked.digest:
        return BaseCheck(True)
    had = list(moves.get(asked.reference, ()))
    if told not in had:
        return BaseCheck(True)
    # The last time that the base had it: a tag may come back to an earlier digest.
    newest = {digest: place for place, digest in enumerate(had)}
    if asked.digest in newest and newest[told] > newest[asked.digest]:
        return BaseCheck(True, told)
    return BaseCheck(
        False, told, f"it was built on {told[:19]} of {asked.reference}, not on {asked.digest[:19]} as it was told"
    )


# --- what is recorded -----------------------------------------------------------------------------------


def history_entry(request: RebuildRequest) -> Build | None:
    """Return what the image's rebuildHistory says of a request; None before anything was started for it."""
    dispatch = request.dispatch
    if request.status in (RequestStatus.NEEDS_APPROVAL, RequestStatus.REQUESTED):
        return None
    if request.status is RequestStatus.DISPATCHING and (dispatch is None or dispatch.error is None):
        return None  # it is about to be called: how that ended is told soon
    result = {RequestStatus.DISPATCHING: REQUESTED, RequestStatus.DISPATCHED: STARTED}.get(
        request.status, str(request.status)
    )
    return Build(
        at=request.requested_at,
        reason=request.reason,
        trigger=request.triggered_by,
        result=result,
        request_id=request.request_id,
        run_id=dispatch.run_id if dispatch else None,
        url=dispatch.url if dispatch else None,
        digest=request.digest,
        version=request.version,
        finished_at=request.finished_at,
        causes=tuple(_cause(request)),
        problem=request.problem,
        cve=request.emergency.cve if request.emergency else None,
        inputs=request.inputs,
    )


def _cause(request: RebuildRequest) -> Iterable[dict[str, Any]]:
    for cause in request.causes:
        yield cause.model_dump(mode="json", by_alias=True, exclude_none=True)


def decide_rebuild_event(request: RebuildRequest, *, at: datetime) -> Event | None:
    """Return that a rebuild ended, well or badly; None of one that has not."""
    if request.status.is_open:
        return None
    causes = ", ".join(f"{cause.base} {cause.from_digest or 'unknown'} → {cause.to}" for cause in request.causes)
    run = request.dispatch.run_id if request.dispatch else None
    url = request.dispatch.url if request.dispatch else None
    facts = {"Request": request.request_id, "Run": run or "", "Causes": causes}
    if request.status is RequestStatus.SUCCEEDED:
        facts |= {"Version": request.version or "", "Digest": request.digest or "", "Note": request.problem or ""}
        kind, summary = EventKind.REBUILD_SUCCEEDED, f"{request.name} was rebuilt."
    else:
        facts["Problem"] = request.problem or ""
        kind, summary = EventKind.REBUILD_FAILED, f"The rebuild of {request.name} ended as {request.status}."
    return Event(kind, at, request.name, summary, {key: value for key, value in facts.items() if value}, url)
