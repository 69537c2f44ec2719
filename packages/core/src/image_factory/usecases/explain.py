"""Say of one image what it is, what it waits for and why, in sentences: reads, never asks.

Every sentence about a rebuild is a rendering of the decision that `run` would make now.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from image_factory.decide.absorption import built_in
from image_factory.decide.causes import input_named
from image_factory.decide.consumers import shown_version
from image_factory.decide.eligibility import Reason
from image_factory.decide.freezes import frozen
from image_factory.decide.groups import find_groups, longest_delay
from image_factory.decide.holds import active_holds
from image_factory.decide.plan import Decision
from image_factory.model.duration import format_duration
from image_factory.model.enrollment import Kind
from image_factory.model.image_state import BaseState, Build
from image_factory.model.request import RebuildRequest, RequestStatus
from image_factory.usecases.observe import short_digest
from image_factory.usecases.status import (
    Cause,
    ImageStatus,
    Standing,
    Status,
    base_to_json,
    find_image,
    instant,
    problem_of,
    to_json,
)

SHOWN_BUILDS = 3
"""The last rebuilds that are told; `history` tells all."""


_STANDS = {
    Reason.WAITS_FOR_PARENT: "It waits for what it is built on",
    Reason.WAITS_FOR_GROUP: "It waits for its group",
    Reason.WAITS_FOR_PLACE: "It waits for a place",
    Reason.BACKING_OFF: "It is backing off",
    Reason.UNDER_WAY: "Its rebuild is under way",
    Reason.REQUESTED: "Its rebuild is requested",
    Reason.CYCLE: "It cannot be rebuilt",
}
"""How a sentence begins, where it does not begin with what the reason is called."""


def explain(status: Status, name: str, now: datetime) -> list[str]:
    """Return the sentences about the image or base image of that name.

    Raises:
        NotFound: there is none.
    """
    found = find_image(status, name)
    if isinstance(found, BaseState):
        return _explain_base(found, status, now)
    return _explain_image(found, status, now)


def explanation_to_json(status: Status, name: str, now: datetime) -> dict[str, Any]:
    """Return the sentences about an image, and the data behind them, as JSON data; raises what `explain` raises."""
    found = find_image(status, name)
    lines = explain(status, name, now)
    if isinstance(found, BaseState):
        state = base_to_json(found, status.dependents.get(name, ()))
        return {"name": name, "kind": "base", "sentences": lines, "state": state}
    state = to_json(found)
    told: dict[str, Any] = {"name": name, "kind": state["kind"], "sentences": lines, "state": state}
    decision = found.decision
    if decision is None:
        return told
    runtime = found.state.runtime
    return told | {
        "current": {"version": runtime.current_version, "digest": runtime.current_digest},
        "candidate": {
            "causes": [cause.model_dump(mode="json", by_alias=True, exclude_none=True) for cause in decision.causes],
            "digests": [pinned.model_dump(mode="json", by_alias=True) for pinned in decision.digests],
        },
        "rule": {"reason": str(decision.reason), "because": decision.because},
        "evidence": state["rebuild"]["causes"],
        "nextAt": instant(decision.until),
        "blockedBy": [_blocker_to_json(status, blocker) for blocker in decision.blocked_by],
        "builds": state["history"].get("rebuildHistory", [])[-SHOWN_BUILDS:],
    }


def _blocker_to_json(status: Status, name: str) -> dict[str, Any]:
    decision = status.plan.decisions.get(name)
    if decision is None:
        return {"name": name}
    return {
        "name": name,
        "reason": str(decision.reason),
        "because": decision.because,
        "until": instant(decision.until),
        "blockedBy": list(decision.blocked_by),
    }


# --- images --------------------------------------------------------------------------------------------


def _explain_image(image: ImageStatus, status: Status, now: datetime) -> list[str]:
    state = image.state
    policy = image.enrollment or state.configuration.enrollment
    lines = [f"{state.name} is {_article(state.kind)} {state.kind} image, {policy.image}."]
    runtime = state.runtime
    if runtime.current_version or runtime.current_digest:
        digest = f" at {short_digest(runtime.current_digest)}" if runtime.current_digest else ""
        built = f", built {instant(runtime.last_built)}" if runtime.last_built else ""
        lines.append(f"Its current version is {runtime.current_version or 'unknown'}{digest}{built}.")
    else:
        lines.append("Its current version is not known yet.")
    if state.kind is Kind.EXTERNAL:
        lines.append("It is watched, not built.")
        return lines
    if runtime.discovery_error:
        lines.append(f"Its Dockerfile could not be read whole: {runtime.discovery_error}.")
    if not state.configuration.base_images:
        lines.append("No base image of it is known.")
    lost = sorted(set(built_in(state)) - status.bases.keys() - status.images.keys() - set(status.unanalyzed))
    lines.append(_rule(image, status))
    lines += [_explain_cause(cause, now) for cause in image.causes]
    lines += [f"  {name}: cannot be told: {problem_of(status, name) or 'it has no state file'}." for name in lost]
    lines += [f"  {name}: the built target does not reach it." for name in _unreached(image)]
    lines += _candidate(image)
    lines += _stopped(image, status, now)
    lines += _verdict(image, status, now)
    if image.request is not None:
        lines.append(_request(image.request))
    lines += _builds(image)
    lines += [_consumer(one) for one in image.consumers]
    return lines


def _rule(image: ImageStatus, status: Status) -> str:
    policy = image.enrollment or image.state.configuration.enrollment
    mode = "each digest ages on its own" if policy.delay_mode == "aged" else "counted from the first change"
    delay, whose = policy.rebuild_delay, ""
    enrollments = {} if status.facts is None else status.facts.enrollments
    members = find_groups(enrollments).get(policy.group or "", ())
    if image.state.name in members:
        delay, slowest = longest_delay(members, enrollments)
        others = ", ".join(name for name in members if name != image.state.name) or "no other"
        whose = f"; the longest delay of group {policy.group} is that of {slowest}, and it is rebuilt with {others}"
    return f"A change of a base is taken in after {format_duration(delay)} ({policy.delay_mode}: {mode}){whose}."


def _explain_cause(cause: Cause, now: datetime) -> str:
    eligibility = cause.eligibility
    if eligibility.reason is Reason.UP_TO_DATE:
        digest = f" ({short_digest(cause.current)})" if cause.current else ": it was not observed yet"
        return f"  {cause.base}: nothing new{digest}."
    if eligibility.reason is Reason.OTHER_PLATFORM:
        return f"  {cause.base}: moved on no platform that is built."
    move = (
        f"{short_digest(cause.absorbed) if cause.absorbed else 'unknown'} -> {short_digest(eligibility.digest or '')}"
    )
    seen = f"first seen {instant(eligibility.seen_at)}"
    at = eligibility.eligible_at
    if eligibility.reason is Reason.HELD:
        return f"  {cause.base}: {move}, {seen}; held{f' until {instant(at)}' if at else ''}."
    if eligibility.reason is Reason.COOLING_DOWN and at is not None:
        return f"  {cause.base}: {move}, {seen}; eligible {instant(at)}, in {_wait(at, now)}."
    newer = f"; newer ones are eligible from {instant(cause.upcoming[0])} on" if cause.upcoming else ""
    return f"  {cause.base}: {move}, {seen}; eligible since {instant(at)}{newer}."


def _unreached(image: ImageStatus) -> list[str]:
    configuration = image.state.configuration
    return sorted({*configuration.base_images, *configuration.secondary_images} - set(built_in(image.state)))


def _candidate(image: ImageStatus) -> list[str]:
    decision = image.decision
    if decision is None or not decision.causes:
        return []
    held = {cause.eligibility.digest for cause in image.causes if cause.eligibility.reason is Reason.HELD}
    found = [cause for cause in decision.causes if decision.request_id is not None or cause.to not in held]
    if not found:
        return []  # nothing is built with a digest that is held
    taken = ", ".join(f"{cause.base} {short_digest(cause.to)}" for cause in found)
    if decision.request_id is not None:
        return [f"Its open request takes {taken}."]
    pinned = {cause.to for cause in decision.causes}
    kept = [f"{one.reference} {short_digest(one.digest)}" for one in decision.digests if one.digest not in pinned]
    also = f"; it keeps {', '.join(kept)}" if kept else ""
    return [f"A rebuild takes {taken}{also}."]


def _stopped(image: ImageStatus, status: Status, now: datetime) -> Iterator[str]:
    """Yield the holds and freezes that concern an image, whether or not they are what it waits for."""
    if status.facts is None:
        return
    holds = active_holds(status.facts.holds, now)
    found = [holds.image(image.state.name), frozen(image.state.name, status.facts.policy.freezes, now)]
    for cause in image.causes:
        digests = dict.fromkeys((cause.absorbed, cause.current, cause.eligibility.digest))
        found += [holds.digest(digest, cause.base) for digest in digests if digest]
    deciding = image.decision.because if image.decision is not None else ""
    for wait in dict.fromkeys(one for one in found if one is not None):
        if wait.because not in deciding:
            yield f"{_sentence(wait.because)}."


def _verdict(image: ImageStatus, status: Status, now: datetime) -> Iterator[str]:
    decision = image.decision
    if decision is None:
        return
    why = decision.because
    in_ = "" if decision.until is None else f", in {_wait(decision.until, now)}"
    until = "" if decision.until is None else f" until {instant(decision.until)}{in_}"
    match decision.reason:
        case Reason.UNKNOWN:
            yield f"Just now nothing can be said of a rebuild: {why}."
        case Reason.UP_TO_DATE:
            yield "It is up to date: nothing waits."
        case Reason.OTHER_PLATFORM:
            yield f"It is up to date: {why}."
        case Reason.COOLING_DOWN:
            yield f"It would be rebuilt from {instant(decision.until)} on{in_}: it is cooling down."
        case Reason.NEEDS_APPROVAL if decision.request_id is None:
            yield "A rebuild is due, and waits for a person: autoRebuild is false."
        case Reason.NEEDS_APPROVAL:
            in_kargo = "" if _starts_builds(status) else "promotes its rebuild-trigger stage in Kargo, or "
            yield f"It waits for a person, who {in_kargo}approves it with: image-factory rebuild {decision.image}."
        case Reason.DUE:
            yield "A rebuild is due."
        case Reason.COORDINATING:
            yield f"A rebuild is due, and its window is open{until}: {why}."
        case _:
            yield f"{_STANDS.get(decision.reason, f'It is {decision.reason}')}{until}: {why}."
    yield from _blockers(decision, status)


def _starts_builds(status: Status) -> bool:
    return status.facts is None or status.facts.policy.starts_builds


def _blockers(decision: Decision, status: Status) -> Iterator[str]:
    """Yield what each image waits for that this one waits for."""
    for name in decision.blocked_by:
        other = status.plan.decisions.get(name)
        if other is not None and name != decision.image:
            until = f" until {instant(other.until)}" if other.until else ""
            blocked = f" (by {', '.join(other.blocked_by)})" if other.blocked_by and not other.request_id else ""
            yield f"  blocked by {name}, {_which(other.reason)}{until}{blocked}: {other.because}."


def _which(reason: Reason) -> str:
    """Return how another image stands, as a part of a sentence about this one."""
    subject, _, rest = _STANDS.get(reason, f"It is {reason}").partition(" ")
    return f"{'whose' if subject == 'Its' else 'which'} {rest}"


def _request(request: RebuildRequest) -> str:
    parts = [f"Request {request.request_id}, of {instant(request.requested_at)}, {_status_words(request)}"]
    if request.emergency is not None:
        parts.append(f"emergency {request.emergency.cve} by {request.emergency.actor}: {request.emergency.reason}")
    dispatch = request.dispatch
    if dispatch is not None and dispatch.run_id is not None:
        parts.append(f"run {dispatch.run_id}{f' ({dispatch.url})' if dispatch.url else ''}")
    if dispatch is not None and dispatch.error is not None and request.status.is_open:
        parts.append(f"attempt {dispatch.attempt} failed: {dispatch.error}")
    if request.problem:
        parts.append(request.problem)
    return f"{'; '.join(parts)}."


def _status_words(request: RebuildRequest) -> str:
    if request.status is RequestStatus.NEEDS_APPROVAL:
        return "waits for approval"
    if not request.status.is_open:
        ended = f" at {instant(request.finished_at)}" if request.finished_at else ""
        return f"{request.status}{ended}"
    return f"is {request.status}"


def _builds(image: ImageStatus) -> Iterator[str]:
    builds = image.state.history.rebuild_history[-SHOWN_BUILDS:]
    if builds:
        yield "Its last rebuilds:"
    for build in reversed(builds):
        yield f"  {build_words(build)}."


def build_words(build: Build) -> str:
    """Return one rebuild in a line: when, how it ended, what it brought, why and where."""
    parts = [f"{instant(build.at)} {build.result}"]
    if build.cve:
        parts.append(f"emergency {build.cve}")
    if build.digest or build.version:
        parts.append(f"as {shown_version(build.version, build.digest)}")
    causes = ", ".join(f"{cause.get('base')} {short_digest(str(cause.get('to') or ''))}" for cause in build.causes)
    parts.append(f"for {causes}" if causes else build.reason)
    if build.problem:
        parts.append(build.problem)
    if build.url or build.run_id:
        parts.append(str(build.url or f"run {build.run_id}"))
    return ", ".join(parts)


def _consumer(standing: Standing) -> str:
    entry, known = standing.entry, standing.known
    where = f"{entry.repo} {entry.path} ({entry.branch})"
    if known is None:
        return f"Consumer {where}: no version was carried to it yet."
    at = f" at {instant(known.at)}"
    why = f": {known.problem}" if known.problem else ""
    link = f", {known.url}" if known.url else ""
    return f"Consumer {where}: {known.status} {shown_version(known.version, known.digest)}{at}{link}{why}."


# --- base images ---------------------------------------------------------------------------------------


def _explain_base(base: BaseState, status: Status, now: datetime) -> list[str]:
    configuration, runtime = base.configuration, base.runtime
    lines = [f"{base.name} is a base image, {configuration.full_image}."]
    if configuration.managed_by:
        lines.append(f"{configuration.managed_by} publishes it: what is built on it counts that image's own digests.")
    elif configuration.pinned:
        lines.append("It is pinned by its digest: nothing about it can move.")
    elif runtime.current_digest is None:
        lines.append("It was not observed yet.")
    else:
        lines.append(f"It points at {short_digest(runtime.current_digest)} since {instant(runtime.last_updated)}.")
    if runtime.problem:
        lines.append(f"It cannot be watched just now: {runtime.problem}.")
    for update in base.history.update_history[-3:]:
        before = short_digest(update.old_digest) if update.old_digest else "nothing known"
        lines.append(f"  {instant(update.at)}: {before} -> {short_digest(update.new_digest)}")
    if status.facts is not None:
        holds = active_holds(status.facts.holds, now)
        held = [holds.digest(update.new_digest, base.name) for update in base.history.update_history]
        lines += [f"{_sentence(wait.because)}." for wait in dict.fromkeys(each for each in held if each is not None)]
    dependents = status.dependents.get(base.name, ())
    lines.append(f"Built on it: {', '.join(dependents) or 'nothing'}.")
    source = input_named(base.name, status.bases, {name: one.state for name, one in status.images.items()})
    cause_name = source.name if source is not None else base.name
    for name in dependents:
        image = status.images[name]
        for cause in image.causes:
            if cause.base in (base.name, cause_name) and cause.eligibility.reason is not Reason.UP_TO_DATE:
                at = cause.eligibility.eligible_at
                from_ = f", from {instant(at)} on" if at is not None else ""
                lines.append(f"  {name}: {image.rebuild}{from_}.")
    return lines


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _wait(until: datetime, now: datetime) -> str:
    """Return the time left, to the minute, rounded up: nobody waits for seconds."""
    minutes = max(0, math.ceil((until - now) / timedelta(minutes=1)))
    return format_duration(timedelta(minutes=minutes))


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"
