# ruff: noqa: RUF009 - `written` declares a field

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.errors import UnsafeValue
from image_factory_synth.fields import RefusedByKargo, document, go_duration, written
from image_factory_synth.versions import KargoVersion

V9, V10, V11 = KargoVersion(1, 9), KargoVersion(1, 10), KargoVersion(1, 11)


@dataclass(frozen=True, kw_only=True)
class Inner:
    text: str = written("text", required=True, pattern=r"\w+", max_length=8, hint="write letters")


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str = written("name", required=True)
    young: str | None = written("young", first=(1, 10))
    old: str | None = written("old", last=(1, 10), hint="write it as young")
    count: int | None = written("count", minimum=1, maximum=100)
    flag: bool | None = written("flag")
    inner: tuple[Inner, ...] | None = written("inner")
    labels: dict[str, str] | None = written("labels")
    every: timedelta | None = written("every")


def make(**values: Any) -> Outer:
    return Outer(**{"name": "a", **values})


def test_fields_are_written_in_the_order_of_the_record_and_none_for_nothing() -> None:
    record = make(
        every=timedelta(minutes=5), labels={"b": "1", "a": "2"}, inner=(Inner(text="x"),), flag=False, count=3
    )

    written_as = document(record, V11)

    assert list(written_as) == ["name", "count", "flag", "inner", "labels", "every"]
    assert written_as == {
        "name": "a",
        "count": 3,
        "flag": False,
        "inner": [{"text": "x"}],
        "labels": {"b": "1", "a": "2"},
        "every": "5m0s",
    }
    assert document(make(inner=(), labels={}), V11) == {"name": "a"}


@pytest.mark.parametrize(
    ("version", "field", "is_there"),
    [
        (V9, "young", False),
        (V10, "young", True),
        (V11, "young", True),
        (V9, "old", True),
        (V10, "old", True),
        (V11, "old", False),
    ],
    ids=str,
)
def test_a_field_is_written_only_for_versions_that_have_it(version: KargoVersion, field: str, is_there: bool) -> None:
    record = make(**{field: "x"})

    if is_there:
        assert document(record, version) == {"name": "a", field: "x"}
    else:
        with pytest.raises(RefusedByKargo, match=rf"^{field} is not in Kargo {version}") as caught:
            document(record, version)
        assert caught.value.field == field


@pytest.mark.parametrize(
    ("record", "field"),
    [
        pytest.param(make(count=0), "count", id="below its least"),
        pytest.param(make(count=101), "count", id="above its most"),
        pytest.param(make(inner=(Inner(text="a b"),)), "text", id="not of its pattern"),
        pytest.param(make(inner=(Inner(text="naïve"),)), "text", id="a letter that is none to RE2's \\w"),
        pytest.param(make(inner=(Inner(text="a" * 9),)), "text", id="too long"),
    ],
)
def test_a_value_outside_its_limits_is_refused_and_its_field_named(record: Outer, field: str) -> None:
    with pytest.raises(RefusedByKargo) as caught:
        document(record, V11)

    assert caught.value.field == field


@pytest.mark.parametrize("text", ["${{ secret('x') }}", "a${%b", "a\nb", "a\x00b", "a\u2028b", "\x85"])
@pytest.mark.parametrize("place", ["text", "label", "label key"])
def test_no_text_of_a_record_can_become_an_expression_or_another_line(text: str, place: str) -> None:
    record = make(
        **{"young": text} if place == "text" else {"labels": {"k": text} if place == "label" else {text: "v"}}
    )

    with pytest.raises(UnsafeValue):
        document(record, V11)


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (timedelta(hours=24), "24h0m0s"),
        (timedelta(minutes=5), "5m0s"),
        (timedelta(seconds=45), "45s"),
        (timedelta(days=7), "168h0m0s"),
        (timedelta(hours=24, minutes=17, seconds=3, milliseconds=250), "24h17m3.25s"),
        (timedelta(minutes=5, microseconds=10), "5m0.00001s"),
        (timedelta(seconds=1), "1s"),
    ],
    ids=str,
)
def test_a_duration_is_written_as_go_writes_it_with_no_unit_above_the_hour(duration: timedelta, expected: str) -> None:
    assert go_duration(duration) == expected


def test_a_duration_of_less_than_a_second_is_refused() -> None:
    with pytest.raises(RefusedByKargo):
        go_duration(timedelta(milliseconds=999))


@given(st.integers(min_value=1_000_000, max_value=10**13))
def test_a_written_duration_sums_up_to_itself(microseconds: int) -> None:
    text = go_duration(timedelta(microseconds=microseconds))

    total = 0.0
    number = ""
    for character in text:
        if character in "hms":
            total += round(float(number) * {"h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000}[character])
            number = ""
        else:
            number += character
    assert (total, number) == (microseconds, "")
