"""What a person has stopped, and until when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from image_factory.decide.eligibility import Reason
from image_factory.decide.holds import active_holds
from image_factory.model.hold import Hold

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BAD = f"sha256:{'b' * 64}"


def hold(name: str = "web", hours: float | None = 1, **fields: Any) -> Hold:
    until = None if hours is None else NOON + timedelta(hours=hours)
    return Hold(name=name, reason="release", at=NOON - timedelta(days=1), until=until, **fields)


@pytest.mark.parametrize(
    ("hours", "is_held"),
    [
        pytest.param(1, True, id="an hour before its end"),
        pytest.param(0, False, id="at its end"),
        pytest.param(-1, False, id="after its end"),
        pytest.param(None, True, id="without an end it lasts until a person ends it"),
    ],
)
def test_a_hold_ends_when_it_says(hours: float | None, is_held: bool) -> None:
    holds = active_holds([hold(hours=hours, image="web")], NOON)

    assert (holds.image("web") is not None) is is_held
    assert holds.image("api") is None


def test_a_held_image_says_who_why_and_until_when() -> None:
    wait = active_holds([hold(image="web", by="ann")], NOON).image("web")

    assert wait is not None
    assert (wait.reason, wait.until, wait.blocked_by) == (Reason.HELD, NOON + timedelta(hours=1), ("web",))
    assert wait.because == "it is held by ann until 2026-03-01T13:00:00Z: release"


def test_a_held_digest_says_whose_it_is() -> None:
    wait = active_holds([hold("sha256-bbbb", None, digest=BAD)], NOON).digest(BAD, "node")

    assert wait is not None
    assert wait.because == "sha256:bbbbbbbbbbbb of node is held until a person ends it: release"
    assert wait.until is None


@pytest.mark.parametrize("order", [1, -1], ids=["in one order", "in the other"])
@pytest.mark.parametrize(("hours", "expected"), [((1, 3), 3), ((1, None), None)], ids=["the later end", "no end"])
def test_of_several_holds_the_one_that_ends_last_counts(
    hours: tuple[float | None, ...], expected: float | None, order: int
) -> None:
    several = [hold(f"h{number}", each, digest=BAD) for number, each in enumerate(hours)][::order]

    ends = active_holds(several, NOON).digest_ends

    assert ends == {BAD: None if expected is None else NOON + timedelta(hours=expected)}
