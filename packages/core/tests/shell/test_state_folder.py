from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from image_factory.errors import InvalidState, UnsafeValue
from image_factory.model.image_state import BaseConfiguration, BaseState
from image_factory.shell import state_folder
from image_factory.shell.read_ahead import Parsed, ReadAhead
from image_factory.shell.state_cache import StateCache, content_digest, signature_of
from image_factory.shell.state_folder import check_place, decode, read_folder, read_text
from image_factory.state.codec import dump_base
from image_factory.state.own_yaml import parse_mapping


def base(name: str) -> BaseState:
    return BaseState(
        configuration=BaseConfiguration(
            name=name, full_image=f"docker.io/library/{name}:1", registry="docker.io", repository=f"library/{name}"
        )
    )


def write(folder: Path, name: str) -> None:
    (folder / f"{name}.yaml").write_text(dump_base(base(name)))


def test_a_missing_folder_holds_no_records(tmp_path: Path) -> None:
    loaded = read_folder(tmp_path / "none", BaseState, None)

    assert (dict(loaded.records), dict(loaded.broken)) == ({}, {})


def test_many_files_are_parsed_in_processes_with_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_folder, "MIN_FOR_PROCESSES", 10)
    monkeypatch.setattr(state_folder, "_CHUNK", 7)
    for number in range(40):
        write(tmp_path, f"node-{number:02}")
    (tmp_path / "node-13.yaml").write_text("a: [")

    loaded = read_folder(tmp_path, BaseState, None)

    names = [f"node-{number:02}" for number in range(40) if number != 13]
    assert dict(loaded.records) == {name: base(name) for name in names}
    assert list(loaded.records) == names
    assert {name: type(error) for name, error in loaded.broken.items()} == {"node-13": InvalidState}
    assert loaded.broken["node-13"].location is not None


def test_a_record_is_built_once_and_when_it_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path, "node")
    write(tmp_path, "alpine")
    records = read_folder(tmp_path, BaseState, None).records

    assert "node" in records
    assert len(records) == 2
    assert records["node"] is records["node"]
    assert next(iter(records.values())) is records["alpine"]
    assert repr(records) == "Records(['alpine', 'node'])"
    with pytest.raises(KeyError):
        records["debian"]


@pytest.mark.parametrize("settled", [True, False], ids=["settled", "fresh"])
def test_a_second_reading_builds_only_what_is_new(tmp_path: Path, settled: bool) -> None:
    for name in ("node", "alpine", "debian", "redis"):
        write(tmp_path, name)
    cache = StateCache(tmp_path / "cache.json")
    read_folder(tmp_path, BaseState, cache)
    cache.save({name: file._replace(settled=settled) for name, file in cache.load().items()})
    first = read_folder(tmp_path, BaseState, cache)
    node, alpine = first.records["node"], first.records["alpine"]
    # Of the same length: times and inode are all that tell.
    (tmp_path / "alpine.yaml").write_text(dump_base(base("alpine")).replace("alpine:1", "alpine:2"))
    (tmp_path / "redis.yaml").unlink()
    (tmp_path / "debian.yaml").write_text("a: [")
    write(tmp_path, "valkey")

    second = read_folder(tmp_path, BaseState, cache, earlier=first)

    assert list(second.records) == ["alpine", "node", "valkey"]
    assert second.records["node"] is node
    assert second.records["alpine"].configuration.full_image == "docker.io/library/alpine:2"
    assert (second.records["valkey"], first.records["alpine"]) == (base("valkey"), alpine)
    assert list(second.broken) == ["debian"]
    assert second.records.digest("alpine") != first.records.digest("alpine")


def test_a_second_reading_forgets_a_bad_file_that_is_gone(tmp_path: Path) -> None:
    write(tmp_path, "node")
    (tmp_path / "debian.yaml").write_text("a: [")
    cache = StateCache(tmp_path / "cache.json")
    read_folder(tmp_path, BaseState, cache)
    cache.save({name: file._replace(settled=True) for name, file in cache.load().items()})
    first = read_folder(tmp_path, BaseState, cache)
    (tmp_path / "debian.yaml").unlink()

    second = read_folder(tmp_path, BaseState, cache, earlier=first)

    assert (list(first.broken), list(second.broken)) == (["debian"], [])
    assert read_folder(tmp_path, BaseState, cache, earlier=second) is second


def test_a_cache_is_saved_when_there_is_time_and_where_something_is_new(tmp_path: Path) -> None:
    write(tmp_path, "node")
    cache, saves = StateCache(tmp_path / "cache.json"), list[Callable[[], None]]()

    read_folder(tmp_path, BaseState, cache, keep=saves.append)
    assert cache.load() == {}
    saves.pop()()
    cache.save({name: file._replace(settled=True) for name, file in cache.load().items()})
    read_folder(tmp_path, BaseState, cache, keep=saves.append)

    assert list(cache.load()) == ["node"]
    assert saves == []


class Parsing:
    """What another process would have parsed of files that have settled."""

    def parsed(self, folder: Path) -> dict[str, Parsed]:
        return {
            file.stem: Parsed(
                signature_of(file.stat()), content_digest(file.read_bytes()), parse_mapping(file.read_text(), "")
            )
            for file in folder.glob("*.yaml")
        }


def test_what_was_parsed_ahead_is_kept_whole_by_a_later_reading(tmp_path: Path) -> None:
    write(tmp_path, "node")
    write(tmp_path, "alpine")
    cache = StateCache(tmp_path / "cache.json")
    ahead = cast("ReadAhead", Parsing())
    never: list[object] = []
    first = read_folder(tmp_path, BaseState, cache, ahead, keep=never.append)
    write(tmp_path, "redis")

    read_folder(tmp_path, BaseState, cache, earlier=first)

    assert len(never) == 1
    again = read_folder(tmp_path, BaseState, cache).records
    (tmp_path / "node.yaml").unlink()  # what is built now comes from the cache
    assert dict(again) == {name: base(name) for name in ("alpine", "node", "redis")}


def test_a_text_that_is_not_utf_8_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidState, match=r"f\.yaml:2: not UTF-8: byte 7 is 0xff"):
        decode(b"a: 1\nb:\xff", tmp_path / "f.yaml")

    assert decode(b"a: \xff", tmp_path / "f.yaml", errors="replace") == "a: \ufffd"


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")

    with pytest.raises(UnsafeValue, match="not a regular file"):
        read_text(tmp_path / "pipe.yaml", tmp_path)


def test_a_path_is_checked_by_where_it_really_lies(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "in").symlink_to(".")
    (state / "out").symlink_to("..")

    check_place(state / "in" / "web.yaml", state)
    check_place(state / "missing" / "web.yaml", state)
    for path in (state / "out" / "web.yaml", state / ".." / "web.yaml", tmp_path / "state-of-another" / "web.yaml"):
        with pytest.raises(UnsafeValue):
            check_place(path, state)
