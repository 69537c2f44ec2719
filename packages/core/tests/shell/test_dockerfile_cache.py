"""What is kept of Dockerfiles: found by the same text with the same options, and by nothing else."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from image_factory.dockerfile.read import read_dockerfile
from image_factory.dockerfile.reading import BuildOptions
from image_factory.oci.platform import Platform
from image_factory.shell import dockerfile_cache
from image_factory.shell.dockerfile_cache import FILE, DockerfileCache, Reads
from image_factory.shell.folder import CACHE_FOLDER

NONE = BuildOptions({})
RICH = """\
# syntax=docker/dockerfile:1.7
ARG V=22
FROM --platform=$BUILDPLATFORM node:${V} AS build
COPY --from=ghcr.io/astral-sh/uv:0.5@sha256:{digest} /uv /uv
RUN --mount=from=localhost:5000/tools:1,target=/t make
FROM build AS other
FROM ${NOPE}
FROM scratch
ONBUILD COPY --from=alpine /a /a
FROM "bad ref"
""".replace("{digest}", "a" * 64)


def kept(root: Path, *texts: str | bytes, options: BuildOptions = NONE) -> Reads:
    cache = DockerfileCache(root)
    for text in texts:
        cache.read(text, options)
    cache.save()
    return cache.reads


@pytest.mark.parametrize("text", [RICH, RICH.encode(), "FROM scratch\n", "", b"\xff\xfeFROM a", "FROM ü"])
def test_what_was_read_is_had_back_whole(tmp_path: Path, text: str | bytes) -> None:
    platforms = (Platform("linux", "amd64"), Platform("linux", "arm", "v7"))
    options = BuildOptions({"V": "24"}, platforms=platforms)
    kept(tmp_path, text, options=options)

    again = DockerfileCache(tmp_path)
    found, expected = again.read(text, options), read_dockerfile(text, options)

    assert again.reads == Reads(parsed=0, cached=1)
    assert found == expected
    assert [one.reference.written for one in found.references] == [one.reference.written for one in expected.references]


def test_the_same_text_under_another_path_is_read_once(tmp_path: Path) -> None:
    assert kept(tmp_path, "FROM node:22\n", "FROM node:22\n", "FROM node:24\n") == Reads(parsed=2, cached=1)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(BuildOptions({"V": "24"}), id="arguments"),
        pytest.param(BuildOptions({}, target="build"), id="target"),
        pytest.param(BuildOptions({}, platforms=(Platform("linux", "arm64"),)), id="platforms"),
        pytest.param(BuildOptions({}, contexts={"node": "docker-image://alpine"}), id="contexts"),
    ],
)
def test_other_options_are_another_reading(tmp_path: Path, options: BuildOptions) -> None:
    kept(tmp_path, RICH)

    assert kept(tmp_path, RICH, options=options) == Reads(parsed=1, cached=0)


def test_bytes_are_not_taken_for_the_text_that_they_may_spell(tmp_path: Path) -> None:
    # A byte-order mark, for one, counts in the spans of a text, and is no character of the bytes' text.
    kept(tmp_path, "FROM node:22\n")

    assert kept(tmp_path, b"FROM node:22\n") == Reads(parsed=1, cached=0)


def test_another_version_of_the_reader_reads_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept(tmp_path, RICH)
    monkeypatch.setattr(dockerfile_cache, "parser_stamp", lambda: "another")

    assert kept(tmp_path, RICH) == Reads(parsed=1, cached=0)


@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "a byte", "no header", "a folder"])
def test_a_damaged_cache_is_none_and_is_replaced(tmp_path: Path, damage: str) -> None:
    kept(tmp_path, RICH)
    file = tmp_path / CACHE_FOLDER / FILE
    content = file.read_bytes()
    if damage in ("gone", "a folder"):
        file.unlink()
    if damage == "a folder":
        file.mkdir()
    changed = {"empty": b"", "cut": content[:-9], "a byte": content[:-9] + b"#" + content[-8:], "no header": b"{\n"}
    if damage in changed:
        file.write_bytes(changed[damage])

    assert kept(tmp_path, RICH) == Reads(parsed=1, cached=0)
    assert damage == "a folder" or kept(tmp_path, RICH) == Reads(parsed=0, cached=1)


@pytest.mark.parametrize("entry", [b"[]", b"{}", b"[[[1]],[],[]]", b'[[],[["no-such-category",1,""]],[]]', b"\xff"])
def test_an_entry_that_holds_no_reading_is_none(entry: bytes) -> None:
    assert dockerfile_cache._decoded(entry) is None


def test_what_was_found_longest_ago_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dockerfile_cache, "MAX_ENTRIES", 2)
    kept(tmp_path, "FROM a\n", "FROM b\n")
    kept(tmp_path, "FROM a\n", "FROM c\n")

    assert kept(tmp_path, "FROM a\n", "FROM c\n") == Reads(parsed=0, cached=2)
    assert kept(tmp_path, "FROM b\n") == Reads(parsed=1, cached=0)


def test_it_never_grows_past_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dockerfile_cache, "MAX_BYTES", 1000)
    kept(tmp_path, *(f"FROM image-{number}\n" for number in range(20)))

    assert (tmp_path / CACHE_FOLDER / FILE).stat().st_size < 1200
    assert kept(tmp_path, "FROM image-19\n") == Reads(parsed=0, cached=1)


def test_a_run_adds_to_what_another_kept_meanwhile(tmp_path: Path) -> None:
    first = DockerfileCache(tmp_path)
    first.read("FROM a\n", NONE)
    kept(tmp_path, "FROM b\n")
    first.save()

    assert kept(tmp_path, "FROM a\n", "FROM b\n") == Reads(parsed=0, cached=2)


def test_a_run_that_knew_all_leaves_the_file_alone(tmp_path: Path) -> None:
    kept(tmp_path, RICH)
    before = (tmp_path / CACHE_FOLDER / FILE).stat().st_ino

    kept(tmp_path, RICH)

    assert (tmp_path / CACHE_FOLDER / FILE).stat().st_ino == before


def test_many_at_once_count_as_one_after_the_other(tmp_path: Path) -> None:
    cache = DockerfileCache(tmp_path)
    texts = [f"FROM image-{number % 7}\n" for number in range(70)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda text: cache.read(text, NONE), texts))

    assert cache.reads == Reads(parsed=7, cached=63)
    assert found == [read_dockerfile(text, NONE) for text in texts]


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / CACHE_FOLDER).write_text("in the way")

    assert kept(tmp_path, RICH) == Reads(parsed=1, cached=0)


def test_the_file_is_one_line_of_json_an_entry(tmp_path: Path) -> None:
    kept(tmp_path, "FROM a\n", "FROM b\n")

    header, *rows = (tmp_path / CACHE_FOLDER / FILE).read_text().splitlines()

    assert set(json.loads(header)) == {"stamp", "checksum"}
    assert [json.loads(row.partition(" ")[2])[0][0][0] for row in rows] == ["a", "b"]
