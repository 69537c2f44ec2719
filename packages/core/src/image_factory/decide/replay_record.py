"""Make of what is recorded a world that a policy can be tried on: its beginning, and what happened to it. Pure.

Bases moved, owners built, people ordered, builds took their time and ended as they did, whatever the
policy; when the program itself rebuilt is what a replay finds anew. An image is taken to have always been
built on what it is built on now, and holds and freezes to be those of now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from statistics import median_low

from image_factory.decide.absorption import SUCCEEDED
from image_factory.decide.backoff import BY_POLICY, FAILED
from image_factory.decide.plan import Facts, Policy
from image_factory.decide.replay import (
    Enrolled,
    Happening,
    Moved,
    Ordered,
    Outcomes,
    Published,
    SimulatedBuild,
    Simulation,
)
from image_factory.decide.replay_lag import Lag, LagWatch, Stretch, measure
from image_factory.model.enrollment import Enrollment, Kind
from image_factory.model.image_state import BaseState, Build, DigestUpdate, ImageState
from image_factory.model.request import RebuildCause

BUILD_TIME = timedelta(minutes=10)
"""How long a build is taken to last where none is recorded."""
ENDED = frozenset({SUCCEEDED, *FAILED})


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a policy can be tried on."""

    facts: Facts
    """As they were at `start`: nothing enrolled, seen or built."""
    enrollments: Mapping[str, Enrollment]
    start: datetime
    happenings: tuple[Happening, ...]
    """But for the orders, which depend on the policy: whether a person starts an image's rebuilds."""
    orders: tuple[Ordered, ...]
    outcomes: Outcomes
    builds: tuple[SimulatedBuild, ...]
    """Those that really were, in their order."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What a policy would have come to."""

    builds: tuple[SimulatedBuild, ...]
    """By the instant of their request."""
    lag: Lag
    lags: Mapping[str, Lag]
    """By image."""
    build_time: timedelta
    """Of all builds together."""
    steps: int = 0
    """How often it was decided."""


def find_recorded(facts: Facts, earlier: Mapping[str, Sequence[DigestUpdate]] | None = None) -> Recorded:
    """Return the world whose record `facts` is.

    Args:
        earlier: moves of bases that their records do not hold any more, such as git's history of them does.
    """
    happenings: list[Happening] = []
    orders: list[Ordered] = []
    known: dict[tuple[str, frozenset[tuple[str, str]]], list[Build]] = {}
    lengths: dict[str, list[timedelta]] = {}
    built: list[SimulatedBuild] = []
    managed = {name: one for name, one in sorted(facts.enrollments.items()) if one.kind is Kind.MANAGED}
    for name, base in facts.bases.items():
        moves = {(update.at, update.new_digest): update for update in (earlier or {}).get(name, ())}
        moves.update({(update.at, update.new_digest): update for update in base.history.update_history})
        happenings += [Moved(update.at, name, update) for update in sorted(moves.values(), key=lambda one: one.at)]
    for name, image in facts.images.items():
        if image.kind is not Kind.MANAGED:
            continue
        happenings += _published(image)
        seen = {update.new_digest: update.at for update in image.history.update_history}
        for build in image.history.rebuild_history:
            if build.result not in ENDED:
                continue
            ended = _ended(build, seen)
            built.append(_as_simulated(name, ended))
            lengths.setdefault(name, []).append(_length(ended))
            if build.trigger == BY_POLICY and name in managed and managed[name].auto_rebuild:
                known.setdefault((name, _taken_in(ended)), []).append(ended)
            else:
                orders.append(Ordered(build.at, name, ended))
    began = [each.at for each in (*happenings, *orders)]
    began += [at for name in managed if name in facts.images and (at := facts.images[name].history.enrolled_at)]
    start = min(began, default=datetime.max.replace(tzinfo=UTC))
    for name in managed:
        at = facts.images[name].history.enrolled_at if name in facts.images else None
        happenings.append(Enrolled(at or start, name))
    every = sorted(length for of_image in lengths.values() for length in of_image)
    return Recorded(
        facts=replace(
            facts,
            images={name: _blank_image(image) for name, image in facts.images.items()},
            bases={name: _blank_base(base) for name, base in facts.bases.items()},
            enrollments={},
            requests={},
        ),
        enrollments=managed,
        start=start,
        happenings=tuple(sorted(happenings, key=lambda each: each.at)),
        orders=tuple(sorted(orders, key=lambda each: (each.at, each.image))),
        outcomes=Outcomes(
            median_low(every) if every else BUILD_TIME,
            {name: median_low(sorted(found)) for name, found in lengths.items()},
            known,
        ),
        builds=tuple(sorted(built, key=lambda one: (one.requested_at, one.image))),
    )


