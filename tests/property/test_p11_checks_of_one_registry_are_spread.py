"""P11: Warehouses of one registry look at different times, and a new member moves none; an excess is told."""

from __future__ import annotations

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


@st.composite
def images(draw: st.DrawFn) -> list[ManagedImage | WatchedImage]:
    names = draw(
        st.lists(st.from_regex(r"[a-z][a-z0-9-]{0,20}[a-z0-9]", fullmatch=True), unique=True, min_size=20, max_size=40)
    )
    made: list[ManagedImage | WatchedImage] = []
    for number, name in enumerate(names):
        repo_url = f"{draw(st.sampled_from(REGISTRIES))}/acme/{name.replace('--', '-')}".rstrip("-")
        # In order of age, the last the youngest; one that was enrolled a moment ago has no state yet.
        since = None if number == len(names) - 1 else FIRST + timedelta(seconds=number)
        if draw(st.booleans()):
            made.append(ManagedImage(name=name, repo_url="ghcr.io/acme/a", known_since=since))
        else:
            role = draw(st.sampled_from([Role.BASE, Role.EXTERNAL]))
            made.append(
                WatchedImage(
                    name=name, role=role, repo_url=repo_url.replace("--", "-"), allow_tags="^1$", known_since=since
                )
            )
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


@settings(deadline=None)
@given(members=images(), budget=st.integers(0, 2_000))
def test_p11_checks_are_spread_stable_and_within_the_budget_or_told(
    members: list[ManagedImage | WatchedImage], budget: int
) -> None:
    whole = plan(members)
    before = plan(members[:-1])

    times = [(check.registry, whole.intervals[check.name]) for check in whole.checks]
    assert len(set(times)) == len(times), "two of one registry look at one time"
    assert plan(members[::-1]).intervals == whole.intervals, "the order of the members counts"
    assert before.intervals.items() <= whole.intervals.items(), "a new member moved another"
    for of in traffic(whole.checks, whole.intervals, dict.fromkeys(REGISTRIES, Budget(budget, "a test"))):
        asked = sum(
            check.requests * (timedelta(days=1) / whole.intervals[check.name])
            for check in whole.checks
            if check.registry == of.registry
        )
        assert of.excess == pytest.approx(max(0.0, asked - budget))
