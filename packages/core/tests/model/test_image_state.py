from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from image_factory.model.image_state import BaseRuntime, DigestUpdate, format_time, parse_time

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T12:00:00Z",
        "2026-03-01T13:00:00+01:00",
        "2026-03-01 12:00:00",
        "2026-03-01T12:00",
        "20260301T120000Z",
    ],
)
def test_a_time_is_read_in_any_zone_and_without_one_in_utc(text: str) -> None:
    instant = parse_time(text)

    assert instant == NOON
    assert instant.tzinfo is UTC


@pytest.mark.parametrize("text", ["", "noon", "1772366400", "2026-13-01", "0001-01-01T00:00:00+14:00"])
def test_what_is_no_time_is_refused_with_one_that_is(text: str) -> None:
    with pytest.raises(ValueError, match="write one such as 2024-01-31T12:00:00Z"):
        parse_time(text)


@pytest.mark.parametrize("value", [2026, 1772366400.0, True, "1772366400"])
def test_a_number_is_no_time(value: object) -> None:
    with pytest.raises(ValidationError, match="not a time"):
        BaseRuntime.model_validate({"lastChecked": value})


def test_a_time_is_written_in_utc_with_parts_of_a_second_only_if_there_are_any() -> None:
    east = NOON.astimezone(timezone(timedelta(hours=5, minutes=45)))

    assert format_time(east) == "2026-03-01T12:00:00Z"
    assert format_time(NOON.replace(microsecond=250_000)) == "2026-03-01T12:00:00.250000Z"


def test_a_record_keeps_its_times_in_utc_whoever_makes_it() -> None:
    update = DigestUpdate(at=NOON.astimezone(timezone(timedelta(hours=-3))), old_digest=None, new_digest="sha256:1")

    assert update.at.tzinfo is UTC
    assert update.model_dump(mode="json", by_alias=True)["at"] == "2026-03-01T12:00:00Z"
    assert DigestUpdate.model_validate_json(update.model_dump_json()) == update


def test_a_free_map_holds_only_what_yaml_and_json_both_hold() -> None:
    runtime = BaseRuntime(metadata={"created": NOON, "sizes": (1, 2), "labels": {3: "x"}})

    assert runtime.metadata == {"created": "2026-03-01T12:00:00Z", "sizes": [1, 2], "labels": {"3": "x"}}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"x", {1, 2}, object()])
def test_a_free_map_refuses_what_cannot_be_written(value: object) -> None:
    with pytest.raises(ValidationError, match="that can be written"):
        BaseRuntime(metadata={"x": [value]})
