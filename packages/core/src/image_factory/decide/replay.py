"""Decide over simulated time: what would be built when, if this happened under that policy. Pure.

The decisions are those of `decide.rebuilds`, asked at each instant at which one can differ from the one
before: something happens, a build ends, or a wait does. A run of the program is taken to follow at once.
Only the parts of the graph that something happens in are decided on: images that are not built on each
other, and are in no group together, meet in the places alone that rebuilds take.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import count
from typing import Protocol

from image_factory.decide.absorption import SUCCEEDED
from image_factory.decide.causes import input_named
from image_factory.decide.eligibility import Reason, add
from image_factory.decide.plan import Decision, Facts
from image_factory.decide.rebuilds import decide_rebuilds
from image_factory.decide.replay_parts import find_children, find_parts
from image_factory.decide.replay_trim import TRIM_AFTER, trim
from image_factory.model.enrollment import Enrollment
from image_factory.model.image_state import BaseState, Build, DigestUpdate, ImageState
from image_factory.model.request import RebuildCause, RebuildRequest, RequestStatus


@dataclass(frozen=True, slots=True)
class Moved:
    """A base was seen at a new digest."""

    at: datetime
    base: str
    update: DigestUpdate


@dataclass(frozen=True, slots=True)
class Published:
    """The owner of an image built it for changes of its own."""

    at: datetime
    image: str
    digest: str | None
    """What it brought; None where that is not known."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """A person had an image rebuilt, or approved its rebuild."""

    at: datetime
    image: str
    build: Build


@dataclass(frozen=True, slots=True)
class Enrolled:
    """An image came into images.yaml."""

    at: datetime
    image: str


Happening = Moved | Published | Ordered | Enrolled

Inputs = tuple[str, frozenset[tuple[str, str]]]
"""An image, and what a rebuild of it took in: bases and digests."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How long builds take, and how they end; all that is not known of succeeds."""

    duration: timedelta = timedelta()
    durations: Mapping[str, timedelta] = field(default_factory=dict)
    """Of single images."""
    recorded: Mapping[Inputs, Sequence[Build]] = field(default_factory=dict)
    """How rebuilds with some inputs really ended, in their order."""

    def of(self, image: str, causes: Iterable[RebuildCause], attempt: int) -> Build | None:
        """Return the record of the `attempt`-th rebuild with these inputs, or None where there is none."""
        builds = self.recorded.get((image, frozenset((cause.base, cause.to) for cause in causes)), ())
        return builds[attempt] if attempt < len(builds) else None


@dataclass(frozen=True, slots=True)
class SimulatedBuild:
    """One build that would be made."""

    image: str
    requested_at: datetime
    finished_at: datetime
    result: str
    causes: tuple[RebuildCause, ...]
    digest: str | None
    trigger: str
    wave: int = 0
    eligible_at: datetime | None = None
    """From when what it takes in was eligible."""
    window_closed_at: datetime | None = None


class Watcher(Protocol):
    """Is told of each change that matters to how far behind images are."""

    def moved(self, world: Simulation, now: datetime, base: BaseState) -> None:
        """A base moved."""

    def built(self, world: Simulation, now: datetime, image: ImageState) -> None:
        """An image has a new digest, or took something in."""

    def enrolled(self, world: Simulation, now: datetime, image: ImageState) -> None:
        """An image came into images.yaml."""


@dataclass(frozen=True, slots=True)
class _Finish:
    request: RebuildRequest
    result: str
    digest: str | None
    decision: Decision | None


@dataclass(frozen=True, slots=True)
class _Wake:
    part: int
    is_firm: bool = False
    """Whether it holds whatever was decided since."""


