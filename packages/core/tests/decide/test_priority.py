"""The order of rebuilds, and who finds a place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from image_factory.decide.concurrency import taken_places, without_place
from image_factory.decide.priority import Urgency, order
from image_factory.model.enrollment import Criticality
from image_factory.model.request import RebuildRequest, RequestStatus

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def urgency(
    image: str,
    criticality: Criticality = Criticality.NORMAL,
    *,
    depth: int = 0,
    hours: float | None = 0,
    emergency: bool = False,
) -> Urgency:
    since = None if hours is None else NOON + timedelta(hours=hours)
    return Urgency(image, emergency, criticality, depth, since)


IN_ORDER = [
    urgency("emergency", Criticality.LOW, depth=9, hours=9, emergency=True),
    urgency("critical", Criticality.CRITICAL, depth=9, hours=9),
    urgency("high", Criticality.HIGH, depth=9, hours=9),
    urgency("parent", hours=9),
    urgency("child-first-eligible", depth=1, hours=-2),
    urgency("child-by-name-a", depth=1),
    urgency("child-by-name-b", depth=1),
    urgency("child-not-eligible", depth=1, hours=None),
    urgency("low", Criticality.LOW),
]


@given(st.permutations(IN_ORDER))
def test_emergencies_then_criticality_then_parents_then_age_then_name(shuffled: list[Urgency]) -> None:
    assert order(shuffled) == [each.image for each in IN_ORDER]


def test_open_requests_take_a_place_but_for_those_that_wait_for_a_person() -> None:
    requests = [
        RebuildRequest(name=str(status), request_id="r", status=status, requested_at=NOON, reason="due")
        for status in RequestStatus
    ]

    assert taken_places(requests) == ("dispatched", "dispatching", "requested")


def test_the_first_that_are_due_find_the_places_that_are_free() -> None:
    assert without_place(["a", "b", "c"], ["x"], 2) == ("b", "c")
    assert without_place(["a", "b"], [], 2) == ()
    assert without_place(["a"], ["x", "y", "z"], 2) == ("a",)
