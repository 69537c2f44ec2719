"""How the digests of a managed image age for what is built on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from image_factory.decide.parents import age_builds, own_moves
from image_factory.model.image_state import Build, DigestUpdate, ImageHistory
from image_factory.testing.rebuild_world import RebuildWorld

NOON = datetime(2026, 3, 20, 12, tzinfo=UTC)
WEEK = timedelta(days=7)


def days(number: float) -> datetime:
    return NOON + timedelta(days=number)


def update(number: int, day: float) -> DigestUpdate:
    return DigestUpdate(at=days(day), old_digest=f"d{number - 1}", new_digest=f"d{number}", source="build")


def build(number: int, day: float, *seen: float, result: str = "succeeded") -> Build:
    causes = tuple({"base": f"b{place}", "to": "x", "seenAt": days(at).isoformat()} for place, at in enumerate(seen))
    return Build(at=days(day), reason="due", trigger="policy", result=result, digest=f"d{number}", causes=causes)


@pytest.mark.parametrize(
    ("builds", "updates", "expected"),
    [
        pytest.param([build(1, -1, -8)], [update(1, -1)], [-1], id="what was taken in has aged: with the move"),
        pytest.param([build(1, -1, -3)], [update(1, -1)], [4], id="what was taken in is younger: when it has aged"),
        pytest.param([build(1, -1, -9, -3)], [update(1, -1)], [4], id="of several the newest counts"),
        pytest.param([], [update(1, -1)], [6], id="built by its owner: it ages as any other"),
        pytest.param([build(1, -1)], [update(1, -1)], [6], id="rebuilt without causes: as any other"),
        pytest.param([build(1, -1, -8, result="failed")], [update(1, -1)], [6], id="a build that failed says nothing"),
        pytest.param(
            [build(1, -2, -3), build(2, -1, -9)],
            [update(1, -2), update(2, -1)],
            [4, 4],
            id="a later build holds what the one before took in",
        ),
        pytest.param([build(1, 9, -8)], [update(1, 9)], [-1], id="a build in the future counts with its causes"),
    ],
)
def test_from_when_a_parents_digests_are_eligible(
    builds: list[Build], updates: list[DigestUpdate], expected: list[float]
) -> None:
    world = RebuildWorld()
    world.enroll("base", ["node"])
    parent = world.images["base"].model_copy(update={"history": ImageHistory(rebuild_history=tuple(builds))})

    moves = age_builds(parent, updates, WEEK, NOON)

    assert [move.eligible_at for move in moves] == [days(day) for day in expected]


def test_a_record_of_a_rebuild_that_a_person_has_spoiled_ages_as_any_other() -> None:
    world = RebuildWorld()
    world.enroll("base", ["node"])
    spoiled = build(1, -1, -8).model_copy(update={"causes": ({"base": "b0", "to": "x", "seenAt": "yesterday"},)})
    parent = world.images["base"].model_copy(update={"history": ImageHistory(rebuild_history=(spoiled,))})

    (move,) = age_builds(parent, [update(1, -1)], WEEK, NOON)

    assert move.eligible_at == days(6)


def test_rebuilds_that_the_updates_have_lost_are_known_by_their_history() -> None:
    world = RebuildWorld()
    world.enroll("base", ["node"])
    history = ImageHistory(
        update_history=(update(3, -1),), rebuild_history=(build(1, -5, -8), build(2, -3, -8), build(3, -1, -8))
    )
    parent = world.images["base"].model_copy(update={"history": history})

    assert [move.new_digest for move in own_moves(parent)] == ["d1", "d3"]
