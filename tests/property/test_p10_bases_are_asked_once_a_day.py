"""P10: every Warehouse of a base or external image has an interval of 24 hours or longer."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

pytest.importorskip("image_factory_synth", reason="image-factory-synth is not installed")

from image_factory.model.enrollment import SelectionStrategy
from image_factory.model.settings import KargoSettings
from image_factory_synth.data import Inventory, Role, WatchedImage
from image_factory_synth.versions import KargoVersion
from image_factory_synth.warehouses import plan_warehouses

NAMES = st.lists(st.from_regex(r"[a-z][a-z0-9-]{0,20}[a-z0-9]", fullmatch=True), unique=True, min_size=1, max_size=30)


@settings(deadline=None)
@given(
    names=NAMES,
    role=st.sampled_from([Role.BASE, Role.EXTERNAL]),
    registry=st.sampled_from(["docker.io", "ghcr.io", "quay.io"]),
    asked=st.timedeltas(timedelta(), timedelta(days=9)),
    managed=st.timedeltas(timedelta(seconds=1), timedelta(hours=1)),
    tag=st.sampled_from([None, "1"]),
    allowed=st.sampled_from(["^1$", r"^1\.", ".*"]),
    strategy=st.sampled_from([None, *SelectionStrategy]),
)
def test_p10_no_interval_is_below_a_day_whatever_is_configured(
    names: list[str],
    role: Role,
    registry: str,
    asked: timedelta,
    managed: timedelta,
    tag: str | None,
    allowed: str,
    strategy: SelectionStrategy | None,
) -> None:
    assume(strategy is not SelectionStrategy.DIGEST or tag is not None)
    images = tuple(
        WatchedImage(
            name=name, role=role, repo_url=f"{registry}/library/a", allow_tags=allowed, tag=tag, strategy=strategy
        )
        for name in names
    )
    given = KargoSettings(base_interval=asked, managed_interval=managed)

    planned = plan_warehouses(Inventory((), images), given, KargoVersion(1, 11))

    written = [document["spec"]["interval"] for _, document in planned.warehouses]
    assert len(written) == len(names)
    for text in written:
        hours = re.match(r"(\d+)h", text)
        assert hours is not None
        assert int(hours[1]) >= max(24, asked // timedelta(hours=1))
