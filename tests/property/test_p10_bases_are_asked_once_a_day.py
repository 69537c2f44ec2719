"""P10: every Warehouse of a base or external image has an interval of 24 hours or longer."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("image_factory_synth", reason="image-factory-synth is not installed")

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
)
def test_p10_no_interval_is_below_a_day_whatever_is_configured(
    names: list[str], role: Role, registry: str, asked: timedelta
) -> None:
    images = tuple(
        WatchedImage(name=name, role=role, repo_url=f"{registry}/library/a", allow_tags="^1$") for name in names
    )

    planned = plan_warehouses(Inventory((), images), KargoSettings(base_interval=asked), KargoVersion(1, 11))

    written = [document["spec"]["interval"] for _, document in planned.warehouses]
    assert len(written) == len(names)
    for text in written:
        hours = re.match(r"(\d+)h", text)
        assert hours is not None
        assert int(hours[1]) >= max(24, asked // timedelta(hours=1))
