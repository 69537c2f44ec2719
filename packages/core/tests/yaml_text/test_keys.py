"""Paths of keys: written and read back, and what they lead to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.errors import UserError
from image_factory.yaml_text.keys import find_scalar, format_key, parse_key
from image_factory.yaml_text.nodes import parse_documents


@given(st.lists(st.text("ab.\\1", min_size=1, max_size=5), min_size=1, max_size=5))
def test_a_path_is_read_back_as_it_was_written(steps: list[str]) -> None:
    assert parse_key(format_key(tuple(steps))) == tuple(steps)


@pytest.mark.parametrize("key", ["", ".", "a.", ".a", "a..b"])
def test_an_empty_step_is_refused(key: str) -> None:
    with pytest.raises(UserError, match="not a path of keys"):
        parse_key(key)


def test_a_path_leads_through_lists_and_keys_with_dots() -> None:
    documents = parse_documents("spec:\n  a.b/c: [x, {'1': y}]\n")

    assert find_scalar(documents, "spec.a\\.b/c.1.1").value == "y"


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("spec.b", "line 1: nothing stands at spec.b"),
        ("spec", "spec is a mapping"),
        ("spec.a", "spec.a is a list"),
        ("spec.a.7", "nothing stands at spec.a.7"),
        ("spec.a.0.x", "nothing stands at"),
        ("later", "nothing stands at later"),
    ],
)
def test_what_leads_to_no_single_value_is_said(key: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        find_scalar(parse_documents("spec: {a: [x]}\n---\nlater: y\n"), key)


def test_a_key_of_a_later_document_is_told_from_one_that_is_nowhere() -> None:
    documents = parse_documents("a: b\n---\nlater: y\n")

    with pytest.raises(UserError) as later:
        find_scalar(documents, "later")
    with pytest.raises(UserError) as nowhere:
        find_scalar(documents, "never")
    assert "later document" in later.value.hint
    assert "later document" not in nowhere.value.hint
