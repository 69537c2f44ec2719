"""Where values stand: each node's offsets cut its own characters out of the text."""

from __future__ import annotations

import pytest
import yaml

from image_factory.errors import UserError
from image_factory.yaml_text.nodes import AliasNode, MapNode, ScalarNode, mappings, parse_documents, scalars


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a: b\n", "b"),
        ("a: 'b''c'  # d\n", "'b''c'"),
        ('a: "b\\n"\n', '"b\\n"'),
        ("a: &x b\n", "b"),
        ("a: !!str b\n", "b"),
        ("a: !!str &x 'b'\n", "'b'"),
        ("a: &x # why\n  b\n", "b"),
        ("a: &x\n", ""),
        ("a:\n", ""),
        ("\ufeffa: b\n", "b"),
        ("\ufeff# é\r\na: b\r\n", "b"),
        ("# 😀 \u2028\na: [b]\n", "b"),
        ("a: |-\n  b\n", "|-\n  b\n"),
        ("{a: b}", "b"),
        ("---\n---\na: b\n...\n", "b"),
    ],
)
def test_a_value_s_offsets_cut_it_out_of_the_text(text: str, written: str) -> None:
    ((_, node),) = [found for root in parse_documents(text) for found in scalars(root) if found[0]]

    assert text[node.start : node.end] == written
    # libyaml counts what YAML 1.1 takes for line ends; none of these lies within a value here.
    assert node.line >= 1


def test_lines_are_those_of_the_values_themselves() -> None:
    (root,) = parse_documents("a: &x\n  b\nc: d\n")

    assert [(path, node.line) for path, node in scalars(root)] == [(("a",), 2), (("c",), 3)]


def test_an_alias_stays_one_and_marks_the_value_that_it_repeats() -> None:
    (root,) = parse_documents("a: &x b\nc: *x\nd: e\n")

    assert isinstance(root, MapNode)
    repeated, alias, other = (root.get(key) for key in "acd")
    assert isinstance(alias, AliasNode)
    assert alias.target is repeated
    assert isinstance(repeated, ScalarNode)
    assert isinstance(other, ScalarNode)
    assert (repeated.is_repeated, other.is_repeated) == (True, False)


def test_a_mapping_repeated_as_a_whole_shares_nothing_and_one_merged_does() -> None:
    (whole,) = parse_documents("a: &x {b: c}\nd: *x\n")
    (merged,) = parse_documents("a: &x {b: c}\nd: {<<: [*x]}\n")

    assert [node.is_repeated for _, node in scalars(whole)] == [False]
    assert [node.is_repeated for _, node in scalars(merged)] == [True]


def test_mappings_come_in_the_order_of_the_text_with_their_ends() -> None:
    text = "a:\n- b: {c: d}\n  e: f\ng: h\n"
    (root,) = parse_documents(text)

    assert [(path, text[node.start : node.end]) for path, node in mappings(root)] == [
        ((), "a:\n- b: {c: d}\n  e: f\ng: h"),
        (("a", 0), "b: {c: d}\n  e: f"),
        (("a", 0, "b"), "{c: d}"),
    ]


def test_keys_that_are_no_single_value_are_passed_by() -> None:
    (root,) = parse_documents("? [a]\n: b\n? {c: d}\n: [e]\nf: g\n&k h: i\n*k : j\n")

    assert [(path, node.value) for path, node in scalars(root)] == [(("f",), "g"), (("h",), "i"), (("h",), "j")]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [b", "line"),
        ("a: *b\n", "refers to nothing"),
        ("a: &x [*x]\n", "refers to itself"),
        ("a: \x01\n", "character"),
        ("[" * 100_000, "nested"),
        ("{a: " * 100_000, "nested"),
        ("- " * 100_000, "nested"),
        ("a: &x b\n---\nc: *x\n", "refers to nothing"),
    ],
)
def test_what_is_not_yaml_is_one_error(text: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem) as refused:
        parse_documents(text)
    assert refused.value.hint


def test_a_billion_laughs_cost_nothing() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 60)]

    (root,) = parse_documents("\n".join(lines))

    assert sum(1 for _ in scalars(root)) == 1


@pytest.mark.parametrize("word", ["a", "1", "1.10", "true", "", "~", "'1'", "!!str 1", "2024-01-01", "on"])
def test_text_is_what_yaml_takes_for_text(word: str) -> None:
    (root,) = parse_documents(f"a: {word}\n")
    assert isinstance(root, MapNode)
    node = root.get("a")

    assert isinstance(node, ScalarNode)
    value = yaml.safe_load(f"a: {word}\n")["a"]
    assert node.is_text == (isinstance(value, str) or word.startswith("2024"))
    assert node.is_null == (value is None)
