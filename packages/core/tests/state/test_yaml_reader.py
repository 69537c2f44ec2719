from __future__ import annotations

import pytest

from image_factory.errors import InvalidState
from image_factory.state.own_yaml import parse_mapping
from image_factory.state.yaml_reader import MAX_DEPTH, format_float, line_of


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-12", -12),
        ("0", 0),
        ("1.5", 1.5),
        ("1.0e+16", 1e16),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        *((text, text) for text in ("3.10", "1e3", "0x1f", "0o7", "012", "+1", "1_000", "on", "Yes", "True", "y")),
        *((text, text) for text in ("2024-01-01", "12:30:45", ".5", ".inf", ".nan", "=", "-0", "1.")),
        ('"3"', "3"),
        ("!!str 3", "3"),
        ("!!int 3", 3),
    ],
)
def test_a_scalar_is_a_number_only_where_that_loses_nothing(text: str, value: object) -> None:
    read = parse_mapping(f"key: {text}\n", "f")["key"]

    assert (type(read), read) == (type(value), value)


def test_keys_are_texts() -> None:
    assert parse_mapping("1: a\n3.10: b\ntrue: c\n", "f") == {"1": "a", "3.10": "b", "true": "c"}


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n"])
def test_an_empty_document_is_an_empty_mapping(text: str) -> None:
    assert parse_mapping(text, "f") == {}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: [\n", 3, "not YAML"),
        ("a: 1\n---\nb: 1\n", 2, "not YAML"),
        ("- a\n", 1, "not a mapping but a list"),
        ("3\n", 1, "not a mapping but a single value"),
        ("a: 1\nb: 2\na: 3\n", 3, "'a' is there twice"),
        ("a: 1\n? [b]\n: 2\n", 2, "a key is a list"),
        ("a: 1\nb: !!binary aGk=\n", 2, "binary"),
        ("a: 1\nb: !own x\n", 2, "'!own'"),
        ("a: *nowhere\n", 1, "not YAML"),
        ("a: \x00\n", 1, "not YAML"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(InvalidState) as caught:
        parse_mapping(text, "f.yaml")

    assert words in caught.value.message
    assert caught.value.location is not None
    assert (caught.value.location.file, caught.value.location.line) == ("f.yaml", line)


# The depths would end the process: libyaml's recursion overflows the stack.
@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 200_000 + "]" * 200_000,
        "a: " + "{a: " * 200_000 + "}" * 200_000,
        "a:\n  " + "- " * 200_000 + "x",
        "? " * 200_000 + "x",
        "".join(f"{' ' * depth}a:\n" for depth in range(1_000)),
        "a: " + "[" * 200_000,
    ],
    ids=["lists", "maps", "lists of lists", "keys of keys", "indentation", "never closed"],
)
def test_deep_nesting_is_refused_and_ends_nothing(text: str) -> None:
    with pytest.raises(InvalidState):
        parse_mapping(text, "f")


def test_nesting_up_to_the_limit_is_read() -> None:
    value = parse_mapping("a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1), "f")["a"]

    for _ in range(MAX_DEPTH - 2):
        (value,) = value
    assert value == []


def test_aliases_are_read_until_they_expand_to_too_much() -> None:
    assert parse_mapping("a: &x {b: 1}\nc: *x\n", "f") == {"a": {"b": 1}, "c": {"b": 1}}

    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    with pytest.raises(InvalidState, match="aliases expand to more than"):
        parse_mapping(bomb, "f")


def test_a_value_that_holds_itself_is_refused() -> None:
    with pytest.raises(InvalidState, match="nested deeper"):
        parse_mapping("a: &x [*x]\n", "f")


@pytest.mark.parametrize(
    ("path", "line"),
    [(("a",), 1), (("b", "c"), 3), (("b", "d", 1), 6), (("b", "d", 7), 4), (("b", "missing"), 2), (("missing",), 1)],
)
def test_a_line_is_that_of_the_value_or_of_the_nearest_one_around_it(path: tuple[str | int, ...], line: int) -> None:
    assert line_of("a: 1\nb:\n  c: 2\n  d:\n  - 1\n  - 2\n", path) == line


@pytest.mark.parametrize(
    ("number", "text"), [(1e16, "1.0e+16"), (0.1, "0.1"), (1e-7, "1.0e-07"), (-1.5e300, "-1.5e+300")]
)
def test_a_float_is_written_as_both_yaml_versions_read_it(number: float, text: str) -> None:
    assert format_float(number) == text
    assert parse_mapping(f"a: {text}\n", "f") == {"a": number}
