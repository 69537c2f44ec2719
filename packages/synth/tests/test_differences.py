from __future__ import annotations

import pytest

from image_factory_synth.differences import differences

OLD = "spec:\n  interval: 5m0s\n  list: [a, {b: 1}]\n"


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (OLD, []),
        (OLD.replace("5m0s", "6m0s"), ["spec.interval: 5m0s -> 6m0s"]),
        (OLD.replace("b: 1", "b: 2"), ["spec.list[1].b: 1 -> 2"]),
        (OLD.replace("b: 1", "b: true"), ["spec.list[1].b: 1 -> True"]),
        (OLD.replace("  interval: 5m0s\n", ""), ["spec.interval: 5m0s -> nothing"]),
        (f"{OLD}  more: x\n", ["spec.more: nothing -> x"]),
        (OLD.replace("[a, ", "["), ["spec.list: ['a', {'b': 1}] -> [{'b': 1}]"]),
        ("a: [", ["the resource: unreadable -> written anew"]),
        (OLD.replace("5m0s", "x" * 100), [f"spec.interval: 5m0s -> {'x' * 79}…"]),
    ],
)
def test_each_field_that_differs_is_told_with_both_values(new: str, told: list[str]) -> None:
    assert [str(each) for each in differences(OLD, new)] == told
