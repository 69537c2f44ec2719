"""Which managed image is built on which, and where that goes in a circle."""

from __future__ import annotations

import pytest

from image_factory.decide.lineage import components, find_lineage
from image_factory.testing.rebuild_world import RebuildWorld


def build_world(edges: dict[str, list[str]]) -> RebuildWorld:
    world = RebuildWorld()
    for name in edges:
        world.enroll(name, ["node"])
    for name, on in edges.items():
        configuration = world.images[name].configuration.model_copy(
            update={"base_images": tuple(sorted(on)), "references": ()}
        )
        world.images[name] = world.images[name].model_copy(update={"configuration": configuration})
    return world


def test_parents_are_the_managed_images_and_depth_is_the_longest_way_up() -> None:
    world = build_world({"a": ["node"], "b": ["a"], "c": ["a", "b", "node"], "d": []})

    lineage = find_lineage(world.enrollments, world.images, world.bases)

    assert lineage.parents == {"a": (), "b": ("a",), "c": ("a", "b"), "d": ()}
    assert lineage.depth == {"a": 0, "b": 1, "c": 2, "d": 0}
    assert lineage.cycles == {}


@pytest.mark.parametrize(
    ("edges", "paths"),
    [
        pytest.param({"a": ["a"]}, {"a": ("a", "a")}, id="an image on itself"),
        pytest.param(
            {"a": ["c"], "b": ["a"], "c": ["b"]}, dict.fromkeys("abc", ("a", "b", "c", "a")), id="three in a circle"
        ),
        pytest.param(
            {"a": ["b"], "b": ["a"], "c": ["d"], "d": ["c"]},
            {"a": ("a", "b", "a"), "b": ("a", "b", "a"), "c": ("c", "d", "c"), "d": ("c", "d", "c")},
            id="two circles",
        ),
    ],
)
def test_each_image_of_a_cycle_has_its_path(edges: dict[str, list[str]], paths: dict[str, tuple[str, ...]]) -> None:
    world = build_world({**edges, "below": ["a"], "apart": ["node"]})

    lineage = find_lineage(world.enrollments, world.images, world.bases)

    assert lineage.cycles == paths
    assert lineage.parents == {"below": (), "apart": ()}


def test_an_image_that_is_not_enrolled_is_no_parent() -> None:
    world = build_world({"a": ["node"], "b": ["a"]})

    assert find_lineage(["b"], world.images, world.bases).parents == {"b": ()}


def test_a_base_that_one_of_ours_publishes_is_that_image() -> None:
    world = build_world({"a": [], "b": ["node"]})
    base = world.bases["node"]
    configuration = base.configuration.model_copy(update={"managed_by": "a"})
    world.bases["node"] = base.model_copy(update={"configuration": configuration})

    assert find_lineage(world.enrollments, world.images, world.bases).parents["b"] == ("a",)


def test_a_chain_of_ten_thousand_is_no_deeper_than_one() -> None:
    chain = {number: (number - 1,) if number else () for number in range(10_000)}

    assert components(dict(reversed(chain.items()))) == [(number,) for number in range(10_000)]
