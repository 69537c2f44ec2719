"""Writing values: in the style that was there, read back as the same text."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from image_factory.errors import UserError
from image_factory.yaml_text.edits import (
    Edit,
    add_field,
    apply_edits,
    apply_to_yaml,
    insert_line,
    is_plain,
    replace_scalar,
    write_plain,
)
from image_factory.yaml_text.nodes import MapNode, parse_documents, scalars

tags = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9._-]{0,9}\Z")
numbers = st.sampled_from(
    [
        "3.10",
        "1e3",
        "0x1F",
        "0o17",
        "12",
        "1_000",
        "1.",
        ".5",
        "0b1",
        "2024-01-01",
        "2024-1-1T0",
        "on",
        "Y",
        "null",
        "True",
        ".nan",
        "_",
    ]
)
frames = st.sampled_from(
    [
        "a: OLD\n",
        "a: 'OLD'\n",
        'a: "OLD"\n',
        "a: OLD # c\n",
        "a: [OLD, b]\n",
        "{a: OLD}",
        "- OLD",
        "a: |\n  OLD\n",
        "a: >-\n  OLD\n",
        "a: &x OLD\n",
    ]
)


@given(frames, tags | numbers)
def test_a_value_is_read_back_as_the_text_that_was_written(frame: str, tag: str) -> None:
    text = frame.replace("OLD", "old")
    node = next(node for root in parse_documents(text) for _, node in scalars(root) if node.value.strip() == "old")

    new = apply_edits(text, [replace_scalar(text, node, tag, "a")])

    assert new.replace(f'"{tag}"', tag) == frame.replace("OLD", tag).replace(f'"{tag}"', tag)
    (found, *_) = [node.value.strip() for root in parse_documents(new) for _, node in scalars(root)]
    assert found == tag
    loaded = yaml.safe_load(new)
    value = loaded["a"] if isinstance(loaded, dict) else loaded
    assert str(value[0] if isinstance(value, list) else value).strip() == tag


@pytest.mark.parametrize("word", ["v1.2", "16-alpine", "a", "ghcr.io/acme/web:1@sha256:ab", "1.2.3", "_x"])
def test_words_stand_plain(word: str) -> None:
    assert write_plain(word) == word


@pytest.mark.parametrize(
    "word", ["1.2", "1", "1e3", "1E-3", "0o7", "12:30", "2024-01-01", "no", "Y", "~", "", "[::1]:5/a", "a:", "-a"]
)
def test_what_some_reader_takes_for_something_else_is_quoted(word: str) -> None:
    assert not is_plain(word)
    assert write_plain(word) == f'"{word}"'


def test_edits_are_made_from_the_front_whatever_their_order() -> None:
    assert apply_edits("abcd", [Edit(2, 3, "X"), Edit(0, 1, ""), Edit(4, 4, "!")]) == "bXd!"


def test_a_line_is_inserted_with_the_text_s_line_end() -> None:
    assert apply_edits("a\r\nb", [insert_line("a\r\nb", 1, "x\ny")]) == "a\r\nx\r\ny\r\nb"
    assert apply_edits("a\nb", [insert_line("a\nb", 3, "x")]) == "a\nb\nx"


def test_a_block_of_several_lines_is_refused() -> None:
    text = "a: |\n  b\n  c\n"
    ((_, node),) = scalars(parse_documents(text)[0])

    with pytest.raises(UserError, match="line 1: a is a block"):
        replace_scalar(text, node, "x", "a")


def test_a_field_goes_behind_the_one_it_belongs_to() -> None:
    text = "\ufeffname: a\nz: b\n"
    (root,) = parse_documents(text)
    assert isinstance(root, MapNode)

    assert apply_edits(text, [add_field(text, root, "tag", "1", ("name",))]) == '\ufeffname: a\ntag: "1"\nz: b\n'
    with pytest.raises(UserError, match="no place for tag"):
        add_field(text, root, "tag", "1", ("nothing",))


def test_a_text_that_would_be_no_yaml_any_more_is_refused() -> None:
    assert apply_to_yaml("a: b\n", [Edit(3, 4, "c")]) == "a: c\n"
    with pytest.raises(UserError, match="cannot be changed where it stands") as refused:
        apply_to_yaml("a: b\n", [Edit(3, 4, "[c")])
    assert refused.value.hint
