"""P11: Warehouses of one registry look at different times, and a new member moves none; an excess is told."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("image_factory_synth", reason="image-factory-synth is not installed")

from image_factory.model.settings import KargoSettings
from image_factory_synth.data import Inventory, ManagedImage, Role, WatchedImage
from image_factory_synth.schedule import Budget, traffic
from image_factory_synth.versions import KargoVersion
from image_factory_synth.warehouses import Planned, plan_warehouses

REGISTRIES = ("docker.io", "ghcr.io", "quay.io")
V11 = KargoVersion(1, 11)
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
KEPT = {"Digest": 0}
"""Tags that a strategy gets one by one, where it lists them first; what is not here gets `discoveryLimit` of them."""


@st.composite
def images(draw: st.DrawFn) -> list[ManagedImage | WatchedImage]:
    names = draw(
        st.lists(st.from_regex(r"[a-z][a-z0-9-]{0,20}[a-z0-9]", fullmatch=True), unique=True, min_size=20, max_size=40)
    )
    made: list[ManagedImage | WatchedImage] = []
    for number, name in enumerate(names):
        repo_url = f"{draw(st.sampled_from(REGISTRIES))}/acme/image-{number}"
        # In order of age, the last the youngest; one that was enrolled a moment ago has no state yet.
        since = None if number == len(names) - 1 else FIRST + timedelta(seconds=number)
        if draw(st.booleans()):
            version = draw(st.sampled_from([None, "1.2.3"]))
            made.append(ManagedImage(name=name, repo_url=repo_url, known_since=since, current_version=version))
        else:
            role = draw(st.sampled_from([Role.BASE, Role.EXTERNAL]))
            allowed = draw(st.sampled_from(["^1$", "^1"]))
            made.append(WatchedImage(name=name, role=role, repo_url=repo_url, allow_tags=allowed, known_since=since))
    return made


def plan(members: list[ManagedImage | WatchedImage]) -> Planned:
    return plan_warehouses(
        Inventory(
            tuple(image for image in members if isinstance(image, ManagedImage)),
            tuple(image for image in members if isinstance(image, WatchedImage)),
        ),
        KargoSettings(),
        V11,
    )


def interval(text: str) -> timedelta:
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:([\d.]+)s)?", text)
    assert found is not None
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def busiest_day(planned: Planned) -> Counter[str]:
    """Let Kargo look at each registry, from the day on which all was applied at once, and count by what is written."""
    asked: Counter[str] = Counter()
    for _, warehouse in planned.warehouses:
        (subscription,) = (item["image"] for item in warehouse["spec"]["subscriptions"])
        wait = interval(warehouse["spec"]["interval"])
        looks, at = 0, timedelta()
        while at < DAY:
            looks, at = looks + 1, at + wait
        cost = 1 + KEPT.get(subscription["imageSelectionStrategy"], subscription["discoveryLimit"])
        asked[subscription["repoURL"].partition("/")[0]] += looks * cost
    return asked


@settings(deadline=None)
@given(members=images(), budget=st.integers(0, 20_000))
def test_p11_checks_are_spread_stable_and_within_the_budget_or_told(
    members: list[ManagedImage | WatchedImage], budget: int
) -> None:
    whole = plan(members)
    before = plan(members[:-1])

    times = [
        (warehouse["spec"]["subscriptions"][0]["image"]["repoURL"].partition("/")[0], warehouse["spec"]["interval"])
        for _, warehouse in whole.warehouses
    ]
    assert len(times) == len(members)
    assert len(set(times)) == len(times), "two of one registry look at one time"
    assert plan(members[::-1]).intervals == whole.intervals, "the order of the members counts"
    assert before.intervals.items() <= whole.intervals.items(), "a new member moved another"
    told = {
        of.registry: of for of in traffic(whole.checks, whole.intervals, dict.fromkeys(REGISTRIES, Budget(budget, "a")))
    }
    asked = busiest_day(whole)
    assert {registry: of.requests_per_day for registry, of in told.items()} == asked
    for registry, requests in asked.items():
        assert told[registry].excess == max(0, requests - budget), "more is asked than was told"
