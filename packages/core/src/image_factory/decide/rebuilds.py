"""Decide for every image whether a rebuild is to be requested now, and what it waits for otherwise.

The rules that this joins have a file each beside it. Facts go in, frozen; a plan comes out in which
every enrolled managed image has one decision, with its reason and, where it waits, the instant at
which that ends. Linear in images and edges. Pure: the present instant is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from image_factory.decide.concurrency import taken_places, without_place
from image_factory.decide.eligibility import Reason
from image_factory.decide.groups import find_groups, longest_delay, units
from image_factory.decide.holds import active_holds, short
from image_factory.decide.lineage import Lineage, find_lineage
from image_factory.decide.pins import pin_digests
from image_factory.decide.plan import Decision, Facts, Policy, RebuildPlan
from image_factory.decide.priority import Urgency, order
from image_factory.decide.standing import Standing, stand
from image_factory.decide.wait import Wait, instant, listed
from image_factory.decide.waves import Stir, Waves, add_own, join, last_built_at
from image_factory.decide.window import closes_at, last_request_at
from image_factory.model.enrollment import Kind

__all__ = ["Decision", "Facts", "Policy", "RebuildPlan", "decide_rebuilds"]

_IDLE = (Reason.UP_TO_DATE, Reason.OTHER_PLATFORM)
"""What an image is that waits for nothing of its own: it waits for its parents where they are on their way."""

_STOPPED = (Reason.HELD, Reason.FROZEN, Reason.BACKING_OFF, Reason.QUARANTINED, Reason.NEEDS_APPROVAL, Reason.CYCLE)
"""What keeps an image from going with its group."""


def decide_rebuilds(facts: Facts, *, now: datetime) -> RebuildPlan:
    """Return what is to become of each enrolled managed image at `now`."""
    enrolled = {name: one for name, one in sorted(facts.enrollments.items()) if one.kind is Kind.MANAGED}
    holds = active_holds(facts.holds, now)
    lineage = find_lineage(enrolled, facts.images, facts.bases)
    groups = find_groups(enrolled)
    delays = {}
    for members in groups.values():
        delays.update(dict.fromkeys(members, longest_delay(members, enrolled)))
    standings = {
        name: stand(facts, enrollment, holds=holds, cycle=lineage.cycles.get(name), delay=delays.get(name), now=now)
        for name, enrollment in enrolled.items()
    }
    closes = _windows(facts, standings, groups, now)
    waits, above = _join(standings, closes, lineage, groups, now)
    priorities = _priorities(standings, lineage)
    due = [name for name in priorities if name in waits and waits[name] is None and enrolled[name].auto_rebuild]
    taken = taken_places(facts.requests.values())
    for name in without_place(due, taken, facts.policy.max_concurrent):
        told = f"no place is free: at most {facts.policy.max_concurrent} rebuilds may be under way at once"
        waits[name] = Wait(Reason.WAITS_FOR_PLACE, told, None, taken or tuple(due[: facts.policy.max_concurrent]))
    places = {name: place for place, name in enumerate(priorities)}
    wave = _waves(facts, standings, waits, above, lineage)
    left_out = {group: _left_out(members, standings, waits) for group, members in groups.items()}
    return RebuildPlan(
        {
            name: _decision(one, waits[name], wave[name], places[name], left_out.get(one.enrollment.group or "", ""))
            for name, one in standings.items()
        }
    )


def _left_out(members: Iterable[str], standings: Mapping[str, Standing], waits: Mapping[str, Wait | None]) -> str:
    """Return what is said of the images of a group that the others go on without, or nothing."""
    stopped = []
    for name in members:
        wait = waits[name]
        if wait is not None and wait.reason in _STOPPED:
            stopped.append(f"{name} ({wait.reason})")
        elif wait is None and not standings[name].enrollment.auto_rebuild:
            stopped.append(f"{name} ({Reason.NEEDS_APPROVAL})")
    return f"; without {listed(stopped)}" if stopped else ""


def _windows(
    facts: Facts, standings: Mapping[str, Standing], groups: Mapping[str, tuple[str, ...]], now: datetime
) -> dict[str, datetime]:
    """Return when the window of each image closes that may be requested then; a group has one."""
    closes = {}
    for name, one in standings.items():
        if one.is_ready and one.opens_at is not None:
            builds = one.image.history.rebuild_history if one.image is not None else ()
            last = last_request_at(facts.requests.get(name), builds, now)
            closes[name] = (one.opens_at, last)
    for members in groups.values():
        ready = [closes[name] for name in members if name in closes]
        if ready:
            lasts = [last for _, last in ready if last is not None]
            shared = (min(opens_at for opens_at, _ in ready), max(lasts, default=None))
            closes.update({name: shared for name in members if name in closes})
    return {
        name: closes_at(opens_at, facts.policy.window, last_request_at=last)
        for name, (opens_at, last) in closes.items()
    }


def _join(
    standings: Mapping[str, Standing],
    closes: Mapping[str, datetime],
    lineage: Lineage,
    groups: Mapping[str, tuple[str, ...]],
    now: datetime,
) -> tuple[dict[str, Wait | None], dict[str, Stir | None]]:
    """Return what each image waits for, its group and parents included, and what is on its way above each."""
    waits = {name: one.wait for name, one in standings.items()}
    above: dict[str, Stir | None] = {}
    stirs: dict[str, Stir | None] = {}
    for names, are_together in units(lineage, groups):
        for name in names:
            above[name] = join((parent, stirs[parent]) for parent in lineage.parents[name])
            waits[name] = _wait_for_parents(standings[name], above[name], closes.get(name), now)
            if not are_together:
                stirs[name] = _stir(standings[name], waits[name], above[name])
        if are_together:
            waits.update(_wait_for_group(names, standings, waits, above, closes))
            stirs.update({name: _stir(standings[name], waits[name], above[name]) for name in names})
    return waits, above


def _wait_for_parents(one: Standing, above: Stir | None, closes: datetime | None, now: datetime) -> Wait | None:
    if one.wait is not None:
        return above.wait() if above is not None and one.wait.reason in _IDLE else one.wait
    if above is not None and above.holds(closes):
        return above.wait()
    if closes is not None and now < closes:
        assert one.opens_at is not None
        told = f"its window opened at {instant(one.opens_at)}, so that further causes can join"
        return Wait(Reason.COORDINATING, told, closes)
    return None


def _wait_for_group(
    names: tuple[str, ...],
    standings: Mapping[str, Standing],
    waits: Mapping[str, Wait | None],
    above: Mapping[str, Stir | None],
    closes: Mapping[str, datetime],
) -> dict[str, Wait | None]:
    """Return the waits of those that are due for images of their group that are nearly."""
    due = [name for name in names if waits[name] is None]
    if not due:
        return {}
    slow = []
    for name in names:
        one, stir, wait = standings[name], above[name], waits[name]
        if wait is None:
            continue
        waits_for_parent = wait.reason is Reason.WAITS_FOR_PARENT and one.enrollment.auto_rebuild
        is_building = one.is_on_its_way and one.has_further_causes
        if is_building or (waits_for_parent and stir is not None and stir.holds(closes[due[0]])):
            slow.append(name)
    if not slow:
        return {}
    group = standings[due[0]].enrollment.group
    told = f"the images of group {group} are rebuilt together, and {listed(slow)} cannot be yet"
    return {name: Wait(Reason.WAITS_FOR_GROUP, told, None, tuple(slow)) for name in due}


def _stir(one: Standing, wait: Wait | None, above: Stir | None) -> Stir | None:
    """Return what is on its way at and above an image, for those that are built on it."""
    if one.image is None:
        return None
    if one.is_on_its_way and one.request is not None:
        opened_at = min(one.opens_at or one.request.requested_at, one.request.requested_at)
        return add_own(one.name, above, opened_at, last_built_at(one.image))
    if not one.enrollment.auto_rebuild:
        return None
    if one.is_ready and one.opens_at is not None:
        return add_own(one.name, above, one.opens_at, last_built_at(one.image))
    if above is None or wait is None:
        return None
    if wait.reason is Reason.WAITS_FOR_PARENT:
        return Stir(above.opened_at, above.built_at, (one.name,))
    return above if wait.reason is Reason.COOLING_DOWN else None


def _priorities(standings: Mapping[str, Standing], lineage: Lineage) -> list[str]:
    return order(
        [
            Urgency(
                name,
                one.request is not None and one.request.emergency is not None,
                one.enrollment.criticality,
                lineage.depth.get(name, 0),
                one.request.requested_at if one.request is not None else one.opens_at,
            )
            for name, one in standings.items()
        ]
    )


def _waves(
    facts: Facts,
    standings: Mapping[str, Standing],
    waits: Mapping[str, Wait | None],
    above: Mapping[str, Stir | None],
    lineage: Lineage,
) -> dict[str, int]:
    managed = {name: name for name in facts.images}
    managed.update(
        {name: base.configuration.managed_by for name, base in facts.bases.items() if base.configuration.managed_by}
    )
    waves = Waves(facts.images, managed)
    found: dict[str, int] = {}
    for name in sorted(standings, key=lambda each: (lineage.depth.get(each, 0), each)):
        one, wait, stir = standings[name], waits[name], above.get(name)
        found[name] = one.request.wave if one.request is not None else waves.wave(one.moves)
        if wait is not None and wait.reason is Reason.WAITS_FOR_PARENT and stir is not None:
            found[name] = max(found[name], *(found[parent] + 1 for parent in stir.by))
    return found


def _decision(one: Standing, wait: Wait | None, wave: int, priority: int, left_out: str) -> Decision:
    if wait is None:
        reason = Reason.DUE if one.enrollment.auto_rebuild else Reason.NEEDS_APPROVAL
        wait = Wait(reason, _evidence(one) + (left_out if one.enrollment.auto_rebuild else ""))
    eligible = [cause.eligibility.eligible_at for cause in one.causes if cause.eligibility.eligible_at is not None]
    is_open = one.request is not None
    digests = one.request.digests if one.request is not None else ()
    if not is_open and one.image is not None and any(cause.is_due for cause in one.causes):
        digests = pin_digests(one.image, one.causes)
    return Decision(
        one.name,
        wait.reason,
        wait.because,
        wait.until,
        one.moves,
        digests,
        wait.blocked_by,
        wave,
        priority,
        one.opens_at or min(eligible, default=None),
        one.request.inputs if one.request is not None else one.inputs,
        one.request.request_id if one.request is not None else None,
    )


def _evidence(one: Standing) -> str:
    """Return why a rebuild is due: what is new, and since when it may be taken."""
    parts = []
    for cause in one.causes:
        found = cause.eligibility
        if cause.is_due and found.digest is not None and found.eligible_at is not None:
            verb = "was rebuilt as" if cause.is_managed else "moved to"
            parts.append(f"{cause.base} {verb} {short(found.digest)}, eligible since {instant(found.eligible_at)}")
    approval = "" if one.enrollment.auto_rebuild else "; autoRebuild is false, so that a person starts it"
    more = f" and {len(parts) - 3} more" if len(parts) > 3 else ""
    return "; ".join(parts[:3]) + more + approval
