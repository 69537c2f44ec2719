"""The built-in tag strategies: each with its corners, and none that depends on the order of its input."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.decide.strategies import DigestStrategy, LexicalStrategy, NewestBuildStrategy, SemVerStrategy
from image_factory.errors import UserError
from image_factory.model.selection import Candidate
from image_factory.ports import TagStrategy


def chosen(strategy: TagStrategy, tags: list[str], constraint: str | None) -> str | None:
    found = strategy.select([Candidate(tag) for tag in tags], constraint).chosen
    return found.tag if found else None


@pytest.mark.parametrize(
    ("tags", "constraint", "expected"),
    [
        pytest.param(["1.2.0", "1.10.0", "1.9.0"], "*", "1.10.0", id="numbers, not characters, are compared"),
        pytest.param(["1.2.0", "2.0.0"], "^1.0", "1.2.0", id="a caret keeps the major version"),
        pytest.param(["0.2.5", "0.3.0"], "^0.2.1", "0.2.5", id="a caret below 1 keeps the minor version"),
        pytest.param(["1.2.9", "1.3.0"], "~1.2.3", "1.2.9", id="a tilde keeps the minor version"),
        pytest.param(["1.2.9", "1.3.0"], "1.2.x", "1.2.9", id="an x stands for any patch"),
        pytest.param(["1.0.0", "1.5.0", "2.0.0"], ">=1.0.0 <2.0.0", "1.5.0", id="bounds that must both hold"),
        pytest.param(["1.0.0", "3.0.0"], "^1 || ^3", "3.0.0", id="alternatives"),
        pytest.param(["1.0.0", "1.5.0", "2.0.0"], "1.0.0 - 1.9", "1.5.0", id="a range with a hyphen"),
        pytest.param(["v1.0.0", "v1.1.0"], "*", "v1.1.0", id="a leading v, reported as it stands"),
        pytest.param(["1.0.0", "1.1.0-rc.1"], "*", "1.0.0", id="a prerelease is passed over"),
        pytest.param(["1.1.0-rc.1", "1.1.0-rc.2"], ">=1.1.0-rc.0", "1.1.0-rc.2", id="unless the range names one"),
        pytest.param(["1.0.0-alpine", "1.0.0"], "*", "1.0.0", id="a suffix makes a prerelease"),
        pytest.param(["latest", "edge"], "*", None, id="tags that are no versions"),
        pytest.param([], "*", None, id="no tags"),
        pytest.param(["1.0.0+a", "1.0.0+b"], "*", "1.0.0+b", id="versions that are equal: the tag decides"),
        pytest.param(["1.0.0", "1.1.0"], "!=1.1.0", "1.0.0", id="all but one"),
        pytest.param(["16", "17"], "16", "16", id="a whole number stands for its versions"),
        pytest.param(["01.2.3"], "*", None, id="leading zeros make no version"),
    ],
)
def test_semver_picks_the_greatest_version_in_range(tags: list[str], constraint: str, expected: str | None) -> None:
    assert chosen(SemVerStrategy(), tags, constraint) == expected


@pytest.mark.parametrize("constraint", ["", "abc", ">", "1.2.3.4", ">=1 ||", "^", "x.y"])
def test_what_is_no_range_is_refused_with_an_example(constraint: str) -> None:
    if constraint == "":
        assert chosen(SemVerStrategy(), ["1.0.0"], constraint) == "1.0.0"
        return
    with pytest.raises(UserError, match="not a version range"):
        SemVerStrategy().select([Candidate("1.0.0")], constraint)


def test_digest_takes_the_one_tag_that_is_named() -> None:
    assert chosen(DigestStrategy(), ["22", "22-slim"], "22") == "22"
    assert chosen(DigestStrategy(), ["22-slim"], "22") is None


def test_digest_without_a_tag_is_an_error() -> None:
    with pytest.raises(UserError, match="no tag"):
        DigestStrategy().select([], None)


def test_lexical_takes_the_last_in_the_order_of_characters() -> None:
    assert chosen(LexicalStrategy(), ["2026-01-02", "2026-01-10", "nightly"], r"^2026-") == "2026-01-10"


def test_a_pattern_that_does_not_compile_is_refused() -> None:
    with pytest.raises(UserError, match="not a regular expression"):
        LexicalStrategy().select([Candidate("a")], "(")


def test_newest_build_passes_over_tags_without_a_time() -> None:
    old = Candidate("old", created_at=datetime(2026, 1, 1, tzinfo=UTC))
    new = Candidate("new", created_at=datetime(2026, 2, 1, tzinfo=UTC))

    assert NewestBuildStrategy().select([new, Candidate("zzz"), old], None).chosen == new


def test_no_match_is_a_result_with_its_reason() -> None:
    assert LexicalStrategy().select([Candidate("a")], "^b").reason == "no tag matches ^b"


@given(
    st.lists(st.from_regex(r"v?[0-9]{1,2}\.[0-9]{1,2}(\.[0-9]{1,2})?(-rc\.[0-9])?", fullmatch=True), max_size=8),
    st.randoms(use_true_random=False),
    st.sampled_from([SemVerStrategy(), LexicalStrategy()]),
)
def test_the_choice_is_a_candidate_and_does_not_depend_on_the_order(
    tags: list[str], random: object, strategy: TagStrategy
) -> None:
    shuffled = list(tags)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    first = chosen(strategy, tags, None)

    assert first == chosen(strategy, shuffled, None)
    assert first is None or first in tags
