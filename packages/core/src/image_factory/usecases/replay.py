"""Run a changed policy over what is recorded, beside the recorded one: reads, never asks.

Gather: images.yaml, state, and the moves of bases that git's history of the state holds beyond it. Decide:
`decide.replay_record`, which lets `decide.rebuilds` decide over simulated time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import yaml
from pydantic import ValidationError

from image_factory.decide.plan import Policy
from image_factory.decide.replay import Moved, SimulatedBuild
from image_factory.decide.replay_lag import Lag
from image_factory.decide.replay_record import Recorded, Tried, find_recorded, try_policy
from image_factory.errors import ImageFactoryError, NotFound, UserError
from image_factory.model.duration import format_duration
from image_factory.model.enrollment import Enrollment, Kind
from image_factory.model.image_state import MIN_UPDATE_HISTORY, BaseState, DigestUpdate
from image_factory.model.settings import Settings
from image_factory.shell.state_history import StateHistory
from image_factory.state.codec import read_base
from image_factory.state.layout import BASE_IMAGES
from image_factory.usecases.coordinate import gather_facts, policy_of
from image_factory.usecases.status import instant
from image_factory.usecases.workbench import Workbench

ENROLLMENT_KEYS = ("rebuildDelay", "delayMode", "autoRebuild", "group", "criticality")
"""What a replay can change of an image's entry."""
SETTINGS_KEYS = ("coordinationWindow", "maxConcurrentRebuilds", "retryDelay", "quarantineAfter", "freezes")
"""What a replay can change of config.yaml."""
FIRST_JUMP = MIN_UPDATE_HISTORY - 1
"""How far apart the versions that are read first lie: each mostly adds one move, and holds the last ten."""
PATIENCE = 8
"""Jumps of one length that are made after a longer one was too long."""


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """What is to be tried in place of what images.yaml and config.yaml say."""

    values: Mapping[str, str] = field(default_factory=dict)
    """By key, as YAML writes them: of `ENROLLMENT_KEYS` and `SETTINGS_KEYS`."""
    images: tuple[str, ...] = ()
    """The images whose entries change, and that are counted; all where none is named."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Policies side by side."""

    begin: datetime
    until: datetime
    recorded: Tried
    changed: Tried | None
    """None where nothing was changed."""
    happened: tuple[SimulatedBuild, ...]
    """The builds that the records hold."""
    change: PolicyChange
    moves: int
    """How often bases moved, in all that is known."""
    notes: tuple[str, ...] = ()
    """What limits the answer."""
    problems: tuple[ImageFactoryError, ...] = ()


def replay(
    bench: Workbench, change: PolicyChange, *, since: datetime | None = None, until: datetime | None = None
) -> Replay:
    """Return what the recorded policy and a changed one would have come to.

    Args:
        since: from when on builds and lag count; from the first record where it is not given.
        until: where it ends; now where it is not given.

    Raises:
        NotFound: there is no images.yaml, or no such managed image.
        UserError: a key or value of the change is none, or there is no time to look at.
    """
    facts, problems = gather_facts(bench)
    enrollments, policy = apply_change(change, facts.enrollments, bench.settings)
    earlier, notes = earlier_moves(bench, facts.bases)
    world = find_recorded(facts, earlier)
    until = until or bench.clock.now().replace(microsecond=0)
    begin = min(world.start if since is None else max(since, world.start), until)
    if since is not None and since >= until:
        raise UserError(f"{instant(since)} is not before {instant(until)}", hint="give an earlier --since")
    counted = frozenset(change.images) or None

    def tried(what: Mapping[str, Enrollment], how: Policy) -> Tried:
        return try_policy(world, what, how, until=until, since=since, images=counted)

    now = {name: one for name, one in facts.enrollments.items() if one.kind is Kind.MANAGED}
    happened = tuple(
        build for build in world.builds if build.requested_at >= begin and (counted is None or build.image in counted)
    )
    return Replay(
        begin,
        until,
        tried(now, facts.policy),
        tried(enrollments, policy) if change.values else None,
        happened,
        change,
        _moves(world),
        notes,
        problems,
    )


def _moves(world: Recorded) -> int:
    return sum(1 for each in world.happenings if isinstance(each, Moved))


def apply_change(
    change: PolicyChange, enrollments: Mapping[str, Enrollment], settings: Settings
) -> tuple[Mapping[str, Enrollment], Policy]:
    """Return the managed images' entries and the policy as they would be.

    Raises:
        NotFound: an image that is named is not enrolled, or nobody builds it.
        UserError: a key is none that can be changed, or its value is wrong.
    """
    managed = {name: one for name, one in enrollments.items() if one.kind is Kind.MANAGED}
    for name in change.images:
        if name not in managed:
            known = ", ".join(sorted(managed)[:8]) or "none"
            raise NotFound(f"no managed image is called {name[:80]!r}", hint=f"known are {known}")
    entry: dict[str, Any] = {}
    setting: dict[str, Any] = {}
    for key, text in change.values.items():
        if key not in (*ENROLLMENT_KEYS, *SETTINGS_KEYS):
            raise UserError(
                f"not a key that a replay can change: {key[:80]!r}",
                hint=f"it can change {', '.join((*ENROLLMENT_KEYS, *SETTINGS_KEYS))}",
            )
        (entry if key in ENROLLMENT_KEYS else setting)[key] = _value(key, text)
    changed = dict(managed)
    for name in change.images or tuple(managed):
        values = managed[name].model_dump(mode="json", by_alias=True, exclude_defaults=True)
        changed[name] = _checked(Enrollment, {**values, **entry})
    values = settings.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return changed, policy_of(_checked(Settings, {**values, **setting}))


