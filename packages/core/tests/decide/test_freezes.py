"""Times in which nothing is rebuilt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from image_factory.decide.eligibility import Reason
from image_factory.decide.freezes import frozen
from image_factory.model.settings import Freeze

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def freeze(begin: float, end: float, *images: str, reason: str = "closing") -> Freeze:
    times = {"from": NOON + timedelta(hours=begin), "until": NOON + timedelta(hours=end)}
    return Freeze.model_validate({"reason": reason, "images": images, **times})


@pytest.mark.parametrize(
    ("freezes", "expected"),
    [
        pytest.param([], None, id="none"),
        pytest.param([freeze(-1, 1)], 1, id="within one"),
        pytest.param([freeze(0, 1)], 1, id="at its begin"),
        pytest.param([freeze(-1, 0)], None, id="at its end"),
        pytest.param([freeze(1, 2)], None, id="before its begin"),
        pytest.param([freeze(-1, 1, "web")], 1, id="of this image"),
        pytest.param([freeze(-1, 1, "api")], None, id="of another image"),
        pytest.param([freeze(-1, 1), freeze(-2, 5, "web")], 5, id="of two the longer"),
        pytest.param([freeze(3, 5), freeze(1, 3), freeze(-1, 1)], 5, id="three that follow each other are one"),
        pytest.param([freeze(-1, 1), freeze(2, 5)], 1, id="a gap ends it"),
        pytest.param([freeze(-1, 1), freeze(1, 5, "api")], 1, id="one of another image does not follow"),
        pytest.param([freeze(2, -2)], None, id="one that ends before it begins never holds"),
    ],
)
def test_until_when_an_image_is_frozen(freezes: list[Freeze], expected: float | None) -> None:
    wait = frozen("web", freezes, NOON)

    assert (wait.until if wait else None) == (None if expected is None else NOON + timedelta(hours=expected))


def test_a_freeze_says_its_reason() -> None:
    wait = frozen("web", [freeze(-1, 1, reason="year-end"), freeze(0.5, 3, reason="audit")], NOON)

    assert wait is not None
    assert wait.reason is Reason.FROZEN
    assert wait.because == "nothing is rebuilt until 2026-03-01T15:00:00Z: year-end, audit"
    assert wait.blocked_by == ("year-end", "audit")
