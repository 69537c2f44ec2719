"""JSON5 as the specification has it: what is taken, with its lines, and what is refused, with the line at fault."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.errors import UserError
from image_factory.imports.json5 import MAX_CHARACTERS, parse_json5
from image_factory.state.yaml_tree import MapNode, to_value

TAKEN: dict[str, tuple[str, Any]] = {
    "a comment to the line's end": ("{a: 1, // b: 2\n}", {"a": 1}),
    "a comment over lines": ("/* *\n** */[/**/1]", [1]),
    "commas at the end": ('{"a": [1, 2,], }', {"a": [1, 2]}),
    "single quotes, and double ones in them": ("""['say "x"']""", ['say "x"']),
    "names with dollar and underscore": ("{$schema: 1, _x9: 2, ünlaut: 3}", {"$schema": 1, "_x9": 2, "ünlaut": 3}),
    "words as keys": ("{null: 1, true: 2}", {"null": 1, "true": 2}),
    "numbers": ("[0x1F, .5, 5., +3, -2, 1e3, -0xa]", [31, 0.5, 5.0, 3, -2, 1000.0, -10]),
    "infinity": ("[Infinity, -Infinity]", [math.inf, -math.inf]),
    "escapes": (r"""['\x41\u00e9\n\t\0\'\a']""", ["Aé\n\t\0'a"]),
    "a character by two escapes": (r'"\ud83d\ude00"', "😀"),
    "a text over two lines": ("'one \\\ntwo'", "one two"),
    "a mark of byte order": ("\ufeff{}", {}),
    "a key twice": ("{a: 1, a: 2}", {"a": 2}),
    "a bare word": ("null", None),
    "a url": ('{"$schema": "https://x/y"}', {"$schema": "https://x/y"}),
}
REFUSED: dict[str, tuple[str, int, str]] = {
    "nothing": ("", 1, "a value is missing"),
    "a comment without end": ("{\n/* x", 2, "a comment has no end"),
    "a comma too many": ("[1,\n,2]", 2, "a value is missing"),
    "no comma": ("[1\n2]", 2, "a comma or a closing bracket is missing"),
    "no colon": ("{a 1}", 1, "a colon is missing"),
    "no key": ("{1: 2}", 1, "a key is missing"),
    "a wrong bracket": ("{a: [1}", 1, "a comma or a closing bracket is missing"),
    "a word that is none": ("[nul]", 1, "a value is missing"),
    "a number with a nought before it": ("[012]", 1, "a value is missing"),
    "a line's end in a text": ('["a\nb"]', 1, "a value is missing"),
    "an escape that is none": (r'["\u12"]', 1, "not an escape"),
    "two values": ("{}\n{}", 2, "something follows"),
    "an open list": ("[1,\n\n", 3, "a value is missing"),
    "too deep": ("[" * 65, 1, "nested more than 64 deep"),
    "YAML": ("a: 1", 1, "a value is missing"),
}


@pytest.mark.parametrize("case", TAKEN)
def test_what_the_specification_takes_is_read(case: str) -> None:
    text, expected = TAKEN[case]

    assert to_value(parse_json5(text, "renovate.json")) == expected


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_said_with_its_line(case: str) -> None:
    text, line, words = REFUSED[case]

    with pytest.raises(UserError, match=words) as caught:
        parse_json5(text, "renovate.json")

    assert str(caught.value.location) == f"renovate.json:{line}"


def test_every_value_and_key_knows_its_line() -> None:
    root = parse_json5('{\n// one\n"a":\n  [1,\n   2],\n b: {c: "x\\\ny"}}', "f")

    assert isinstance(root, MapNode)
    assert root.key_lines == {"a": 3, "b": 6}
    listed = root.entries["a"]
    assert [item.line for item in listed.items] == [4, 5]  # type: ignore[union-attr]


def test_a_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(UserError, match="larger than"):
        parse_json5(" " * (MAX_CHARACTERS + 1), "f")


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_all_json_means_what_json_says(value: Any, escaped: bool) -> None:
    text = json.dumps(value, ensure_ascii=escaped, indent=1)

    assert to_value(parse_json5(text, "f")) == json.loads(text)


@given(st.text(st.sampled_from("{}[],:\"'/*\\\nau0x1.-+ "), max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    places: list[int | None] = [1]
    try:
        parse_json5(text, "f")
    except UserError as error:
        places = [None if error.location is None else error.location.line]

    assert all(place is not None and 1 <= place <= text.count("\n") + 1 for place in places)
