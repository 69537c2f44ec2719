"""HCL's syntax, held against python-hcl2 where both read a text, and by tables where it does not."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_factory.dockerfile.hcl.json_syntax import parse_json_body
from image_factory.dockerfile.hcl.nodes import Access, Block, Body, Chain, HclError, Literal, Node, ObjectOf, TupleOf
from image_factory.dockerfile.hcl.syntax import MAX_DEPTH, parse_body


def _plain(node: Node) -> Any:
    """Return the value of an expression that is nothing but literals."""
    match node:
        case Literal():
            return node.value
        case TupleOf():
            return [_plain(item) for item in node.items]
        case ObjectOf():
            return {_plain(key): _plain(value) for key, value in node.items}
        case Access() if not node.steps:
            return _plain(node.source)
    raise AssertionError(f"not a literal: {node}")


def _expression(text: str) -> Node:
    return parse_body(f"a = {text}").attributes["a"].expression


_WORDS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=8)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 10**9) | _WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), inner),
    max_leaves=8,
)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("${", "$${").replace("%{", "%%{") + '"'


def _written(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    if isinstance(value, dict):
        return "{\n" + "".join(f"{_quoted(key)} = {_written(item)}\n" for key, item in value.items()) + "}"
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


@settings(max_examples=100, deadline=None)
@given(_VALUES)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert _plain(_expression(_written(value))) == value


_SIMPLE = st.recursive(
    st.none() | st.booleans() | st.integers(0, 10**9) | st.from_regex(r"[a-z .:/-]{0,8}", fullmatch=True),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.from_regex(r"[b-z]{6}", fullmatch=True), inner),
    max_leaves=8,
)


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.from_regex(r"[b-z]{6}", fullmatch=True), _SIMPLE, max_size=4))
def test_python_hcl2_reads_the_same(attributes: dict[str, Any]) -> None:
    hcl2 = pytest.importorskip("hcl2", reason="python-hcl2, the oracle, is not installed")

    def unquoted(value: Any) -> Any:
        if isinstance(value, list):
            return [unquoted(item) for item in value]
        if isinstance(value, dict):
            return {unquoted(key): unquoted(item) for key, item in value.items()}
        return value[1:-1] if isinstance(value, str) and value.startswith('"') else value

    text = "".join(f"{name} = {_written(value)}\n" for name, value in attributes.items())
    ours = {name: _plain(attribute.expression) for name, attribute in parse_body(text).attributes.items()}

    assert ours == {name: unquoted(value) for name, value in hcl2.loads(text).items()}


@settings(max_examples=50, deadline=None)
@given(_VALUES)
def test_json_is_read_as_json(value: Any) -> None:
    text = json.dumps({"a": value}).replace("${", "$${").replace("%{", "%%{")

    assert _plain(parse_json_body(text, frozenset()).attributes["a"].expression) == value


GOOD = [
    ("comments of all kinds", "# a\n// b\n/* c\n */ x = 1 # d\n", ["x"], []),
    ("carriage returns", "x = 1\r\ny = [\r\n2,\r\n]\r\n", ["x", "y"], []),
    ("a byte-order mark", "\ufeffx = 1", ["x"], []),
    ("no last newline", "x = 1", ["x"], []),
    ("a block on one line", 'target "a" { x = 1 }', [], ["target"]),
    ("a block without quotes", "target a {\n}", [], ["target"]),
    ("a block in a block", "a {\n b { x = 1 }\n}", [], ["a"]),
    ("names that are keywords elsewhere", "for = 1\nif = 2\nnull = 3", ["for", "if", "null"], []),
    ("names with hyphens and letters of any script", "a-b = 1\né = 2", ["a-b", "é"], []),
]


@pytest.mark.parametrize(("text", "attributes", "blocks"), [case[1:] for case in GOOD], ids=[case[0] for case in GOOD])
def test_a_body_holds_attributes_and_blocks(text: str, attributes: list[str], blocks: list[str]) -> None:
    body = parse_body(text)

    assert (list(body.attributes), [block.type for block in body.blocks]) == (attributes, blocks)


BAD = [
    ("an open block", "a {\nx = 1", 1),
    ("an open list", "a = [1,\n2", 2),
    ("an open object", "a = {\nb = 1", 2),
    ("an open call", "a = f(1", 1),
    ("an open text", '\na = "x\n"', 2),
    ("an open interpolation", '\na = "${x', 2),
    ("an escape that is none", 'a = "\\q"', 1),
    ("a surrogate", 'a = "\\ud800"', 1),
    ("a number without its beginning", "a = .5", 1),
    ("an operator at the line's end", "a = 1 +\n2", 1),
    ("two items without a comma", "a = [1 2]", 1),
    ("two values on a line of an object", "a = { b = 1 c = 2 }", 1),
    ("a brace too many", "a = 1\n}", 2),
    ("an else without if", 'a = "%{ else }"', 1),
    ("an if without end", 'a = "%{ if x }"', 1),
    ("an endfor for an if", 'a = "%{ if x }%{ endfor }"', 1),
    ("a directive that is none", 'a = "%{ while x }"', 1),
    ("a condition without else", "a = x ? y", 1),
    ("nothing", "a =", 1),
    ("a label with a template", 'a "${x}" {}', 1),
    ("a heredoc without a name", "a = <<\nx\n", 1),
]


@pytest.mark.parametrize(("text", "line"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_what_is_no_hcl_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(HclError) as refused:
        parse_body(text)

    assert refused.value.line == line


def test_lines_are_counted_where_things_begin() -> None:
    body = parse_body('# one\n\na = [\n  1,\n  x,\n]\nb "c" {\n  d = <<E\n\nE\n  e = 1\n}\n')
    block = body.blocks[0]

    assert body.attributes["a"].line == 3
    assert isinstance(body.attributes["a"].expression, TupleOf)
    assert [item.line for item in body.attributes["a"].expression.items] == [4, 5]
    assert (block.line, {name: found.line for name, found in block.body.attributes.items()}) == (7, {"d": 8, "e": 11})


def test_depth_up_to_the_bound_is_read() -> None:
    deep = MAX_DEPTH - 2

    assert isinstance(_expression("[" * deep + "]" * deep), TupleOf)
    with pytest.raises(HclError, match="stand in each other"):
        _expression("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))


def test_a_chain_is_flat_however_long() -> None:
    node = _expression("1" + " + 1" * 5000)

    assert isinstance(node, Chain)
    assert len(node.rest) == 5000


JSON_BLOCKS = frozenset({"target"})


def test_json_s_blocks_may_be_lists_and_stand_twice() -> None:
    text = '{"target": {"a": {"x": 1}, "b": [{"y": 2}]},\n "target": [{"c": {}}], "v": "t"}'
    body: Body = parse_json_body(text, JSON_BLOCKS)

    def shape(block: Block) -> tuple[str, list[str], int]:
        return block.labels[0], list(block.body.attributes), block.line

    assert [shape(block) for block in body.blocks] == [("a", ["x"], 1), ("b", ["y"], 1), ("c", [], 2)]
    assert list(body.attributes) == ["v"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"a" 1}',
        '{"a": 1,}',
        '{"a": 01}',
        '{"a": nul}',
        "{'a': 1}",
        '{"a": 1} x',
        '{"target": 1}',
        '{"a": "\n"}',
    ],
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(HclError):
        parse_json_body(text, JSON_BLOCKS)


def test_numbers_are_exact() -> None:
    assert _plain(_expression("[0.1, 1e2, 100000000000000000001]")) == [
        Decimal("0.1"),
        Decimal(100),
        Decimal(100000000000000000001),
    ]
