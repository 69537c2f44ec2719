"""Predict what is rebuilt when, if a base moved: in waves, by the decisions themselves. Pure.

The move is put into the facts of now, and they are decided on over simulated time (`decide.replay`), with
all else that waits: nothing is estimated by a rule of its own, so the prediction is what a run would do if
nothing else happened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from image_factory.decide.absorption import SUCCEEDED, built_in
from image_factory.decide.affected import find_base
from image_factory.decide.causes import input_named
from image_factory.decide.eligibility import Reason
from image_factory.decide.lineage import find_lineage
from image_factory.decide.plan import Decision, Facts
from image_factory.decide.platforms import platforms_of
from image_factory.decide.replay import Happening, Moved, Outcomes, Published, SimulatedBuild, Simulation
from image_factory.errors import DependencyCycle, UserError
from image_factory.model.enrollment import Kind
from image_factory.model.image_state import BaseState, DigestUpdate, ImageState

MAX_STEPS = 20_000
"""Decisions after which a prediction ends, whatever still waits."""
_END = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Predicted:
    """One image that would be rebuilt."""

    image: str
    wave: int
    """How many images of the cascade lie above it, the longest way."""
    because: tuple[str, ...]
    """Through what the move reaches it: the base, or the images that it is built on."""
    eligible_at: datetime
    """From when what it takes in is eligible: the longest delay on the way."""
    window_closes_at: datetime
    """Until when further causes can join."""
    build_at: datetime
    """The earliest instant of its build."""
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class Prediction:
    """The cascade of one move."""

    base: str
    at: datetime
    """When the base moves."""
    waves: tuple[tuple[Predicted, ...], ...]
    """Each after those that it is built on; within a wave in the order of the builds."""
    not_rebuilt: Mapping[str, Decision | str] = field(default_factory=dict)
    """What is built on it, nearly or far, and is not rebuilt: the decision it ends with, or why."""

    @property
    def builds(self) -> tuple[Predicted, ...]:
        """All, in waves."""
        return tuple(one for wave in self.waves for one in wave)


def predict(
    facts: Facts,
    name: str,
    *,
    now: datetime,
    at: datetime | None = None,
    platforms: Iterable[str] = (),
    duration: timedelta = timedelta(),
) -> Prediction:
    """Return what would be rebuilt when, if `name` had a new digest at `at`.

    Args:
        name: that of a base image, or of a managed image that others are built on, or a reference to it.
        at: when it moves; now where it is not given.
        platforms: the only ones that it moves on; all where none is named.
        duration: how long each build takes.

    Raises:
        NotFound: no image is called that.
        UserError: `at` has passed; or nothing about the image can move; or it has no such platform.
        DependencyCycle: what is built on it is built on itself.
    """
    at = now if at is None else at
    if at < now:
        raise UserError(f"{at:%Y-%m-%dT%H:%M:%SZ} has passed", hint="predict from now on; replay looks back")
    source = facts.bases.get(name) or find_base(name, facts.images, facts.bases)
    if isinstance(source, BaseState) and source.configuration.managed_by in facts.images:
        source = facts.images[str(source.configuration.managed_by)]
    below = _below(source.name, facts)
    digest = f"sha256:{sha256(f'{source.name} {at}'.encode()).hexdigest()}"
    simulation = Simulation(facts, start=now, outcomes=Outcomes(duration))
    simulation.run([_happening(source, digest, at, tuple(platforms))], _END, max_steps=MAX_STEPS)
    carried = _carried(source.name, digest, at, simulation, below)
    depth: dict[str, int] = {}
    for image in carried:
        depth[image] = max((depth[above] + 1 for above in below[image] if above in depth), default=0)
    waves: list[list[Predicted]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for image, build in carried.items():
        waves[depth[image]].append(_predicted(build, depth[image], below[image], source.name, carried))
    left = {image: _why_not(image, facts, simulation) for image in below if image not in carried}
    ordered = (tuple(sorted(wave, key=lambda one: (one.build_at, one.image))) for wave in waves)
    return Prediction(source.name, at, tuple(ordered), dict(sorted(left.items())))


def _happening(source: BaseState | ImageState, digest: str, at: datetime, platforms: tuple[str, ...]) -> Happening:
    if isinstance(source, ImageState) and source.kind is not Kind.MANAGED:
        raise UserError(f"nothing is built on {source.name}: it is external", hint="name the base that others use")
    if isinstance(source, BaseState) and source.configuration.pinned:
        raise UserError(f"{source.name} is pinned by its digest: it cannot move", hint="name a base that has a tag")
    current = source.runtime.current_digest
    if current is None:
        raise UserError(
            f"no digest of {source.name} is known yet, so that nothing tells what it moves from",
            hint="image-factory observe asks for it",
        )
    if isinstance(source, ImageState):
        return Published(at, source.name, digest)
    moved: dict[str, str] = {}
    if platforms:
        known = platforms_of(source, current)
        missing = [platform for platform in platforms if platform not in known]
        if missing:
            has = ", ".join(sorted(known)) or "none that is known"
            raise UserError(f"{source.name} has no platform {missing[0]}", hint=f"it has {has}")
        moved = {platform: str(had) for platform, had in known.items()}
        moved.update(
            {platform: f"sha256:{sha256(f'{digest} {platform}'.encode()).hexdigest()}" for platform in platforms}
        )
    return Moved(at, source.name, DigestUpdate(at=at, old_digest=current, new_digest=digest, platforms=moved))


def _below(name: str, facts: Facts) -> dict[str, tuple[str, ...]]:
    """Return the managed images that are built on `name`, nearly or far, each after those it is built on, with these.

    Raises:
        DependencyCycle: there is no such order.
    """
    users: dict[str, list[str]] = {}
    above: dict[str, list[str]] = {}
    for image_name, image in sorted(facts.images.items()):
        if image.kind is not Kind.MANAGED:
            continue
        for each in built_in(image):
            source = input_named(each, facts.bases, facts.images)
            if source is not None:
                users.setdefault(source.name, []).append(image_name)
                above.setdefault(image_name, []).append(source.name)
    reached = {name}
    pending = [name]
    while pending:
        for user in users.get(pending.pop(), ()):
            if user not in reached:
                reached.add(user)
                pending.append(user)
    left = {each: {*above.get(each, ())} & reached for each in reached}
    ordered = [name]
    ready = [name]
    while ready:
        following: list[str] = []
        for each in ready:
            for user in dict.fromkeys(users.get(each, ())):
                left[user].discard(each)
                if not left[user] and user != name:
                    following.append(user)
        ordered += following
        ready = following
    left_over = sorted(reached - set(ordered))
    if left_over:
        cycles = find_lineage(facts.images, facts.images, facts.bases).cycles
        raise DependencyCycle(next((cycles[each] for each in left_over if each in cycles), left_over))
    return {each: tuple(sorted({*above.get(each, ())} & reached)) for each in ordered if each != name}


def _carried(
    source: str, digest: str, at: datetime, simulation: Simulation, below: Mapping[str, tuple[str, ...]]
) -> dict[str, SimulatedBuild]:
    """Return the first build of each image that holds the move, each image after those that it is built on."""
    holding: dict[str, dict[str, datetime]] = {source: {digest: at}}
    first: dict[str, SimulatedBuild] = {}
    for build in sorted(simulation.builds, key=lambda one: one.finished_at):
        if build.result != SUCCEEDED or build.image not in below or build.digest is None:
            continue
        takes = any(cause.to in holding.get(cause.base, ()) for cause in build.causes)
        # What an image has taken in it keeps: every digest that it has later holds the move too.
        if takes or build.image in first:
            holding.setdefault(build.image, {})[build.digest] = build.finished_at
            first.setdefault(build.image, build)
    return {image: first[image] for image in below if image in first}


def _predicted(
    build: SimulatedBuild, wave: int, above: tuple[str, ...], source: str, carried: Mapping[str, SimulatedBuild]
) -> Predicted:
    through = tuple(each for each in above if each == source or each in carried)
    eligible_at = build.eligible_at or build.requested_at
    closes_at = build.window_closed_at or eligible_at
    return Predicted(build.image, wave, through, eligible_at, closes_at, build.requested_at, build.finished_at)


def _why_not(image: str, facts: Facts, simulation: Simulation) -> Decision | str:
    """Return why an image is not rebuilt: the decision that it is left with."""
    enrollment = facts.enrollments.get(image)
    if enrollment is None:
        return "it is not in images.yaml"
    decision = simulation.decisions.get(image)
    if decision is None:
        return "nothing is decided of it"
    if decision.reason is Reason.UP_TO_DATE:
        return "what it is built on is not rebuilt"
    return decision
