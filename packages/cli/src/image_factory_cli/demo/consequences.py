"""What follows from a base image that moved: who would be rebuilt, because of what, and when. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from image_factory.model.duration import format_duration

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Consequence:
    """One image that waits for a rebuild."""

    image: str
    because: str
    delay: str
    when: str


def consequences(status: Json, graph: Json, before: Mapping[str, str], now: datetime) -> list[Consequence]:
    """Return what waits now and did not before, the soonest first; then what is built on those.

    Args:
        status: what `image-factory status --json` writes; `graph` likewise.
        before: image → what its rebuild's status was before the base moved.
    """
    images = {image["name"]: image for image in status["images"]}
    found = [
        _direct(image, now)
        for image in sorted(images.values(), key=lambda one: one["rebuild"]["eligibleAt"] or "")
        if image["rebuild"]["eligibleAt"] and image["rebuild"]["status"] != before.get(image["name"])
    ]
    waiting = [one.image for one in found]
    dependents: dict[str, Sequence[str]] = {node["name"]: node["dependents"] for node in graph["nodes"]}
    for name in waiting:  # grows as it is walked: a cascade has as many waves as it has
        for child in dependents.get(name, ()):
            if child not in waiting and child in images:
                waiting.append(child)
                found.append(
                    Consequence(child, name, _delay(images[child]), f"once {name} is rebuilt, and after its delay")
                )
    return found


def longest_chain(graph: Json) -> list[str]:
    """Return the names along the longest way from a base to what is built on it; the first by name of several."""
    dependents: dict[str, Sequence[str]] = {node["name"]: node["dependents"] for node in graph["nodes"]}
    chains: dict[str, list[str]] = {}

    def chain(name: str) -> list[str]:
        if name not in chains:
            tails = [chain(child) for child in sorted(dependents.get(name, ()))]
            chains[name] = [name, *max(tails, key=len, default=[])]
        return chains[name]

    return max((chain(name) for name in sorted(dependents)), key=len, default=[])


def _direct(image: Json, now: datetime) -> Consequence:
    rebuild = image["rebuild"]
    causes = [cause["base"] for cause in rebuild["causes"] if cause["eligibleAt"]]
    at = datetime.fromisoformat(rebuild["eligibleAt"]).astimezone(UTC)
    # To the minute: a demo takes seconds, and 23h59m56s says no more than 24h.
    wait = format_duration(timedelta(minutes=round((at - now) / timedelta(minutes=1))))
    return Consequence(image["name"], ", ".join(causes), _delay(image), f"{at:%a %d %b %H:%M} UTC, in {wait}")


def _delay(image: Json) -> str:
    delay = image["configuration"]["enrollment"].get("rebuildDelay", "7d")
    return str(delay)