class Simulation:
    """A world that only decisions move: `run` it to an instant, and read `builds` and `decisions`.

    Args:
        facts: as they are at `start`; images that are not in its enrollments come in by `Enrolled`.
        enrollments: of all images that may come in; those of the facts where it is not given.
    """

    def __init__(
        self,
        facts: Facts,
        *,
        start: datetime,
        outcomes: Outcomes | None = None,
        enrollments: Mapping[str, Enrollment] | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        self.images = dict(facts.images)
        self.bases = dict(facts.bases)
        self.requests = dict(facts.requests)
        self.builds: list[SimulatedBuild] = []
        self.decisions: dict[str, Decision] = {}
        self.steps = 0
        """How often it was decided."""
        self._facts = facts
        self._all = dict(facts.enrollments if enrollments is None else enrollments)
        self._enrolled = {name for name in facts.enrollments if name in self._all}
        self._outcomes = outcomes or Outcomes()
        self._watcher = watcher
        self._agenda: list[tuple[datetime, int, int, Happening | _Finish | _Wake]] = []
        self._order = count()
        self._attempts: dict[Inputs, int] = {}
        self._parts, self._part_of, self._parts_on = find_parts(self.images, self.bases, self._all)
        self._children = find_children(self.images, self.bases, self._all)
        self._delays = {
            part: {self._all[name].rebuild_delay for name in members if name in self._all}
            for part, members in self._parts.items()
        }
        self._wakes: dict[int, datetime] = {}
        self._crowded: set[int] = set()
        self._closes: dict[str, datetime] = {}
        self._open = {name for name, request in self.requests.items() if request.status.is_open}
        self._touched = set(self._parts)
        self._now = start
        for name in sorted(self._open):
            self._finish_later(self.requests[name], start)
        for name, base in sorted(self.bases.items()):
            for update in base.history.update_history:
                if update.old_digest is not None:
                    self._wake_for(name, update)

    def run(self, happenings: Iterable[Happening], until: datetime, *, max_steps: int | None = None) -> None:
        """Let these things happen, and decide whenever something can change, up to `until`.

        Args:
            max_steps: how often to decide at most.
        """
        for happening in happenings:
            self._push(happening.at, happening)
        self._decide(self._now)
        while self._agenda and self._agenda[0][0] <= until:
            if max_steps is not None and self.steps >= max_steps:
                return
            self._now = max(self._now, self._agenda[0][0])
            while self._agenda and self._agenda[0][0] <= self._now:
                self._apply(heapq.heappop(self._agenda)[3])
            self._decide(self._now)

    def dependents(self, base: str) -> tuple[str, ...]:
        """Return the images of the parts of the graph that a base, or an image, is in."""
        parts = self._parts_on.get(base, set()) | ({self._part_of[base]} if base in self._part_of else set())
        return tuple(sorted(name for part in parts for name in self._parts[part]))

    # --- what happens ----------------------------------------------------------------------------------

    def _push(self, at: datetime, what: Happening | _Finish | _Wake) -> None:
        heapq.heappush(self._agenda, (at, 0 if isinstance(what, _Finish) else 1, next(self._order), what))

    def _apply(self, what: Happening | _Finish | _Wake) -> None:
        match what:
            case _Wake(part, is_firm):
                if is_firm or self._wakes.get(part, self._now) <= self._now:
                    self._wakes.pop(part, None)
                    self._touched.add(part)
            case Moved(_, name, update):
                self._move(name, update)
            case Published(at, name, digest):
                if name in self.images:
                    self._renew(name, digest, at)
            case Enrolled(_, name):
                if name in self._all and name in self.images:
                    self._enrolled.add(name)
                    self._touched.add(self._part_of[name])
                    if self._watcher is not None:
                        self._watcher.enrolled(self, self._now, self.images[name])
            case Ordered():
                self._order_build(what)
            case _Finish():
                self._finish(what)

    def _move(self, name: str, update: DigestUpdate) -> None:
        base = self.bases.get(name)
        if base is None:
            return
        runtime = base.runtime.model_copy(
            update={
                "current_digest": update.new_digest,
                "previous_digest": update.old_digest,
                "metadata": {"platforms": dict(update.platforms)} if update.platforms else None,
            }
        )
        history = base.history.model_copy(update={"update_history": (*base.history.update_history, update)})
        self.bases[name] = base = base.model_copy(update={"runtime": runtime, "history": history})
        self._touched |= self._parts_on.get(name, set())
        self._wake_for(name, update)
        if self._watcher is not None:
            self._watcher.moved(self, self._now, base)

    def _wake_for(self, name: str, update: DigestUpdate) -> None:
        """Decide when a digest becomes eligible, also where something else is waited for then: it may end that."""
        for part in sorted(self._parts_on.get(name, ())):
            for at in sorted({add(update.at, delay) for delay in self._delays[part]}):
                if at > self._now:
                    self._push(at, _Wake(part, True))

    def _renew(self, name: str, digest: str | None, at: datetime) -> None:
        """Let an image have a new digest, as `state.merge.record_build` does."""
        image = self.images[name]
        known = image.runtime.current_digest
        runtime = {"last_built": at}
        history = image.history
        if digest is not None and digest != known:
            runtime |= {"current_digest": digest, "previous_digest": known}  # type: ignore[dict-item]
            entry = DigestUpdate(at=at, old_digest=known, new_digest=digest, source="build")
            history = history.model_copy(update={"update_history": (*history.update_history, entry)})
        self.images[name] = image.model_copy(
            update={"runtime": image.runtime.model_copy(update=runtime), "history": history}
        )
        self._touched.add(self._part_of[name])
        if self._watcher is not None:
            self._watcher.built(self, self._now, self.images[name])

    def _order_build(self, ordered: Ordered) -> None:
        name, build = ordered.image, ordered.build
        request = self.requests.get(name)
        if name not in self.images or name not in self._enrolled or (request and request.status.is_under_way):
            return
        causes = tuple(self._present(cause) for cause in build.causes)
        known = {cause for cause in causes if cause is not None}
        self._start(
            name,
            tuple(cause for cause in causes if cause in known),
            reason=build.reason,
            trigger=build.trigger,
            inputs=None,
            decision=None,
            recorded=build,
        )

    def _present(self, recorded: Mapping[str, object]) -> RebuildCause | None:
        """Return a recorded cause; of a managed image it takes the digest that this one has here."""
        cause = RebuildCause.model_validate(recorded)
        source = input_named(cause.base, self.bases, self.images)
        if isinstance(source, ImageState):
            digest = source.runtime.current_digest
            return None if digest is None else cause.model_copy(update={"to": digest})
        return cause

    def _start(
        self,
        name: str,
        causes: tuple[RebuildCause, ...],
        *,
        reason: str,
        trigger: str,
        inputs: str | None,
        decision: Decision | None,
        recorded: Build | None = None,
    ) -> None:
        request = RebuildRequest(
            name=name,
            request_id=f"{name}-{next(self._order)}",
            status=RequestStatus.DISPATCHED,
            requested_at=self._now,
            reason=reason,
            triggered_by=trigger,
            causes=causes,
            digests=decision.digests if decision is not None else (),
            inputs=inputs,
            wave=decision.wave if decision is not None else 0,
        )
        self.requests[name] = request
        self._open.add(name)
        self._touched.add(self._part_of[name])
        key = (name, frozenset((cause.base, cause.to) for cause in causes))
        if recorded is None:
            recorded = self._outcomes.of(name, causes, self._attempts.get(key, 0))
            self._attempts[key] = self._attempts.get(key, 0) + 1
        self._finish_later(request, self._now, decision, recorded)

    def _finish_later(
        self,
        request: RebuildRequest,
        begins: datetime,
        decision: Decision | None = None,
        recorded: Build | None = None,
    ) -> None:
        if request.status is RequestStatus.NEEDS_APPROVAL:
            return
        begins = max(begins, request.not_before or begins)
        duration = self._outcomes.durations.get(request.name, self._outcomes.duration)
        result, digest = SUCCEEDED, None
        if recorded is not None:
            result, digest = recorded.result, recorded.digest
            if recorded.finished_at is not None:
                duration = max(recorded.finished_at - recorded.at, timedelta())
        if result == SUCCEEDED and digest is None:
            digest = f"sha256:{sha256(f'{request.name} {request.request_id}'.encode()).hexdigest()}"
        self._push(begins + duration, _Finish(request, result, digest, decision))

    def _finish(self, done: _Finish) -> None:
        request, now = done.request, self._now
        name = request.name
        if name not in self.images:
            self._open.discard(name)
            return
        build = Build(
            at=request.requested_at,
            reason=request.reason,
            trigger=request.triggered_by,
            result=done.result,
            request_id=request.request_id,
            digest=done.digest,
            finished_at=now,
            causes=tuple(cause.model_dump(mode="json", by_alias=True, exclude_none=True) for cause in request.causes),
            inputs=request.inputs,
        )
        image = self.images[name]
        history = image.history.model_copy(update={"rebuild_history": (*image.history.rebuild_history, build)})
        self.images[name] = image.model_copy(update={"history": history})
        status = RequestStatus(done.result)
        self.requests[name] = request.model_copy(update={"status": status, "finished_at": now, "digest": done.digest})
        self._open.discard(name)
        self._touched.add(self._part_of[name])
        if done.result == SUCCEEDED:
            self._renew(name, done.digest, now)
        if len(image.history.rebuild_history) > TRIM_AFTER:
            children = [self.images[child] for child in self._children.get(name, ())]
            self.images[name] = trim(self.images[name], children)
        decision = done.decision
        self.builds.append(
            SimulatedBuild(
                name,
                request.requested_at,
                now,
                done.result,
                request.causes,
                done.digest,
                request.triggered_by,
                request.wave,
                decision.eligible_at if decision is not None else None,
                self._closes.pop(name, None) if decision is not None else None,
            )
        )

    # --- what is decided -------------------------------------------------------------------------------

    def _decide(self, now: datetime) -> None:
        """Decide on all that was touched, and on what waits for a place, and start what is due."""
        parts = self._touched | self._crowded
        self._touched = set()
        names = sorted(name for part in parts for name in self._parts[part])
        enrollments = {name: self._all[name] for name in names if name in self._enrolled}
        if not enrollments:
            return
        self.steps += 1
        asked = {name: self.requests[name] for name in (*self._open, *names) if name in self.requests}
        facts = Facts(
            images={name: self.images[name] for name in names if name in self.images},
            bases=self.bases,
            enrollments=enrollments,
            requests=asked,
            holds=self._facts.holds,
            policy=self._facts.policy,
        )
        plan = decide_rebuilds(facts, now=now)
        self._crowded -= parts
        wakes: dict[int, datetime] = {}
        for name, decision in plan.decisions.items():
            self.decisions[name] = decision
            if decision.is_due:
                continue
            part = self._part_of[name]
            if decision.reason is Reason.WAITS_FOR_PLACE:
                self._crowded.add(part)
            if decision.until is None:
                continue
            if decision.reason is Reason.COORDINATING:
                self._closes[name] = decision.until
            if decision.until > now:
                wakes[part] = min(decision.until, wakes.get(part, decision.until))
        for part, at in sorted(wakes.items()):
            self._wakes[part] = at
            self._push(at, _Wake(part))
        for decision in plan.due:
            self._request(decision)
        # What is requested now changes what others wait for: the next run would see it.
        for part in sorted({self._part_of[decision.image] for decision in plan.due}):
            self._push(now, _Wake(part, True))

    def _request(self, decision: Decision) -> None:
        name = decision.image
        if decision.reason is Reason.DUE:
            self._start(
                name,
                decision.causes,
                reason=str(decision.reason),
                trigger="policy",
                inputs=decision.inputs,
                decision=decision,
            )
            return
        self.requests[name] = RebuildRequest(
            name=name,
            request_id=f"{name}-{next(self._order)}",
            status=RequestStatus.NEEDS_APPROVAL,
            requested_at=self._now,
            reason=str(decision.reason),
            causes=decision.causes,
            inputs=decision.inputs,
        )
        self._open.add(name)
