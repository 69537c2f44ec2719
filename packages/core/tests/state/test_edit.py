from __future__ import annotations

import pytest

from image_factory.state.edit import comment_text, edit_text
from image_factory.state.order import Section
from image_factory.state.own_yaml import parse_mapping

SECTIONS = (
    Section(("Names. Written by hand.",), ("name", "also")),
    Section(("Digests. Written by us.",), ("old", "new")),
    Section(("Lists. Written by us.",), ("list",)),
)
FULL = (
    "# Names. Written by hand.\nname: a\n\n"
    "# Digests. Written by us.\nold: x\nnew: w\n\n"
    "# Lists. Written by us.\nlist:\n- 1\n"
)


def edited(text: str, new: dict[str, object]) -> str | None:
    return edit_text(text, parse_mapping(text, "f"), new, SECTIONS, lambda left, right: left == right)


def test_a_changed_field_changes_its_own_lines() -> None:
    text = FULL.replace("old: x", "# why\nold:    x")

    assert edited(text, {"name": "a", "old": "x", "new": "z", "list": [1]}) == text.replace("new: w", "new: z")


def test_a_field_that_comes_first_in_its_group_goes_under_the_groups_comment() -> None:
    text = FULL.replace("old: x\n", "")

    assert edited(text, {"name": "a", "old": "x", "new": "w", "list": [1]}) == FULL


def test_a_field_that_comes_first_of_its_group_brings_the_groups_comment() -> None:
    without = FULL.replace("\n# Digests. Written by us.\nold: x\nnew: w\n", "")

    assert edited(without, {"name": "a", "old": "x", "new": "w", "list": [1]}) == FULL
    assert edited(FULL, {"name": "a", "list": [1]}) == without


def test_the_last_field_of_the_last_group_takes_its_comment_along_and_nothing_else() -> None:
    text = FULL + "\n# mine, at the end\n"

    after = edited(text, {"name": "a", "old": "x", "new": "w"})

    assert after is not None
    assert comment_text(SECTIONS[2]) not in after
    assert after.endswith("# mine, at the end\n")


def test_a_group_that_is_replaced_keeps_its_comment_once() -> None:
    after = edited(FULL, {"name": "a", "new": "z", "list": [1]})

    assert after == FULL.replace("old: x\nnew: w", "new: z")


def test_an_unknown_key_stays_and_a_comment_above_a_field_that_goes_stays_too() -> None:
    text = FULL.replace("old: x\n", "mine: 3 # three\n# about old\nold: x\n")

    after = edited(text, {"name": "a", "mine": 3, "new": "w", "list": [1]})

    assert after == text.replace("old: x\n", "")


def test_a_file_without_an_end_of_line_gets_one_when_a_field_is_added() -> None:
    assert edited("name: a", {"name": "a", "also": "b"}) == "name: a\nalso: b\n"


@pytest.mark.parametrize("text", ["{name: a}\n", "", "name: [\n", "  name: a\n", "? name\n: a\n", "&x name: a\n"])
def test_a_text_whose_keys_do_not_begin_lines_is_not_edited(text: str) -> None:
    old = {"name": "a"}

    assert edit_text(text, old, {"name": "b"}, SECTIONS, lambda left, right: left == right) is None
