"""Semantic versions: what is one, and how they are ordered (semver.org 2.0.0, items 9 to 11)."""

from __future__ import annotations

import pytest

from image_factory.decide.semver import InvalidRange, Range, SemanticVersion


def test_the_order_of_the_specification_holds() -> None:
    ordered = [
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
        "1.0.1",
        "1.1.0",
        "2.0.0",
        "2.10.0",
    ]
    versions = [SemanticVersion.parse(text) for text in reversed(ordered)]

    assert [str(version) for version in sorted(versions, key=lambda one: one.precedence if one else ())] == ordered


@pytest.mark.parametrize(
    "text", ["", "a", "1.2.3.4", "1.02", "1.2.3-01", "1.2.3-", "v", "1..2", " 1.2.3", "1.2.3\n", "１.2.3"]
)
def test_what_is_no_version_gives_none(text: str) -> None:
    assert SemanticVersion.parse(text) is None


def test_build_metadata_does_not_order() -> None:
    one, other = SemanticVersion.parse("1.0.0+a"), SemanticVersion.parse("1.0.0+b")

    assert one is not None
    assert other is not None
    assert one.precedence == other.precedence


def test_a_range_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidRange):
        Range.parse("1.0 ||")
