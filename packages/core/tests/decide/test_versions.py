"""Which published versions are shown, in which order, on which page."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.decide.versions import choose_versions, is_whole_version, join_tags, looks_pinned, take_page
from image_factory.oci.platform import Platform
from image_factory.oci.reference import Digest
from image_factory.ports import Version

A, B, C = (Digest("sha256", letter * 64) for letter in "abc")


def day(number: int) -> datetime:
    return datetime(2026, 2, number, tzinfo=UTC)


def shown(*versions: Version, semver_only: bool = True) -> list[str]:
    return [row.tag for row in choose_versions(join_tags(versions), semver_only=semver_only)]


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("1.2.3", True),
        ("v1.2.3", True),
        ("1.2.3-alpine", True),
        ("1.2.3-rc.1", True),
        ("1.2", False),
        ("1", False),
        ("20260301", False),
        ("latest", False),
        ("1.2.3.4", False),
        ("01.2.3", False),
        ("1.2.3-01", False),
        ("x1.2.3", False),
        ("", False),
    ],
)
def test_a_whole_version_has_three_numbers(tag: str, expected: bool) -> None:
    assert is_whole_version(tag) is expected
    assert looks_pinned(tag) is expected


def test_every_tag_of_a_digest_is_looked_at() -> None:
    rows = choose_versions(join_tags([Version("latest", A), Version("1.2.3", A)]), semver_only=True)

    assert [(row.tag, row.tags) for row in rows] == [("1.2.3", ("1.2.3", "latest"))]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["latest", "1", "1.2", "1.2.3"], "1.2.3"),
        (["latest", "1.2", "1"], "1.2"),
        (["latest", "stable"], "stable"),
        (["1.2.3-bookworm", "1.2.3"], "1.2.3"),
        (["v1.2.3", "1.2.3"], "1.2.3"),
        (["1.2.3", "1.2.4"], "1.2.4"),
        (["latest"], "latest"),
    ],
)
def test_the_most_telling_tag_names_a_version(tags: list[str], expected: str) -> None:
    for order in (tags, tags[::-1]):
        (row,) = join_tags(Version(tag, A) for tag in order)
        assert row.tag == expected
        assert sorted(row.tags) == sorted(tags)


def test_the_filter_leaves_out_what_has_no_whole_version_and_can_be_turned_off() -> None:
    versions = [Version("main", A), Version("1.0.0", B), Version("1.0", C)]

    assert shown(*versions) == ["1.0.0"]
    assert sorted(shown(*versions, semver_only=False)) == ["1.0", "1.0.0", "main"]


def test_the_newest_comes_first() -> None:
    versions = [Version("1.0.0", A, published_at=day(1)), Version("0.9.1", B, published_at=day(3)), Version("2.0.0", C)]

    assert shown(*versions) == ["0.9.1", "1.0.0", "2.0.0"]


def test_without_dates_the_highest_version_comes_first() -> None:
    assert shown(Version("1.9.0"), Version("1.10.0"), Version("1.10.0-rc.1")) == ["1.10.0", "1.10.0-rc.1", "1.9.0"]


def test_a_version_was_published_when_its_digest_first_was() -> None:
    (row,) = join_tags([Version("latest", A, published_at=day(5)), Version("1.0.0", A, published_at=day(1))])

    assert row.published_at == day(1)


def test_what_one_tag_tells_counts_for_its_digest() -> None:
    amd64 = Platform.parse("linux/amd64")
    told = Version("latest", A, size=5, platforms=(amd64,), labels={"a": "b"}, url="https://example.com/1")
    (row,) = join_tags([Version("1.0.0", A), told])

    assert (row.size, row.platforms, row.labels, row.url) == (5, (amd64,), {"a": "b"}, "https://example.com/1")


def test_tags_without_digests_are_versions_of_their_own() -> None:
    assert len(join_tags([Version("1.0.0"), Version("latest")])) == 2


def test_thirty_five_versions_are_four_pages_of_ten() -> None:
    chosen = choose_versions(join_tags(Version(f"1.0.{patch}") for patch in range(35)), semver_only=True)
    pages = [take_page(chosen, number=number, size=10) for number in (1, 2, 3, 4, 5)]

    assert [len(page.rows) for page in pages] == [10, 10, 10, 5, 0]
    assert {(page.total, page.pages) for page in pages} == {(35, 4)}
    assert pages[0].rows[0].tag == "1.0.34"


def test_nothing_is_one_empty_page() -> None:
    page = take_page((), number=1, size=10)

    assert (page.rows, page.total, page.pages) == ((), 0, 1)


versions = st.builds(
    Version,
    st.sampled_from(["1.0.0", "1.0.1", "v2.0.0", "latest", "main", "1", "2026-03-01"]),
    st.none() | st.sampled_from([A, B, C]),
    published_at=st.none() | st.integers(1, 28).map(day),
)


@given(st.lists(versions, max_size=12), st.integers(1, 5), st.booleans(), st.randoms())
def test_pages_hold_each_row_once_whatever_order_a_registry_has(
    listed: list[Version], size: int, semver_only: bool, random: object
) -> None:
    unique = list({version.tag: version for version in listed}.values())
    chosen = choose_versions(join_tags(unique), semver_only=semver_only)
    pages = take_page(chosen, number=1, size=size).pages
    rows = [row for number in range(1, pages + 1) for row in take_page(chosen, number=number, size=size).rows]

    assert tuple(rows) == chosen
    random.shuffle(unique)  # type: ignore[attr-defined]
    assert choose_versions(join_tags(unique), semver_only=semver_only) == chosen
