from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from image_factory.model.enrollment import Enrollment
from image_factory.model.image_state import ImageConfiguration, ImageState
from image_factory.model.settings import Settings
from image_factory.shell.folder import CACHE_FOLDER
from image_factory.shell.state_cache import SETTLED, StateCache, is_settled
from image_factory.shell.store import Store
from image_factory.state.codec import dump

OLD = 1_600_000_000


def image(name: str = "web", **unknown: Any) -> ImageState:
    entry = {"name": name, "registry": "ghcr.io", "repository": f"acme/{name}", "source": {"repo": f"acme/{name}"}}
    return ImageState(
        configuration=ImageConfiguration(name=name, enrollment=Enrollment.model_validate(entry)), unknown=unknown
    )


def write(root: Path, record: ImageState, *, age: int = OLD) -> Path:
    file = root / "state/images" / f"{record.name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dump(record))
    os.utime(file, (age, age))
    return file


def cache_file(root: Path) -> Path:
    return root / CACHE_FOLDER / "images.json"


def read(root: Path) -> dict[str, ImageState]:
    return dict(Store(root, Settings()).images().records)


def settle(root: Path) -> None:
    """Make the cache trust the files' status, as it does when they are older than two seconds."""
    cache = StateCache(cache_file(root))
    cache.save({name: file._replace(settled=True) for name, file in cache.load().items()})


def test_a_record_of_a_file_that_did_not_change_comes_from_the_cache(tmp_path: Path) -> None:
    write(tmp_path, image())
    read(tmp_path)
    settle(tmp_path)
    cache = StateCache(cache_file(tmp_path))
    other = image(marked=True).model_dump_json(by_alias=True).encode()
    cache.save({name: file._replace(record=other) for name, file in cache.load().items()})

    assert read(tmp_path) == {"web": image(marked=True)}


@pytest.mark.parametrize("settled", [True, False], ids=["settled", "fresh"])
def test_a_change_is_seen(tmp_path: Path, settled: bool) -> None:
    write(tmp_path, image(a=1))
    assert read(tmp_path) == {"web": image(a=1)}
    if settled:
        settle(tmp_path)

    write(tmp_path, image(a=2), age=OLD + 1)

    assert read(tmp_path) == {"web": image(a=2)}


def test_a_change_that_left_size_and_times_alone_is_seen_while_the_file_is_fresh(tmp_path: Path) -> None:
    file = write(tmp_path, image(a=1))
    read(tmp_path)
    cache = StateCache(cache_file(tmp_path))
    write(tmp_path, image(a=2))
    status = file.stat()
    same = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    cache.save({name: cached._replace(signature=same) for name, cached in cache.load().items()})

    assert read(tmp_path) == {"web": image(a=2)}


def test_a_file_whose_status_alone_changed_is_not_parsed_again(tmp_path: Path) -> None:
    file = write(tmp_path, image())
    read(tmp_path)
    cache = StateCache(cache_file(tmp_path))
    other = image(marked=True).model_dump_json(by_alias=True).encode()
    cache.save({name: cached._replace(record=other) for name, cached in cache.load().items()})
    os.utime(file, (OLD + 5, OLD + 5))

    assert read(tmp_path) == {"web": image(marked=True)}


@pytest.mark.parametrize(
    ("changed", "read_at", "settled"),
    [
        (0, SETTLED + 1, True),
        (0, SETTLED, False),
        (5_000_000_000, 0, False),
    ],
    ids=["older than the coarsest clock", "as old as the coarsest clock", "from the future"],
)
def test_a_file_is_settled_once_another_change_would_show(changed: int, read_at: int, settled: bool) -> None:
    assert is_settled((1, changed, 0, 1), read_at) is settled
    assert is_settled((1, -SETTLED, changed, 1), read_at) is settled


def test_files_that_come_and_go_are_seen(tmp_path: Path) -> None:
    write(tmp_path, image("web"))
    write(tmp_path, image("api"))
    read(tmp_path)

    (tmp_path / "state/images/web.yaml").unlink()
    write(tmp_path, image("zoo"))

    assert list(read(tmp_path)) == ["api", "zoo"]
    assert list(StateCache(cache_file(tmp_path)).load()) == ["api", "zoo"]


def test_a_broken_file_is_told_each_time(tmp_path: Path) -> None:
    write(tmp_path, image()).write_text("a: [")

    for _ in range(2):
        assert list(Store(tmp_path, Settings()).images().broken) == ["web"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"not a cache",
        lambda content: content[:-1],
        lambda content: content.replace(b"acme/web", b"evil/web"),
        lambda content: content.replace(b'"stamp": "', b'"stamp": "0'),
        lambda content: content.split(b"\n", 1)[0],
        lambda content: b"[]\n" + content,
        lambda content: b"\xff" + content,
    ],
    ids=["empty", "foreign", "cut", "changed", "of other code", "header only", "another header", "not UTF-8"],
)
def test_a_damaged_cache_is_no_cache(tmp_path: Path, damage: Any) -> None:
    write(tmp_path, image())
    read(tmp_path)
    settle(tmp_path)
    cache_file(tmp_path).write_bytes(damage(cache_file(tmp_path).read_bytes()))

    assert StateCache(cache_file(tmp_path)).load() == {}
    assert read(tmp_path) == {"web": image()}
    assert list(StateCache(cache_file(tmp_path)).load()) == ["web"]


def test_a_cached_record_that_is_no_longer_valid_is_read_from_its_file(tmp_path: Path) -> None:
    write(tmp_path, image())
    read(tmp_path)
    settle(tmp_path)
    cache = StateCache(cache_file(tmp_path))
    cache.save({name: file._replace(record=b'{"configuration": {}}') for name, file in cache.load().items()})

    assert read(tmp_path) == {"web": image()}


def test_a_cache_that_cannot_be_written_only_costs_time(tmp_path: Path) -> None:
    write(tmp_path, image())
    (tmp_path / CACHE_FOLDER).write_text("in the way")

    assert read(tmp_path) == {"web": image()}


def test_two_processes_at_once_leave_a_whole_cache(tmp_path: Path) -> None:
    for number in range(50):
        write(tmp_path, image(f"web-{number}"))
    code = (
        "import sys, os; from pathlib import Path; from image_factory.model.settings import Settings\n"
        "from image_factory.shell.store import Store\n"
        "for n in range(20):\n"
        "    assert len([*Store(Path(sys.argv[1]), Settings()).images().records.values()]) == 50\n"
        "    os.utime(Path(sys.argv[1], 'state/images/web-1.yaml'))\n"
    )

    processes = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(3)]

    assert [process.wait() for process in processes] == [0, 0, 0]
    assert len(StateCache(cache_file(tmp_path)).load()) == 50
    assert [path.name for path in (tmp_path / CACHE_FOLDER).glob(".images*")] == []
