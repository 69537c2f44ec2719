from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from image_factory.errors import InvalidState, UnsafeValue
from image_factory.model.image_state import BaseConfiguration, BaseState
from image_factory.model.settings import Settings
from image_factory.shell import read_ahead
from image_factory.shell.read_ahead import ReadAhead
from image_factory.shell.state_cache import content_digest, signature_of
from image_factory.shell.store import Store
from image_factory.state.codec import dump_base

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2,
    reason="nothing is read ahead: one processor, or no Linux",
)


def base(name: str, tag: str = "1") -> BaseState:
    return BaseState(
        configuration=BaseConfiguration(
            name=name, full_image=f"docker.io/library/{name}:{tag}", registry="docker.io", repository=f"library/{name}"
        )
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two records, which count as settled, as those of a checkout do after two seconds.

    Threads that other tests have left behind do not count: no lock of theirs is taken here.
    """
    others = threading.active_count() - 1
    count = threading.active_count
    monkeypatch.setattr("image_factory.shell.read_ahead.threading.active_count", lambda: count() - others)
    monkeypatch.setattr("image_factory.shell.state_cache.SETTLED", -(10**12))
    folder = tmp_path / "state" / "base-images"
    folder.mkdir(parents=True)
    for name in ("alpine", "node"):
        (folder / f"{name}.yaml").write_text(dump_base(base(name)))
    return folder


def read(folder: Path, ahead: ReadAhead) -> dict[str, BaseState]:
    return dict(Store(folder.parent.parent, Settings(), ahead=ahead).bases().records)


def test_what_is_parsed_ahead_is_what_the_files_say(folder: Path) -> None:
    with ReadAhead([folder, folder.parent / "images"]) as ahead:
        parsed = ahead.parsed(folder)
        assert ahead.parsed(folder.parent / "images") == {}
        assert read(folder, ahead) == {"alpine": base("alpine"), "node": base("node")}

    content = (folder / "node.yaml").read_bytes()
    assert set(parsed) == {"alpine", "node"}
    assert parsed["node"].signature == signature_of((folder / "node.yaml").stat())
    assert parsed["node"].digest == content_digest(content)
    assert parsed["node"].values["repository"] == "library/node"


def test_the_files_are_not_parsed_a_second_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ReadAhead([folder]) as ahead:
        monkeypatch.setattr("image_factory.state.codec.parse_mapping", None)

        assert set(read(folder, ahead)) == {"alpine", "node"}


def test_what_was_read_ahead_is_kept_as_what_was_read(folder: Path) -> None:
    root = folder.parent.parent
    with ReadAhead([folder]) as ahead:
        read(folder, ahead)
    kept = (root / ".image-factory-cache" / "base-images.json").read_bytes()
    (root / ".image-factory-cache" / "base-images.json").unlink()

    Store(root, Settings()).bases()

    assert (root / ".image-factory-cache" / "base-images.json").read_bytes() == kept


def test_a_file_changed_in_between_is_read_again(folder: Path) -> None:
    with ReadAhead([folder]) as ahead:
        ahead.parsed(folder)
        (folder / "node.yaml").write_text(dump_base(base("node", "22-slim")))
        (folder / "debian.yaml").write_text(dump_base(base("debian")))
        (folder / "alpine.yaml").unlink()

        assert read(folder, ahead) == {"debian": base("debian"), "node": base("node", "22-slim")}


def test_a_file_that_could_change_unseen_is_not_parsed_ahead(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with ReadAhead([folder]) as ahead:
        assert ahead.parsed(folder) == {}
        assert set(read(folder, ahead)) == {"alpine", "node"}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a: [", id="not YAML"),
        pytest.param("name: node\nfullImage: 5\n", id="a wrong field"),
        pytest.param(dump_base(base("debian")), id="another record's"),
        pytest.param("a: " + "[" * 100 + "]" * 100, id="nested too deeply"),
    ],
)
def test_a_wrong_file_has_the_same_error_as_without(folder: Path, text: str) -> None:
    (folder / "node.yaml").write_text(text)
    plain = Store(folder.parent.parent, Settings(), cache=False).bases()

    with ReadAhead([folder]) as ahead:
        found = Store(folder.parent.parent, Settings(), cache=False, ahead=ahead).bases()

    assert isinstance(found.broken["node"], InvalidState)
    assert str(found.broken["node"]) == str(plain.broken["node"])
    assert found.broken["node"].location == plain.broken["node"].location
    assert set(found.records) == {"alpine"}


def test_links_pipes_and_what_leads_out_are_left_to_who_looks_with_care(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.yaml").write_text("a: b")
    (folder / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    os.mkfifo(folder / "pipe.yaml")

    with ReadAhead([folder]) as ahead:
        loaded = Store(tmp_path, Settings(), ahead=ahead).bases()
        assert set(ahead.parsed(folder)) == {"alpine", "node"}

    assert {name: type(error) for name, error in loaded.broken.items()} == {"link": UnsafeValue, "pipe": UnsafeValue}


def test_a_folder_that_is_a_link_is_not_read_ahead(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(folder)

    with ReadAhead([tmp_path / "linked"]) as ahead:
        assert ahead.parsed(tmp_path / "linked") == {}


def test_no_more_files_are_parsed_ahead_than_are_worth_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead, "MAX_FILES", 1)
    with ReadAhead([folder]) as ahead:
        assert len(ahead.parsed(folder)) == 1
        assert set(read(folder, ahead)) == {"alpine", "node"}
    monkeypatch.setattr(read_ahead, "MAX_BYTES", 10)
    with ReadAhead([folder]) as ahead:
        assert ahead.parsed(folder) == {}


def test_where_the_other_process_fails_all_is_read_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead, "_parse", None)
    with ReadAhead([folder]) as ahead:
        assert ahead.parsed(folder) == {}
        assert set(read(folder, ahead)) == {"alpine", "node"}


def test_no_process_is_started_beside_other_threads(folder: Path) -> None:
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()
    try:
        with ReadAhead([folder]) as ahead:
            assert ahead.parsed(folder) == {}
    finally:
        done.set()
        other.join()


def test_a_process_that_nobody_asks_is_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead, "_parse", lambda _: time.sleep(20))
    before = set(os.listdir("/proc/self/fd"))
    started = time.monotonic()
    with ReadAhead([folder]):
        pass

    assert time.monotonic() - started < 10
    assert set(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
