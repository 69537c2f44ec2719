"""P2: an upstream Warehouse is written for a base or external entry if and only if it has repoURL and allowTags."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("image_factory_synth", reason="image-factory-synth is not installed")

from image_factory.model.enrollment import Enrollment, SelectionStrategy
from image_factory.model.image_state import BaseConfiguration, BaseState
from image_factory.model.settings import KargoSettings
from image_factory.usecases.outcome import Skipped
from image_factory_synth.data import Inventory, Role, WatchedImage, merge
from image_factory_synth.versions import KNOWN, KargoVersion
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


@settings(deadline=None)
@given(
    role=st.sampled_from([Role.BASE, Role.EXTERNAL]),
    repo_url=PRESENT_OR_NOT,
    allow_tags=PRESENT_OR_NOT,
    tag=st.sampled_from([None, "22"]),
    constraint=st.sampled_from([None, "^22"]),
    version=st.sampled_from(KNOWN),
)
def test_p2_it_is_so_for_each_kind_of_entry_whatever_else_it_has(
    role: Role,
    repo_url: str | None,
    allow_tags: str | None,
    tag: str | None,
    constraint: str | None,
    version: KargoVersion,
) -> None:
    entry = WatchedImage(
        name="a",
        role=role,
        repo_url="docker.io/library/a" if repo_url == "given" else repo_url,
        allow_tags="^22$" if allow_tags == "given" else allow_tags,
        tag=tag,
        constraint=constraint,
    )

    planned = plan_warehouses(Inventory((), (entry,)), KargoSettings(), version)

    written = repo_url == "given" and allow_tags == "given"
    assert [name for name, _ in planned.warehouses] == ["a"] * written
    missing = [key for key, value in (("repoURL", repo_url), ("allowTags", allow_tags)) if not value]
    reasons = [outcome.reason for outcome in planned.outcomes if isinstance(outcome, Skipped)]
    assert [key in reason for reason in reasons for key in missing] == [True] * len(missing)


@settings(deadline=None)
@given(
    tag=st.sampled_from([None, "7.2"]), constraint=st.sampled_from([None, "^7"]), allowed=st.sampled_from([None, "^7"])
)
def test_p2_what_is_enrolled_with_any_of_its_tags_has_both(
    tag: str | None, constraint: str | None, allowed: str | None
) -> None:
    entry = Enrollment(name="a", repository="library/a", tag=tag, constraint=constraint, allow_tags=allowed)

    planned = plan_warehouses(merge([entry], [], []), KargoSettings(), KNOWN[-1])

    assert bool(planned.warehouses) == bool(tag or constraint or allowed)
