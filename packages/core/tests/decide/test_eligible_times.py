"""From when images may be rebuilt, as a base's record says it: of policy and of the record alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from image_factory.decide.eligible_times import DEFAULT, dependents_by_base, with_eligible_times
from image_factory.model.enrollment import Enrollment
from image_factory.model.image_state import (
    BaseConfiguration,
    BaseHistory,
    BaseRuntime,
    BaseSite,
    BaseState,
    Build,
    DigestUpdate,
    ImageConfiguration,
    ImageHistory,
    ImageRuntime,
    ImageState,
)

START = datetime(2026, 3, 1, tzinfo=UTC)


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def image(name: str = "web", *, holds: str | None = None, reachable: bool = True, **policy: Any) -> ImageState:
    entry = {"name": name, "registry": "ghcr.io", "repository": f"acme/{name}", "source": {"repo": f"acme/{name}"}}
    site = BaseSite(
        name="node", reference="docker.io/library/node:22", role="stage", file="Dockerfile", line=1, reachable=reachable
    )
    cause = {"base": "node", "to": holds}
    builds = () if holds is None else (Build(at=START, reason="", trigger="", result="succeeded", causes=(cause,)),)
    return ImageState(
        configuration=ImageConfiguration(
            name=name,
            enrollment=Enrollment.model_validate(entry | policy),
            base_images=("node",),
            references=(site,),
        ),
        runtime=ImageRuntime(),
        history=ImageHistory(rebuild_history=builds),
    )


def base(*days: int, **configuration: Any) -> BaseState:
    updates = [
        DigestUpdate(at=day(at), old_digest=f"d{number - 1}" if number else None, new_digest=f"d{number}")
        for number, at in enumerate(days)
    ]
    return BaseState(
        configuration=BaseConfiguration(
            name="node",
            full_image="docker.io/library/node:22",
            registry="docker.io",
            repository="library/node",
            **configuration,
        ),
        runtime=BaseRuntime(),
        history=BaseHistory(update_history=tuple(updates)),
    )


def times(base: BaseState, *images: ImageState) -> dict[str, float]:
    found = with_eligible_times(base, images).runtime.rebuild_eligible_at
    return {name: (at - START) / timedelta(days=1) for name, at in found.items()}


@pytest.mark.parametrize(
    ("days", "policy", "expected"),
    [
        pytest.param((), {}, {}, id="a base that was never seen has no times"),
        pytest.param((0,), {}, {}, id="nor one that has not moved"),
        pytest.param((0, 2), {}, {DEFAULT: 9, "web": 9}, id="seven days are the default"),
        pytest.param((0, 2), {"rebuildDelay": "0"}, {DEFAULT: 9, "web": 2}, id="none may be"),
        pytest.param((0, 2, 4), {"rebuildDelay": "3d"}, {DEFAULT: 9, "web": 5}, id="the first digest to age counts"),
        pytest.param(
            (0, 2, 9), {"rebuildDelay": "1d"}, {DEFAULT: 9, "web": 3}, id="one that had aged when the base moved again"
        ),
        pytest.param(
            (0, 2, 4), {"rebuildDelay": "3d", "delayMode": "first-change"}, {DEFAULT: 9, "web": 5}, id="first change"
        ),
        pytest.param((0, 2, 4), {"holds": "d1"}, {DEFAULT: 9, "web": 11}, id="what was taken in counts no more"),
        pytest.param((0, 2), {"holds": "d1"}, {DEFAULT: 9}, id="an image that has all has no time"),
    ],
)
def test_times_follow_from_moves_and_policy(days: tuple[int, ...], policy: dict[str, Any], expected: Any) -> None:
    assert times(base(*days), image(**policy)) == expected


def test_a_base_that_we_publish_has_no_times() -> None:
    assert times(base(0, 2, managed_by="api"), image()) == {}


def test_what_has_its_times_is_left_as_it_is() -> None:
    timed = with_eligible_times(base(0, 2), [image()])

    assert with_eligible_times(timed, [image()]) is timed
    assert with_eligible_times(timed, []).runtime.rebuild_eligible_at == {DEFAULT: day(9)}


def test_what_cannot_be_read_keeps_its_time() -> None:
    timed = with_eligible_times(base(0, 2), [image(), image("api")])

    kept = with_eligible_times(timed, [image()], unread={"api", "never-known"})

    assert set(kept.runtime.rebuild_eligible_at) == {DEFAULT, "api", "web"}


def test_dependents_are_those_whose_built_target_is_made_from_it() -> None:
    listed = dependents_by_base([image("web"), image("api"), image("tool", reachable=False)])

    assert {name: [one.name for one in images] for name, images in listed.items()} == {"node": ["web", "api"]}
