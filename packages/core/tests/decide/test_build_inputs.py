"""What a build is told, and under which names."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.decide.build_inputs import PinnedBase, build_inputs, format_base_images, name_inputs
from image_factory.errors import InvalidReference, UserError

ONE, TWO = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
NAMES = st.sampled_from(["request_id", "base_images", "version_bump", "triggered_by"])


def test_base_images_are_pairs_of_canonical_reference_and_digest_sorted() -> None:
    text = format_base_images([PinnedBase("node:22", ONE, "stage"), PinnedBase("alpine", TWO, "final")])

    assert json.loads(text) == [
        {"reference": "docker.io/library/alpine:latest", "digest": TWO, "role": "final"},
        {"reference": "docker.io/library/node:22", "digest": ONE, "role": "stage"},
    ]


def test_a_base_of_several_stages_is_told_once_as_the_final_one() -> None:
    text = format_base_images([PinnedBase("node:22", ONE, "copy"), PinnedBase("node:22", ONE, "final")])

    assert [each["role"] for each in json.loads(text)] == ["final"]


@pytest.mark.parametrize(("reference", "digest"), [("Not One", ONE), ("node:22", "sha256:zz"), ("node:22", "$(id)")])
def test_what_is_no_reference_or_digest_is_refused(reference: str, digest: str) -> None:
    with pytest.raises(InvalidReference):
        format_base_images([PinnedBase(reference, digest)])


def test_a_build_is_told_who_asked_and_what_moved() -> None:
    inputs = build_inputs(
        [], image="web", request_id="r1", version_bump="minor", triggered_by="cli", moved=["docker.io/a:1", "b"]
    )

    assert inputs == {
        "request_id": "r1",
        "base_images": "[]",
        "version_bump": "minor",
        "triggered_by": "cli",
        "image": "web",
        "base_image": "docker.io/a:1",
    }


def test_an_unknown_version_bump_is_refused() -> None:
    with pytest.raises(UserError, match="not a version bump: 'epoch'"):
        build_inputs([], image="web", request_id="r1", version_bump="epoch", triggered_by="cli")


def test_inputs_get_the_workflow_s_names_and_the_undeclared_are_left_out() -> None:
    told = name_inputs(
        {"request_id": "r1", "base_images": "[]", "base_image": "a", "version_bump": "patch"},
        {"base_images": "bases"},
        {"request_id", "bases"},
    )

    assert told.inputs == {"request_id": "r1", "bases": "[]"}
    assert told.left_out == ("version_bump",), "base_image is a courtesy that nobody asked for"


def test_an_input_that_was_given_a_name_is_missed_where_it_is_not_declared() -> None:
    assert name_inputs({"base_image": "a"}, {"base_image": "from"}, set()).left_out == ("base_image",)


def test_an_input_that_has_no_name_at_the_workflow_is_not_told_and_not_missed() -> None:
    told = name_inputs({"request_id": "r1", "version_bump": "patch"}, {"version_bump": ""}, None)

    assert (told.inputs, told.left_out) == ({"request_id": "r1"}, ())


def test_two_inputs_of_one_name_are_refused() -> None:
    with pytest.raises(UserError, match="two inputs are called 'x'"):
        name_inputs({"request_id": "a", "base_images": "b"}, {"request_id": "x", "base_images": "x"}, None)


@given(st.dictionaries(NAMES, st.text(max_size=5)), st.sets(NAMES))
def test_no_input_is_told_that_is_not_declared_and_none_is_lost_unsaid(
    inputs: dict[str, str], declared: set[str]
) -> None:
    told = name_inputs(inputs, {}, declared)

    assert set(told.inputs) <= declared
    assert set(told.inputs) | set(told.left_out) == set(inputs)
