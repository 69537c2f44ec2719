"""P2: an upstream Warehouse is written for a base or external entry if and only if it has repoURL and allowTags."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("image_factory_synth", reason="image-factory-synth is not installed")

from image_factory.model.enrollment import SelectionStrategy
from image_factory.model.image_state import BaseConfiguration, BaseState
from image_factory.model.settings import KargoSettings
from image_factory_synth.data import merge
from image_factory_synth.versions import KNOWN
from image_factory_synth.warehouses import plan_warehouses

PRESENT_OR_NOT = st.sampled_from([None, "", "given"])


@st.composite
def bases(draw: st.DrawFn) -> list[BaseState]:
    names = draw(st.lists(st.from_regex(r"[a-z][a-z0-9]{0,10}", fullmatch=True), unique=True, max_size=12))
    made = []
    for name in names:
        repo_url = draw(PRESENT_OR_NOT)
        allow_tags = draw(PRESENT_OR_NOT)
        tag = draw(st.sampled_from(["22", "3.12-slim", "v1_2"]))
        pattern = draw(st.sampled_from([f"^{tag}$".replace(".", r"\."), r"^\d+$", "latest"]))
        made.append(
            BaseState(
                configuration=BaseConfiguration(
                    name=name,
                    full_image=f"docker.io/library/{name}:{tag}",
                    registry="docker.io",
                    repository=f"library/{name}",
                    tag=draw(st.sampled_from([None, tag])),
                    repo_url=f"docker.io/library/{name}" if repo_url == "given" else repo_url,
                    allow_tags=pattern if allow_tags == "given" else allow_tags,
                    image_selection_strategy=draw(st.sampled_from([None, *SelectionStrategy])),
                )
            )
        )
    return made


@settings(deadline=None)
@given(states=bases(), version=st.sampled_from(KNOWN))
def test_p2_a_warehouse_is_written_if_and_only_if_both_fields_are_there(
    states: list[BaseState], version: object
) -> None:
    assert version in KNOWN
    expected = sorted(state.name for state in states if state.configuration.repo_url and state.configuration.allow_tags)

    planned = plan_warehouses(merge([], [], states), KargoSettings(), version)

    assert [name for name, _ in planned.warehouses] == expected
    assert sorted(outcome.item for outcome in planned.outcomes) == sorted({s.name for s in states} - set(expected))
