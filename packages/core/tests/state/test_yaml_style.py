from __future__ import annotations

import pytest

from image_factory.state.yaml_style import ListStyle, dump_block, read_style


@pytest.mark.parametrize(
    ("text", "style"),
    [
        pytest.param("", ListStyle(), id="nothing: our own habits"),
        pytest.param("- a: 1\n- a: 2\n", ListStyle(is_spaced=False, end=14), id="close together"),
        pytest.param("- a: 1\n\n# c\n- a: 2\n", ListStyle(end=19), id="a blank line above a comment"),
        pytest.param(" -  a: 1\r\n", ListStyle(column=1, inner=3, newline="\r\n", end=10), id="indented, Windows"),
        pytest.param("- a:\n  - x\n", ListStyle(indents_lists=False, end=11), id="lists that are not indented"),
        pytest.param("- a: 1\n...\n# c\n", ListStyle(end=7), id="a document that ends before the text"),
        pytest.param("# ü\n[]\n", ListStyle(end=7, flow_end=5, is_empty=True), id="empty brackets"),
        pytest.param("[{a: 1}]", ListStyle(end=8, flow_end=7), id="brackets"),
    ],
)
def test_the_layout_of_a_list_is_read(text: str, style: ListStyle) -> None:
    assert style == read_style(text)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param("3.10", '"3.10"', id="a number"),
        pytest.param("on", '"on"', id="a truth of YAML 1.1"),
        pytest.param("1e3", '"1e3"', id="a number of YAML 1.2"),
        pytest.param("2026-01-01", '"2026-01-01"', id="a date"),
        pytest.param("", '""', id="nothing"),
        pytest.param("16-alpine", "16-alpine", id="a word"),
        pytest.param("^16-alpine$", "^16-alpine$", id="a pattern"),
        pytest.param("a: b", "'a: b'", id="what looks like a mapping"),
        pytest.param("größe 🙂", "größe 🙂", id="letters of all kinds"),
    ],
)
def test_text_is_quoted_where_some_reader_would_take_it_for_something_else(value: str, written: str) -> None:
    assert f"a: {written}\n" == dump_block({"a": value})