def _value(key: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"not a value for {key}: {text[:80]!r}", hint="write it as in images.yaml") from error


def _checked(model: type[Any], values: Mapping[str, Any]) -> Any:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = ".".join(str(step) for step in problem["loc"])
        raise UserError(
            f"not a value for {key}: {str(problem['input'])[:80]!r}", hint="write it as in images.yaml or config.yaml"
        ) from error


# --- the moves that records do not hold any more -------------------------------------------------------


def earlier_moves(
    bench: Workbench, bases: Mapping[str, BaseState]
) -> tuple[Mapping[str, tuple[DigestUpdate, ...]], tuple[str, ...]]:
    """Return the moves of each base that git's history of the state holds, and what limits them."""
    if not bases:
        return {}, ()
    history = StateHistory.find(bench.root / bench.settings.state_dir / BASE_IMAGES)
    if history is None:
        return {}, ("the state lies in no git repository: only the moves that its files hold are known",)
    notes = []
    found = {}
    lost = 0
    try:
        versions = history.versions()
        if versions.is_cut:
            notes.append("git does not hold the whole history here (a shallow clone?): earlier moves are not known")
        bench.progress.start("reading the history of bases", len(bases))
        try:
            for name, base in bases.items():
                found[name], unread = collect_moves(history.text, versions.by_name.get(name, ()), base)
                lost += unread
                bench.progress.advance(name)
        finally:
            bench.progress.finish()
        if lost:
            notes.append(f"{lost} versions of files could not be read: moves that they alone hold are not known")
    finally:
        history.close()
    return found, tuple(notes)


def collect_moves(
    read: Callable[[str], str | None], versions: Sequence[str], base: BaseState
) -> tuple[tuple[DigestUpdate, ...], int]:
    """Return all moves that the versions of one file hold, and how many versions were needed and cannot be read.

    Each version holds the last moves before it, so most need not be read: they are passed over as long as the
    next one that is read still reaches to what is known.

    Args:
        read: what a version says; None where nobody can tell.
        versions: the newest first.
        base: what the file says now.
    """
    updates = base.history.update_history
    known = {_key(update): update for update in updates}
    window = {_key(update) for update in updates[-MIN_UPDATE_HISTORY:]}
    place, jump, patience, lost = -1, FIRST_JUMP, 0, 0
    while place < len(versions) - 1:
        step = min(jump, len(versions) - 1 - place)
        found = _updates(read(versions[place + step]), base.name)
        is_joined = found is not None and (not found or _key(found[-1]) in window)
        if not is_joined and step > 1:
            jump, patience = step // 2, PATIENCE
            continue
        place += step
        lost += found is None
        patience = max(0, patience - 1)
        if not patience:
            jump = max(step, jump) * 2 if is_joined else FIRST_JUMP
        if found:
            known.update({_key(update): known.get(_key(update), update) for update in found})
            window = {_key(update) for update in found[-MIN_UPDATE_HISTORY:]}
    return tuple(sorted(known.values(), key=lambda update: update.at)), lost


def _key(update: DigestUpdate) -> tuple[datetime, str]:
    return update.at, update.new_digest


def _updates(text: str | None, name: str) -> tuple[DigestUpdate, ...] | None:
    """Return the moves that a version holds; None where it cannot be read."""
    if text is None:
        return None
    try:
        return read_base(text, f"{name}.yaml").history.update_history
    except ImageFactoryError:
        return None


# --- as data -------------------------------------------------------------------------------------------


def replay_to_json(found: Replay) -> dict[str, Any]:
    """Return policies side by side as JSON data; lags in days."""
    return {
        "from": instant(found.begin),
        "until": instant(found.until),
        "moves": found.moves,
        "images": list(found.change.images),
        "change": dict(found.change.values),
        "recorded": tried_to_json(found.recorded),
        "changed": None if found.changed is None else tried_to_json(found.changed),
        "happened": {"count": len(found.happened), "builds": [_build_to_json(build) for build in found.happened]},
        "notes": list(found.notes),
    }


def tried_to_json(tried: Tried) -> dict[str, Any]:
    """Return what a policy came to as JSON data."""
    return {
        "count": len(tried.builds),
        "failed": sum(build.result != "succeeded" for build in tried.builds),
        "buildTime": format_duration(tried.build_time),
        "lag": lag_to_json(tried.lag),
        "images": {name: lag_to_json(lag) for name, lag in tried.lags.items()},
        "builds": [_build_to_json(build) for build in tried.builds],
    }


def lag_to_json(lag: Lag) -> dict[str, Any]:
    """Return a lag as JSON data, in days."""
    return {
        "medianDays": days(lag.median),
        "p90Days": days(lag.p90),
        "maxDays": days(lag.longest),
        "currentShare": round(lag.current_share, 4),
    }


def days(length: timedelta) -> float:
    """Return a length of time in days, to the hundredth."""
    return round(length / timedelta(days=1), 2)


def _build_to_json(build: SimulatedBuild) -> dict[str, Any]:
    return {
        "image": build.image,
        "requestedAt": instant(build.requested_at),
        "finishedAt": instant(build.finished_at),
        "result": build.result,
        "trigger": build.trigger,
        "causes": [cause.model_dump(mode="json", by_alias=True, exclude_none=True) for cause in build.causes],
    }
