"""Row 16: for every tag, the pattern that watches it is anchored, escaped once, and matches that tag alone."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from image_factory.model.enrollment import tag_pattern
from image_factory.oci.reference import is_tag

TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True)


def near(tag: str) -> set[str]:
    """Other tags that a careless pattern would match: one character more, fewer or other, or in another case."""
    changed = {f"{tag}x", f"x{tag}", tag[1:], tag[:-1], tag.swapcase()}
    changed |= {tag[:at] + "x" + tag[at + 1 :] for at, letter in enumerate(tag) if letter in "._-"}
    return {other for other in changed if other != tag and is_tag(other)}


@given(TAGS)
@example("3.12-slim")
@example("v1.0.0-rc.1_x")
def test_row16_a_tags_pattern_matches_that_tag_alone(tag: str) -> None:
    """Broken by: leaving out an anchor, escaping no dot, or escaping twice."""
    pattern = tag_pattern(tag)

    assert (pattern[0], pattern[-1]) == ("^", "$")
    assert re.search(pattern, tag)
    assert [other for other in near(tag) if re.search(pattern, other)] == []
    # Nothing that Go's RE2 and Python's re read differently: a dot behind one backslash, and tags' own characters.
    assert pattern[1:-1].replace("\\.", ".") == tag


@given(TAGS, TAGS)
def test_row16_two_tags_never_share_a_pattern(one: str, other: str) -> None:
    """Broken by: dropping or folding a character on the way."""
    assert (tag_pattern(one) == tag_pattern(other)) is (one == other)
