"""The engine's world: a fault strikes once, where it was armed, and does what its kind says."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from image_factory.errors import Unavailable
from image_factory.model.settings import Settings
from image_factory.shell.store import FileChange
from image_factory.testing.engine_world import Faults, FaultyStore, Killed, Kind


@pytest.mark.parametrize(
    ("kind", "raised", "effects"),
    [
        (Kind.FAIL, Unavailable, ["first", "third"]),
        (Kind.LOSE, Unavailable, ["first", "second", "third"]),
        (Kind.KILL, Killed, ["first", "third"]),
        (Kind.KILL_AFTER, Killed, ["first", "second", "third"]),
    ],
)
def test_a_fault_strikes_once_before_or_after_the_effect(
    kind: Kind, raised: type[BaseException], effects: list[str]
) -> None:
    faults, done = Faults(), list[str]()
    faults.arm(1, kind)

    faults.around("one", lambda: done.append("first"))
    with pytest.raises(raised):
        faults.around("two", lambda: done.append("second"))
    faults.around("three", lambda: done.append("third"))

    assert done == effects
    assert faults.hit == "two"


@pytest.mark.parametrize("written", [0, 1, 2])
def test_a_program_that_is_killed_while_it_writes_leaves_some_files_written(tmp_path: Path, written: int) -> None:
    faults = Faults()
    store = FaultyStore(faults, tmp_path, Settings())
    changes = [FileChange(PurePosixPath("state", f"{number}.yaml"), None, "a: b\n") for number in range(3)]
    faults.arm(written, Kind.KILL)

    with pytest.raises(Killed):
        store.apply(changes)

    assert len(list((tmp_path / "state").glob("*.yaml"))) == written


def test_a_write_that_is_only_refused_is_whole_or_not_there(tmp_path: Path) -> None:
    faults = Faults()
    faults.arm(1, Kind.FAIL)
    store = FaultyStore(faults, tmp_path, Settings())

    store.apply([FileChange(PurePosixPath("state", f"{number}.yaml"), None, "a: b\n") for number in range(3)])

    assert len(list((tmp_path / "state").glob("*.yaml"))) == 3
