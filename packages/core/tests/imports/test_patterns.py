"""Globs as minimatch reads them, and expressions in bounded time."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.errors import UserError
from image_factory.imports.patterns import expression, glob, match_any

GLOBS = [
    ("**/test/**", "a/test/Dockerfile", True),
    ("**/test/**", "test/Dockerfile", True),
    ("**/test/**", "test", False),
    ("**/test/**", "a/tests/Dockerfile", False),
    ("*.yaml", "a.yaml", True),
    ("*.yaml", "b/a.yaml", False),
    ("**/*.yaml", "a.yaml", True),
    ("**/*.yaml", ".hidden/x/a.yaml", True),
    ("apps/*/Dockerfile", "apps/web/Dockerfile", True),
    ("apps/*/Dockerfile", "apps/web/x/Dockerfile", False),
    ("apps/**", "apps/web/x/Dockerfile", True),
    ("a?c", "abc", True),
    ("a?c", "a/c", False),
    ("{a,b}/x", "b/x", True),
    ("{a,b{1,2}}/x", "b2/x", True),
    ("v[0-9]", "v7", True),
    ("v[!0-9]", "v7", False),
    ("a*b*c", "axxbyybzc", True),
    ("a*b*c", "axxcyyb", False),
    ("a.b", "axb", False),
    ("a(b)+", "a(b)+", True),
    ("**", "a/b", True),
    ("a\\*", "a*", True),
]
LISTS = [
    (["node", "python"], "node", True),
    (["*"], "any/thing", True),
    (["**"], "any/thing", True),
    (["!node"], "node", False),
    (["!node"], "python", True),
    (["/^ghcr\\.io/", "!/secret/"], "ghcr.io/acme/web", True),
    (["/^ghcr\\.io/", "!/secret/"], "ghcr.io/acme/secret", False),
    (["NODE"], "node", True),
    (["/NODE/"], "node", False),
    (["/NODE/i"], "node", True),
    ([], "node", False),
]
SLOW = ["(a+)+$", "(a|a)*$", "(?:a*)*", r"(a)\1+", "(?=a)b", "a*a*a*a*b", "((a|b)c){2,}", "x" * 501, "(?P=n)"]
QUICK = [r"^ghcr\.io/acme/", "^node.*", "(^|/)values[^/]*\\.ya?ml$", "a{1,3}", "[*+]{2}", r"\(a+\)+", "(?:abc)d"]


@pytest.mark.parametrize(("pattern", "text", "expected"), GLOBS)
def test_a_glob_takes_what_minimatch_takes(pattern: str, text: str, expected: bool) -> None:
    assert glob(pattern)(text) is expected


@pytest.mark.parametrize(("patterns", "text", "expected"), LISTS)
def test_a_list_needs_one_that_takes_and_none_that_refuses(patterns: list[str], text: str, expected: bool) -> None:
    assert match_any(text, patterns) is expected


@pytest.mark.parametrize("pattern", SLOW)
def test_an_expression_whose_tries_multiply_is_refused(pattern: str) -> None:
    with pytest.raises(UserError):
        expression(pattern)


@pytest.mark.parametrize("pattern", QUICK)
def test_an_expression_that_people_write_is_taken(pattern: str) -> None:
    assert callable(expression(pattern))


@pytest.mark.parametrize("pattern", ["[b-a]", "x/[z-a]*"])
def test_what_is_no_glob_is_refused(pattern: str) -> None:
    with pytest.raises(UserError, match="not a pattern"):
        glob(pattern)


@pytest.mark.parametrize("pattern", ["[a&&b]", "[[a]", "[a||b]", "[a~~b]"])
def test_signs_that_may_mean_more_one_day_are_taken(pattern: str) -> None:
    assert glob(pattern)("a")
    assert expression(pattern)("a")


def test_what_is_no_expression_is_refused() -> None:
    with pytest.raises(UserError, match="not a pattern"):
        expression("(a")


def test_the_worst_that_is_taken_is_quick() -> None:
    began = time.process_time()

    assert not expression("a*a*a*b")("a" * 512)
    assert not glob("/".join(["**"] * 120 + ["b"]))("/".join(["a"] * 256))
    assert not glob("*a" * 200 + "b")("a" * 512)

    assert time.process_time() - began < 5


@given(st.text(st.sampled_from("ab/*?[]{}!,\\."), max_size=20), st.text(st.sampled_from("ab/."), max_size=20))
def test_any_glob_is_read_or_refused(pattern: str, text: str) -> None:
    with contextlib.suppress(UserError):
        assert glob(pattern)(text) in (True, False)


@given(st.text(st.sampled_from("ab/.-_"), min_size=1, max_size=30))
def test_a_text_without_signs_is_a_glob_of_itself(text: str) -> None:
    assert match_any(text, [text])