def try_policy(
    recorded: Recorded,
    enrollments: Mapping[str, Enrollment],
    policy: Policy,
    *,
    until: datetime,
    since: datetime | None = None,
    images: frozenset[str] | None = None,
) -> Tried:
    """Return what would have been built when, and how far behind the images would have been.

    Args:
        enrollments: what images.yaml would have said.
        until: where it ends.
        since: from when on builds and lag count; from the beginning where it is not given.
        images: those that count; all where it is not given.
    """
    watch = LagWatch()
    simulation = Simulation(
        replace(recorded.facts, policy=policy),
        start=recorded.start,
        outcomes=recorded.outcomes,
        enrollments=enrollments,
        watcher=watch,
    )
    # A person's approvals are none where the policy needs none.
    orders = [
        order
        for order in recorded.orders
        if order.build.trigger != BY_POLICY
        or (order.image in enrollments and not enrollments[order.image].auto_rebuild)
    ]
    simulation.run((*recorded.happenings, *orders), until)
    begin = recorded.start if since is None else max(since, recorded.start)
    counted = images if images is not None else frozenset(enrollments)
    builds = sorted(
        (one for one in simulation.builds if one.image in counted and one.requested_at >= begin),
        key=lambda one: (one.requested_at, one.image),
    )
    stretches = {name: found for name, found in watch.stretches(until).items() if name in counted}
    every: list[Stretch] = [stretch for found in stretches.values() for stretch in found]
    return Tried(
        tuple(builds),
        measure(every, begin, until),
        {name: measure(found, begin, until) for name, found in sorted(stretches.items())},
        sum((one.finished_at - one.requested_at for one in builds), timedelta()),
        simulation.steps,
    )


def _published(image: ImageState) -> list[Happening]:
    """Return the builds that were its owner's own."""
    ours = {build.digest for build in image.history.rebuild_history}
    updates = image.history.update_history
    found: list[Happening] = [
        Published(update.at, image.name, update.new_digest) for update in updates if update.new_digest not in ours
    ]
    runtime = image.runtime
    if not updates and not image.history.rebuild_history and runtime.last_built is not None:
        found.append(Published(runtime.last_built, image.name, runtime.current_digest))
    return found


def _ended(build: Build, seen: Mapping[str, datetime]) -> Build:
    """Return a build that ended when its digest was seen, which is what those that are built on it go by."""
    finished_at = max(build.finished_at or build.at, build.at)
    if build.digest in seen:
        finished_at = max(finished_at, seen[str(build.digest)])
    return build.model_copy(update={"finished_at": finished_at})


def _length(build: Build) -> timedelta:
    return (build.finished_at or build.at) - build.at


def _taken_in(build: Build) -> frozenset[tuple[str, str]]:
    return frozenset((str(cause.get("base")), str(cause.get("to"))) for cause in build.causes)


def _as_simulated(name: str, build: Build) -> SimulatedBuild:
    causes = tuple(RebuildCause.model_validate(cause) for cause in build.causes if cause.get("to"))
    return SimulatedBuild(
        name, build.at, build.finished_at or build.at, build.result, causes, build.digest, build.trigger
    )


def _blank_image(image: ImageState) -> ImageState:
    runtime = image.runtime.model_copy(
        update={"current_digest": None, "previous_digest": None, "last_built": None, "current_version": None}
    )
    history = image.history.model_copy(update={"update_history": (), "rebuild_history": ()})
    return image.model_copy(update={"runtime": runtime, "history": history})


def _blank_base(base: BaseState) -> BaseState:
    runtime = base.runtime.model_copy(update={"current_digest": None, "previous_digest": None, "metadata": None})
    history = base.history.model_copy(update={"update_history": ()})
    return base.model_copy(update={"runtime": runtime, "history": history})
