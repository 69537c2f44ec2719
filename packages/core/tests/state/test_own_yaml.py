"""Our own form of YAML, read without libyaml: what libyaml reads, or nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.errors import InvalidState
from image_factory.state.own_yaml import MAX_LINE, MAX_LINES, read_own_form
from image_factory.state.yaml_reader import parse_any_form
from image_factory.state.yaml_writer import write_mapping

OURS = """\
# State of an enrolled image; "quoted" - and: so on.

name: web
enrolledAt: "2026-03-01T12:00:00Z"
allowTags: "^3\\\\.11-slim$"
said: "\\"so\\""
none: null
yes: y
autoRebuild: true
size: 0
offset: -12
empty: []
labels: {}
gap:
enrollment:
  source:
    repo: acme/web
    # A comment.
    buildArgs:
      org.opencontainers.image.title: a web, (really)=1
  rebuildDelay: "7d"
baseImages:
- base-1
- 5
- "x: y"
references:
- name: base-1
  platforms:
  - linux/amd64
  - linux/arm64
  last:
- name: base:2
  nested:
    - deep
   \t"""


def by_libyaml(text: str) -> Any:
    try:
        return parse_any_form(text, "state.yaml")
    except InvalidState as error:
        return error


def test_our_form_is_read_as_libyaml_reads_it() -> None:
    text = OURS.rpartition("\n")[0]
    read = read_own_form(text)

    assert read is not None
    assert read == by_libyaml(text)
    assert repr(read) == repr(by_libyaml(text))
    assert read["references"][0] == {"name": "base-1", "platforms": ["linux/amd64", "linux/arm64"], "last": None}
    assert read["allowTags"] == r"^3\.11-slim$"
    assert (read["yes"], read["autoRebuild"], read["gap"], read["labels"]) == ("y", True, None, {})


def test_a_list_or_mapping_of_nothing_is_each_time_a_new_one() -> None:
    first, second = read_own_form("a: []\nb: {}\n"), read_own_form("a: []\nb: {}\n")

    assert first == second == {"a": [], "b": {}}
    assert first is not None
    assert second is not None
    assert first["a"] is not second["a"]
    assert first["b"] is not second["b"]


def test_a_document_of_nothing_is_an_empty_mapping() -> None:
    assert read_own_form("") == read_own_form("\n# nothing\n  \n") == {}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(OURS, id="a tab"),
        pytest.param("a: 'x'\n", id="other quotes"),
        pytest.param('a: "x\\n"\n', id="an escape"),
        pytest.param("a: x # note\n", id="a comment behind a value"),
        pytest.param("a: ü\n", id="a letter beyond ASCII"),
        pytest.param("# \x85a: 1\n", id="a line break of YAML alone"),
        pytest.param("a: 1\r\n", id="another line end"),
        pytest.param("---\na: 1\n", id="a marker"),
        pytest.param("a: &b x\n", id="an anchor"),
        pytest.param("a: *b\n", id="an alias"),
        pytest.param("a: !!str x\n", id="a tag"),
        pytest.param("a: |\n  x\n", id="a block text"),
        pytest.param("a: x\n  y\n", id="a text of two lines"),
        pytest.param("a: x\n  b: y\n", id="a mapping below a text"),
        pytest.param("a: [x]\n", id="a list on one line"),
        pytest.param("a: 1.5\n", id="a fraction"),
        pytest.param("a: 012\n", id="digits that are no number"),
        pytest.param("a: 1\na: 2\n", id="a key twice"),
        pytest.param("? a\n: b\n", id="a key written at length"),
        pytest.param("1: x\n", id="a number as a key"),
        pytest.param("- x\n", id="a list"),
        pytest.param("x\n", id="a text"),
        pytest.param("a:\n    b: 1\n  c: 2\n", id="a line between two levels"),
        pytest.param("a:\n- x\n b: 1\n", id="a mapping below an item"),
        pytest.param("a:\n- - x\n", id="a list in a list"),
        pytest.param("a:\n-\n  b: 1\n", id="an item below its dash"),
        pytest.param("a: b: c\n", id="two keys in a line"),
        pytest.param(f"a: {'x' * MAX_LINE}\n", id="a long line"),
        pytest.param("\n" * (MAX_LINES + 1), id="too many lines"),
    ],
)
def test_any_other_form_is_left_to_libyaml(text: str) -> None:
    assert read_own_form(text) is None


words = st.from_regex(r"[A-Za-z_][A-Za-z0-9_./-]{0,8}\Z")
scalars = st.one_of(
    words,
    st.sampled_from(["", "on", "null", "3.10", "2026-03-01T12:00:00Z", "a: b", "^3\\.11$", "x #y", "- z", '"']),
    st.integers(-(10**6), 10**6),
    st.booleans(),
    st.none(),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(st.one_of(scalars, st.dictionaries(words, inner, min_size=1, max_size=3)), max_size=3),
        st.dictionaries(words, inner, max_size=3),
    ),
    max_leaves=12,
)


@given(st.dictionaries(words.filter(lambda key: key.lower() not in {"y", "n", "on", "no", "off"}), values, max_size=4))
def test_what_we_write_is_read_back(record: dict[str, Any]) -> None:
    text = write_mapping(record)
    read = read_own_form(text)

    assert read is None or read == record == by_libyaml(text)


FRAGMENTS = [
    *("- ", "  ", " ", "a: ", "b:", "c: x", "- k: v", "- y", '"q"', '""', "[]", "{}", "null", "~", "7", "-5", "01"),
    *("#c", " # c", "\n", "\n- ", "\n  ", "\n  - ", ":", "-", "---", "&a", "*a", "!", "|", "?", "%", "'", '"', "\\"),
    *("\\\\", '\\"', "\t", "\r", "é", "\x85", "\u2028", "x y", "<<: x", ",", "(", "="),
]


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join))
def test_whatever_is_read_is_what_libyaml_reads(text: str) -> None:
    read = read_own_form(text)

    assert read is None or repr(read) == repr(by_libyaml(text))
