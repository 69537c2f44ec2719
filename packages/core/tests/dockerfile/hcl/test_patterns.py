"""RE2 patterns: which are read, which are refused because they could run away."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_factory.dockerfile.hcl.nodes import HclError
from image_factory.dockerfile.hcl.patterns import compile_pattern, replace_all


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"^v?(\d+)\.(\d+)", "v1.20.3", ("1", "20")),
        (r"(?P<major>\d+)", "a7", ("7",)),
        (r"(?<major>\d+)", "a7", ("7",)),
        (r"[^a-zA-Z0-9_-]+(x)", "a/x", ("x",)),
        (r"(?i)(ABC)", "abc", ("abc",)),
        (r"(?:a|b)(c)?", "bc", ("c",)),
        (r"(a)\z", "ba", ("a",)),
        (r"([[&|~a]+)", "x[&|~", ("[&|~",)),
        (r"([\]\\]+)", "x]", ("]",)),
    ],
)
def test_a_pattern_finds_what_re2_finds(pattern: str, text: str, found: tuple[str, ...]) -> None:
    match = compile_pattern(pattern, text, 1).search(text)

    assert match is not None
    assert match.groups() == found


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+", "(a*)*b", "(a|a)*", "((a+)b)+", "(a{2,}){3}", "a{1000}", "[[:alpha:]]", r"\pL", r"(a)\1", "(?=a)",
     "(?<!a)", "[a--b]", "a++", "(", "[", "a" * 501, "a*a*a*a*a*a*a*a*a*"],
)  # fmt: skip
def test_a_pattern_that_could_run_away_or_means_another_thing_is_refused(pattern: str) -> None:
    with pytest.raises(HclError):
        compile_pattern(pattern, "a" * 50, 1)


@pytest.mark.parametrize(
    ("replacement", "result"),
    [("$1", "b"), ("${1}x", "bx"), ("$1x", ""), ("$$1", "$1"), ("$9", ""), ("$name", "b"), (r"\1", r"\1"), ("", "")],
)
def test_a_replacement_is_expanded_as_go_does(replacement: str, result: str) -> None:
    assert replace_all(re.compile("a(?P<name>.)c"), "abc", replacement, 1) == result


@settings(max_examples=200, deadline=None)
@given(st.text("ab()*+?|[]^{1,2}.\\d$", max_size=20))
def test_whatever_is_accepted_ends_soon(pattern: str) -> None:
    text = "ab" * 40
    before = time.perf_counter()
    try:
        compiled = compile_pattern(pattern, text, 1)
    except HclError:
        return
    compiled.sub("", text)

    assert time.perf_counter() - before < 2
