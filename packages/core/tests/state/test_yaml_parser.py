from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from image_factory.errors import InvalidEnrollment
from image_factory.state.yaml_parser import MAX_DEPTH, parse_tree
from image_factory.state.yaml_style import dump_block
from image_factory.state.yaml_tree import ListNode, MapNode, Scalar, to_value


def read(text: str) -> Any:
    tree = parse_tree(text, "images.yaml", InvalidEnrollment)
    return None if tree is None else to_value(tree)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", None, id="nothing"),
        pytest.param("# only a comment\n", None, id="a comment"),
        pytest.param("---\n", None, id="an empty document"),
        pytest.param("\ufeff- a\n", ["a"], id="a byte order mark"),
        pytest.param("- a\r\n- b\r\n", ["a", "b"], id="Windows' line ends"),
        pytest.param("a: 3.10", {"a": 3.1}, id="a number"),
        pytest.param('a: "3.10"', {"a": "3.10"}, id="a quoted number is text"),
        pytest.param("a: !!str 3.10", {"a": "3.10"}, id="a number that a tag makes text"),
        pytest.param("a: on", {"a": True}, id="YAML 1.1's truth"),
        pytest.param("on: 1", {"on": 1}, id="keys are words, whatever YAML takes them for"),
        pytest.param("a: 2026-03-01", {"a": "2026-03-01"}, id="a date stays text"),
        pytest.param("a: 12:30", {"a": 750}, id="a number to the base 60"),
        pytest.param("a: 0x10", {"a": 16}, id="a number to the base 16"),
        pytest.param("a: 010", {"a": 8}, id="a number to the base 8"),
        pytest.param("a:", {"a": None}, id="nothing after a key"),
        pytest.param("a: ''", {"a": ""}, id="an empty text"),
        pytest.param("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}, id="an alias"),
        pytest.param("- &x {a: 1, b: 2}\n- {<<: *x, a: 3}", [{"a": 1, "b": 2}, {"b": 2, "a": 3}], id="a merge key"),
        pytest.param("- &x {a: 1}\n- {a: 3, <<: *x}", [{"a": 1}, {"a": 3}], id="a merge key that comes last"),
        pytest.param(
            "- &x {a: 1}\n- &y {a: 2, b: 2}\n- {<<: [*x, *y]}",
            [{"a": 1}, {"a": 2, "b": 2}, {"a": 1, "b": 2}],
            id="a merge key of two",
        ),
        pytest.param('{"<<": 1}', {"<<": 1}, id="a quoted merge key is a key"),
    ],
)
def test_a_text_means_what_yaml_says(text: str, expected: object) -> None:
    assert expected == read(text)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        pytest.param("- a: 1\n  b: c: d\n", 2, "mapping values", id="two colons"),
        pytest.param("- [a\n", 2, "did not find", id="a bracket that stays open"),
        pytest.param('a: "b\n', 2, "found unexpected end of stream", id="a quote that stays open"),
        pytest.param("a:\n\t- b\n", 2, "column 1", id="a tab"),
        pytest.param("a: 1\n---\nb: 2\n", 2, "second document", id="a second document"),
        pytest.param("a: *x\n", 1, "*x refers to nothing", id="an alias of nothing"),
        pytest.param("- &x\n  - *x\n", 2, "*x refers to itself", id="an alias of itself"),
        pytest.param("a: !!python/object:os.system x\n", 1, "is not taken here", id="a tag that would run code"),
        pytest.param("? [a]\n: b\n", 1, "where a key is meant", id="a list as a key"),
        pytest.param("a: 1\n<<: [b]\n", 2, "<< takes a mapping", id="a merge of text"),
        pytest.param("a: b\x00c\n", 1, "U+0000", id="a NUL"),
        pytest.param("a: 1\nb: \ud800\n", 2, "U+D800", id="half a character"),
        pytest.param("[" * (MAX_DEPTH + 1), 1, "nested more than", id="too deep"),
    ],
)
def test_what_is_not_yaml_is_one_error_with_its_line(text: str, line: int, said: str) -> None:
    with pytest.raises(InvalidEnrollment) as caught:
        read(text)

    assert caught.value.location is not None
    assert (caught.value.location.file, caught.value.location.line) == ("images.yaml", line)
    assert said in caught.value.message


def test_every_node_knows_its_line_and_a_mapping_its_keys_lines() -> None:
    tree = parse_tree("- a: 1\n  b:\n    - x\n", "f", InvalidEnrollment)

    assert isinstance(tree, ListNode)
    (entry,) = tree.items
    assert isinstance(entry, MapNode)
    assert entry.key_lines == {"a": 1, "b": 2}
    assert [item.line for item in entry.entries["b"].items if isinstance(item, Scalar)] == [3]  # type: ignore[union-attr]


def test_a_key_that_stands_twice_is_kept_apart() -> None:
    tree = parse_tree("a: 1\nb: 2\na: 3\n", "f", InvalidEnrollment)

    assert isinstance(tree, MapNode)
    assert tree.repeated == [("a", 1, 3)]
    assert to_value(tree) == {"a": 1, "b": 2}


def test_a_key_that_replaces_a_merged_one_stands_there_once_and_twice_if_written_twice() -> None:
    tree = parse_tree("- &x {a: 1}\n- <<: *x\n  a: 2\n  a: 3\n", "f", InvalidEnrollment)

    assert isinstance(tree, ListNode)
    assert isinstance(tree.items[1], MapNode)
    assert tree.items[1].repeated == [("a", 3, 4)]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{f'*a{n - 1},' * 9}]\n" for n in range(1, 30)), id="lists"
        ),
        pytest.param(
            "a0: &a0 {x: 1}\n"
            + "".join(f"a{n}: &a{n} {{{', '.join(f'k{k}: *a{n - 1}' for k in range(9))}}}\n" for n in range(1, 30)),
            id="mappings",
        ),
        pytest.param("[" * 1_000_000, id="brackets"),
        pytest.param("- " * 500_000, id="hyphens"),
        pytest.param("{" * 200_000 + "a", id="braces"),
        pytest.param("? " * 200_000, id="question marks"),
        pytest.param("a: " + "x" * 5_000_000, id="one long word"),
        pytest.param("'" * 1_000_000, id="quotes"),
        pytest.param("&a " * 100_000, id="anchors"),
        pytest.param("a: 9" + "9" * 1_000_000, id="a long number"),
    ],
)
def test_a_text_made_to_take_long_is_done_soon(text: str) -> None:
    began = time.process_time()

    with contextlib.suppress(InvalidEnrollment):
        read(text)

    assert time.process_time() - began < 3


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    found = None
    try:
        read(text)
    except InvalidEnrollment as error:
        found = error

    assert found is None or found.location is not None


_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=6), _PLAIN, max_size=4))
def test_what_we_write_is_read_back(value: dict[str, Any]) -> None:
    written = dump_block(value)

    assert value == read(written)
    assert value == yaml.safe_load(written)
