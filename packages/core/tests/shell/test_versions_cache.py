"""Listings on disk: what goes in comes out, for five minutes, and for its own login alone."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from image_factory.oci.platform import Platform
from image_factory.oci.reference import Digest
from image_factory.ports import Version
from image_factory.shell import versions_cache
from image_factory.shell.versions_cache import CachedListing, VersionDetail, VersionsCache

EMPTY: dict[str, object] = {"format": 1, "fetchedAt": "2026-03-01", "versions": [], "details": {}, "resolved": {}}
PARTS: list[dict[str, object]] = [
    {"fetchedAt": 5},
    {"versions": 5},
    {"versions": [["1"]]},
    {"versions": [["../x", None, None, None, [], {}, None]]},
    {"versions": [["1", "sha256:x", None, None, [], {}, None]]},
    {"versions": [["1", None, "big", None, [], {}, None]]},
    {"versions": [["1", None, None, None, [], {"a": 5}, None]]},
    {"resolved": {"1": "x"}},
]
"""What makes a good file a damaged one."""
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
A, B = Digest("sha256", "a" * 64), Digest("sha256", "b" * 64)
SECRET = "planted-secret-77"
LISTING = CachedListing(
    NOW,
    (
        Version("1.0.0", A, 5, NOW, (Platform.parse("linux/arm/v7"),), {"a": "ü"}, "https://example.com/1"),
        Version("latest"),
    ),
    {A: VersionDetail(7, NOW, (Platform.parse("linux/amd64"),), {"b": "c"})},
    {"latest": B},
)


@pytest.fixture
def cache(tmp_path: Path) -> VersionsCache:
    return VersionsCache(tmp_path / "versions")


def test_what_is_saved_is_loaded(cache: VersionsCache) -> None:
    name = cache.name(["x"])
    cache.save(name, LISTING)

    assert cache.load(name) == LISTING
    assert cache.load(cache.name(["y"])) is None


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (timedelta(), True),
        (timedelta(minutes=4, seconds=59), True),
        (timedelta(minutes=5), False),
        (timedelta(seconds=-1), False),
    ],
    ids=["just now", "under five minutes", "five minutes", "from the future"],
)
def test_it_is_fresh_for_five_minutes(age: timedelta, expected: bool) -> None:
    assert LISTING.is_fresh(NOW + age) is expected


def test_a_name_depends_on_every_part_and_on_the_folders_own_key(cache: VersionsCache, tmp_path: Path) -> None:
    names = {cache.name(parts) for parts in (["a", "b"], ["ab", ""], ["b", "a"], ["a"], [])}

    assert len(names) == 5
    assert cache.name(["a", "b"]) in names
    assert VersionsCache(tmp_path / "elsewhere").name(["a"]) not in names


def test_neither_names_nor_contents_hold_a_secret_and_nobody_else_reads_them(
    cache: VersionsCache, tmp_path: Path
) -> None:
    cache.save(cache.name(["robot", SECRET]), LISTING)

    folder = tmp_path / "versions"
    files = list(folder.iterdir())
    assert len(files) == 2
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert not any(SECRET.encode() in file.read_bytes() or SECRET in file.name for file in files)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b"[" * 100_000,
        b'{"format":0}',
        *(json.dumps(EMPTY | part).encode() for part in PARTS),
    ],
)
def test_a_damaged_file_is_no_cache(cache: VersionsCache, tmp_path: Path, damage: bytes) -> None:
    name = cache.name(["x"])
    cache.save(name, LISTING)
    (tmp_path / "versions" / f"{name}.json").write_bytes(damage)

    assert cache.load(name) is None


def test_the_oldest_listings_go_where_there_are_too_many(
    cache: VersionsCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions_cache, "MAX_FILES", 3)
    names = [cache.name([str(number)]) for number in range(5)]
    for name in names:
        cache.save(name, LISTING)

    assert [cache.load(name) is not None for name in names] == [False, False, True, True, True]


def test_the_oldest_listings_go_where_they_are_too_large_together(
    cache: VersionsCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = cache.name(["1"]), cache.name(["2"])
    cache.save(first, LISTING)
    monkeypatch.setattr(versions_cache, "MAX_BYTES", 700)
    cache.save(second, LISTING)

    assert (cache.load(first), cache.load(second)) == (None, LISTING)


def test_one_that_is_too_large_is_not_kept_and_leaves_no_old_one(
    cache: VersionsCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = cache.name(["x"])
    cache.save(name, LISTING)
    monkeypatch.setattr(versions_cache, "MAX_FILE", 10)
    cache.save(name, LISTING)

    assert cache.load(name) is None


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    cache = VersionsCache(tmp_path / "file" / "versions")

    name = cache.name(["x"])
    cache.save(name, LISTING)

    assert cache.load(name) is None
