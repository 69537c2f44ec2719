"""Say of one image what it is, what it waits for and why, in sentences: reads, never asks."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from image_factory.decide.absorption import built_in
from image_factory.decide.eligibility import Reason
from image_factory.model.duration import format_duration
from image_factory.model.enrollment import Kind
from image_factory.model.image_state import BaseState
from image_factory.usecases.observe import short_digest
from image_factory.usecases.status import Cause, ImageStatus, Status, find_image, instant, problem_of


def explain(status: Status, name: str, now: datetime) -> list[str]:
    """Return the sentences about the image or base image of that name.

    Raises:
        NotFound: there is none.
    """
    found = find_image(status, name)
    if isinstance(found, BaseState):
        return _explain_base(found, status, now)
    return _explain_image(found, status, now)


def _explain_image(image: ImageStatus, status: Status, now: datetime) -> list[str]:
    state = image.state
    policy = state.configuration.enrollment
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
    mode = "each digest ages on its own" if policy.delay_mode == "aged" else "counted from the first change"
    delay = format_duration(policy.rebuild_delay)
    lines.append(f"A change of a base is taken in after {delay} ({policy.delay_mode}: {mode}).")
    lines += [_explain_cause(cause, now) for cause in image.causes]
    lines += [f"  {name}: cannot be told: {problem_of(status, name) or 'it has no state file'}." for name in lost]
    lines += [f"  {name}: the built target does not reach it." for name in _unreached(image)]
    lines.append("Whether it is up to date cannot be told." if lost and _is_calm(image) else _verdict(image, now))
    return lines


def _is_calm(image: ImageStatus) -> bool:
    return image.rebuild is Reason.UP_TO_DATE


def _explain_cause(cause: Cause, now: datetime) -> str:
    eligibility = cause.eligibility
    if eligibility.reason is Reason.UP_TO_DATE:
        digest = f" ({short_digest(cause.current)})" if cause.current else ": it was not observed yet"
        return f"  {cause.base}: nothing new{digest}."
    move = (
        f"{short_digest(cause.absorbed) if cause.absorbed else 'unknown'} -> {short_digest(eligibility.digest or '')}"
    )
    seen = f"first seen {instant(eligibility.seen_at)}"
    if eligibility.reason is Reason.COOLING_DOWN:
        assert eligibility.eligible_at is not None
        wait = _wait(eligibility.eligible_at, now)
        return f"  {cause.base}: {move}, {seen}; eligible {instant(eligibility.eligible_at)}, in {wait}."
    return f"  {cause.base}: {move}, {seen}; eligible since {instant(eligibility.eligible_at)}."


def _unreached(image: ImageStatus) -> list[str]:
    configuration = image.state.configuration
    return sorted({*configuration.base_images, *configuration.secondary_images} - set(built_in(image.state)))


def _verdict(image: ImageStatus, now: datetime) -> str:
    match image.rebuild:
        case Reason.UNKNOWN:
            return "What it is built on is not known, so nothing can be said of a rebuild."
        case Reason.UP_TO_DATE:
            return "It is up to date: nothing waits."
        case Reason.COOLING_DOWN:
            assert image.eligible_at is not None
            wait = _wait(image.eligible_at, now)
            return f"It would be rebuilt from {instant(image.eligible_at)} on, in {wait}: it is cooling down."
        case Reason.NEEDS_APPROVAL:
            return "A rebuild is due, and waits for a person: autoRebuild is false."
        case _:
            return "A rebuild is due."


def _explain_base(base: BaseState, status: Status, now: datetime) -> list[str]:
    configuration, runtime = base.configuration, base.runtime
    lines = [f"{base.name} is a base image, {configuration.full_image}."]
    if configuration.pinned:
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
    dependents = status.dependents.get(base.name, ())
    lines.append(f"Built on it: {', '.join(dependents) or 'nothing'}.")
    for name in dependents:
        for cause in status.images[name].causes:
            if cause.base == base.name and cause.eligibility.reason is not Reason.UP_TO_DATE:
                lines.append(f"  {name}: {cause.eligibility.reason}, from {instant(cause.eligibility.eligible_at)} on.")
    return lines


def _wait(until: datetime, now: datetime) -> str:
    """Return the time left, to the minute, rounded up: nobody waits for seconds."""
    minutes = max(0, math.ceil((until - now) / timedelta(minutes=1)))
    return format_duration(timedelta(minutes=minutes))


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"
