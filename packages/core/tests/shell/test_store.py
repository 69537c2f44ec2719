from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from image_factory.errors import Conflict, InvalidState, NotFound, Unavailable, UnsafeValue, UnsupportedVersion
from image_factory.model.enrollment import Enrollment
from image_factory.model.image_state import BaseConfiguration, BaseState, ImageConfiguration, ImageState
from image_factory.model.settings import Settings
from image_factory.shell.folder import CACHE_FOLDER
from image_factory.shell.state_lock import LOCK_FILE, StateLock
from image_factory.shell.store import FileChange, Overtaken, Store
from image_factory.state.codec import dump, dump_base
from image_factory.state.merge import record_digest

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def image(name: str = "web", **fields: Any) -> ImageState:
    entry = {"name": name, "registry": "ghcr.io", "repository": f"acme/{name}", "source": {"repo": f"acme/{name}"}}
    return ImageState(
        configuration=ImageConfiguration(name=name, enrollment=Enrollment.model_validate(entry)), **fields
    )


def base(name: str = "node-22") -> BaseState:
    return BaseState(
        configuration=BaseConfiguration(
            name=name, full_image=f"docker.io/library/{name}:1", registry="docker.io", repository=f"library/{name}"
        )
    )


def digest(letter: str) -> str:
    return f"sha256:{letter * 64}"


@pytest.fixture(params=[True, False], ids=["cached", "uncached"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(tmp_path, Settings(), cache=request.param, lock_timeout=timedelta(seconds=0.2))


def write(root: Path, *images: ImageState, bases: tuple[BaseState, ...] = ()) -> None:
    writer = Store(root, Settings(), cache=False)
    writer.apply(writer.plan(images, bases))


# --- reading -------------------------------------------------------------------------------------------


def test_an_empty_folder_has_no_state_and_gets_none(store: Store, tmp_path: Path) -> None:
    assert dict(store.images().records) == {}
    assert store.bases().problems == ()
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_is_read_in_the_order_of_names(store: Store, tmp_path: Path) -> None:
    write(tmp_path, image("web"), image("api"), bases=(base(),))

    assert list(store.images().records.items()) == [("api", image("api")), ("web", image("web"))]
    assert dict(store.bases().records) == {"node-22": base()}
    assert (tmp_path / "state/images/web.yaml").read_text() == dump(image("web"))
    assert (tmp_path / "state/base-images/node-22.yaml").read_text() == dump_base(base())


def test_of_some_names_nothing_else_is_looked_at(store: Store, tmp_path: Path) -> None:
    write(tmp_path, image("web"), image("shop"), bases=(base("node-22"), base("alpine-3")))
    (tmp_path / "state" / "images" / "other.yaml").write_text("{")

    images, bases = store.only(["web", "alpine-3", "gone"])

    assert (list(images.records), list(bases.records)) == (["web"], ["alpine-3"])
    assert images.records["web"] == image("web")
    assert not images.broken
    assert list(store.only(["other"])[0].broken) == ["other"]


def test_the_state_directory_is_a_setting(tmp_path: Path) -> None:
    store = Store(tmp_path, Settings(state_dir="seen/here"))

    store.apply(store.plan([image()]))

    assert (tmp_path / "seen/here/images/web.yaml").is_file()
    assert list(store.images().records) == ["web"]


@pytest.mark.parametrize(
    "name", ["web.example.yaml", "web.yaml.corrupt", ".web.yaml", "web.yml", "README.md", ".web.yaml.x.tmp"]
)
def test_files_that_are_no_records_are_passed_over(store: Store, tmp_path: Path, name: str) -> None:
    write(tmp_path, image())
    (tmp_path / "state/images" / name).write_text("a: [")

    loaded = store.images()

    assert (list(loaded.records), loaded.problems) == (["web"], ())


def test_one_bad_file_leaves_the_others(store: Store, tmp_path: Path) -> None:
    write(tmp_path, image("api"), image("web"), image("zoo"))
    folder = tmp_path / "state/images"
    (folder / "web.yaml").write_text("name: web\n  repository: [")
    (folder / "bytes.yaml").write_bytes(b"name: \xff\n")
    (folder / "other.yaml").write_text(dump(image("web")))
    (folder / "folder.yaml").mkdir()
    os.mkfifo(folder / "pipe.yaml")

    loaded = store.images()

    assert list(loaded.records) == ["api", "zoo"]
    assert {name: type(error) for name, error in loaded.broken.items()} == {
        "bytes": InvalidState,
        "folder": UnsafeValue,
        "other": InvalidState,
        "pipe": UnsafeValue,
        "web": InvalidState,
    }
    assert str(loaded.broken["web"]).startswith(f"{folder / 'web.yaml'}:2: ")
    assert "'other'" in loaded.broken["other"].message


def test_a_link_out_of_the_folder_is_refused_and_one_within_is_read(store: Store, tmp_path: Path) -> None:
    root = tmp_path / "image-factory"
    write(root, image("web"))
    inside = Store(root, Settings(), cache=False)
    (tmp_path / "api.yaml").write_text(dump(image("api")))
    (root / "state/images/api.yaml").symlink_to(tmp_path / "api.yaml")
    (root / "state/images/gone.yaml").symlink_to(tmp_path / "nothing.yaml")
    (root / "state/kept.yaml").write_text(dump(image("kept")))
    (root / "state/images/kept.yaml").symlink_to("../kept.yaml")

    loaded = inside.images()

    assert list(loaded.records) == ["kept", "web"]
    assert {name: type(error) for name, error in loaded.broken.items()} == {"api": UnsafeValue, "gone": UnsafeValue}


@pytest.mark.parametrize(
    ("link", "target"), [("state/images", "../../elsewhere/state/images"), ("state", "../elsewhere/state")]
)
def test_a_folder_that_leads_elsewhere_is_neither_read_nor_written(tmp_path: Path, link: str, target: str) -> None:
    root, elsewhere = tmp_path / "image-factory", tmp_path / "elsewhere"
    write(elsewhere, image("api"))
    (root / link).parent.mkdir(parents=True)
    (root / link).symlink_to(target)
    store = Store(root, Settings())

    with pytest.raises(UnsafeValue):
        store.apply(store.plan([image()]))
    with pytest.raises(UnsafeValue):
        store.images()
    assert [path.name for path in elsewhere.rglob("*.yaml")] == ["api.yaml"]


def test_a_setting_may_put_the_state_elsewhere(tmp_path: Path) -> None:
    for place in ("../state", str(tmp_path / "absolute")):
        store = Store(tmp_path / "image-factory", Settings(state_dir=place))

        store.apply(store.plan([image()]))

        assert list(store.images().records) == ["web"]


@pytest.mark.parametrize("cache", [True, False], ids=["with the cache", "without"])
def test_a_file_that_may_not_be_read_is_a_problem(open_folder: Path, without_privileges: Any, cache: bool) -> None:
    write(open_folder, image("web"), image("api"))
    (open_folder / "state/images/web.yaml").chmod(0)

    with without_privileges():
        loaded = Store(open_folder, Settings(), cache=cache).images()

    assert list(loaded.records) == ["api"]
    assert isinstance(loaded.broken["web"], NotFound)


# --- planning ------------------------------------------------------------------------------------------


def test_records_that_are_there_change_nothing(store: Store, tmp_path: Path) -> None:
    write(tmp_path, image(), bases=(base(),))
    before = (tmp_path / "state/images/web.yaml").stat()

    unread = store.plan([image()], [base()])
    store.images(), store.bases()
    store.apply(store.plan([image()], [base()]))

    assert unread == ()
    assert store.plan([image()], [base()]) == ()
    assert (tmp_path / "state/images/web.yaml").stat().st_mtime_ns == before.st_mtime_ns


def test_a_plan_names_each_change_and_does_nothing(store: Store, tmp_path: Path) -> None:
    write(tmp_path, image("web"), bases=(base(),))
    moved = record_digest(base(), digest("a"), at=AT)

    changes = store.plan([image("api")], [moved], [("images", "web"), ("images", "nobody")])

    assert [(str(change.path), change.old is None, change.new is None) for change in changes] == [
        ("state/base-images/node-22.yaml", False, False),
        ("state/images/api.yaml", True, False),
        ("state/images/web.yaml", False, True),
    ]
    assert not (tmp_path / "state/images/api.yaml").exists()
    store.apply(changes)
    assert list(store.images().records) == ["api"]
    assert dict(store.bases().records) == {"node-22": moved}


def test_a_diff_is_one_that_git_would_apply() -> None:
    path = PurePosixPath("state/images/web.yaml")

    assert (
        FileChange(path, None, "a: 1\n").diff() == "--- /dev/null\n+++ b/state/images/web.yaml\n@@ -0,0 +1 @@\n+a: 1\n"
    )
    assert FileChange(path, "a: 1", "a: 2\n").diff() == (
        "--- a/state/images/web.yaml\n+++ b/state/images/web.yaml\n@@ -1 +1 @@\n"
        "-a: 1\n\\ No newline at end of file\n+a: 2\n"
    )
    assert FileChange(path, "a: 1\n", None).diff().splitlines()[1] == "+++ /dev/null"


def test_a_record_that_was_written_in_between_is_compared_with_what_is_there_now(store: Store, tmp_path: Path) -> None:
    write(tmp_path, image())
    first = store.images().records["web"]
    changed = record_digest(first, digest("a"), at=AT)
    store.apply(store.plan([changed]))

    back = store.plan([first])

    assert [change.new for change in back] == [dump(first)]


def test_what_another_wrote_between_two_readings_is_read(store: Store, tmp_path: Path) -> None:
    write(tmp_path, image("web"), image("api"), image("gone"))
    first = store.images().records
    web, api = first["web"], first["api"]
    other = Store(tmp_path, Settings(), cache=False)
    changed = record_digest(web, digest("a"), at=AT)
    other.apply(other.plan([changed, image("new")], removed=[("images", "gone")]))

    second = store.images().records

    assert dict(second) == {"api": image("api"), "new": image("new"), "web": changed}
    assert second["api"] is api
    assert store.plan([changed]) == ()
    assert [change.path.stem for change in store.plan([web, api])] == ["web"]


def test_what_was_read_before_a_write_is_no_excuse_to_overwrite_what_came_after_it(
    store: Store, tmp_path: Path
) -> None:
    write(tmp_path, image("web"), image("api"))
    read = store.images().records
    store.apply(store.plan([record_digest(read["api"], digest("a"), at=AT)]))
    again = store.images().records
    write(tmp_path, record_digest(read["web"], digest("b"), at=AT))

    with pytest.raises(Overtaken, match=r"web\.yaml"):
        store.plan([record_digest(again["web"], digest("c"), at=AT)])


def test_what_another_wrote_since_the_records_were_read_is_not_overwritten(store: Store, tmp_path: Path) -> None:
    write(tmp_path, image("web"), image("api"))
    read = store.images().records
    write(tmp_path, record_digest(read["web"], digest("a"), at=AT), image("new"))

    with pytest.raises(Overtaken, match=r"web\.yaml was changed while this run worked on it"):
        store.plan([record_digest(read["web"], digest("b"), at=AT)])
    with pytest.raises(Overtaken, match=r"new\.yaml was changed"):
        store.plan([record_digest(image("new"), digest("b"), at=AT)])
    assert len(store.plan([record_digest(read["api"], digest("b"), at=AT)])) == 1


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", ".hidden", ""])
def test_a_name_that_leads_elsewhere_is_refused(store: Store, name: str) -> None:
    with pytest.raises(UnsafeValue):
        store.plan(removed=[("images", name)])


# --- writing -------------------------------------------------------------------------------------------


def test_a_file_that_changed_since_the_plan_is_a_conflict_and_nothing_is_written(store: Store, tmp_path: Path) -> None:
    write(tmp_path, image("web"))
    changes = store.plan([image("api"), record_digest(image("web"), digest("a"), at=AT)])
    (tmp_path / "state/images/web.yaml").write_text(dump(image("web")) + "# mine\n")

    with pytest.raises(Conflict, match=r"web\.yaml was changed"):
        store.apply(changes)

    assert not (tmp_path / "state/images/api.yaml").exists()
    assert (tmp_path / "state/images/web.yaml").read_text().endswith("# mine\n")


def test_a_file_that_came_since_the_plan_is_a_conflict(store: Store, tmp_path: Path) -> None:
    changes = store.plan([image()])
    write(tmp_path, record_digest(image(), digest("a"), at=AT))

    with pytest.raises(Conflict):
        store.apply(changes)


def test_a_write_that_fails_leaves_every_file_as_it_was(store: Store, tmp_path: Path) -> None:
    write(tmp_path, image("api"))
    changes = list(store.plan([record_digest(image("api"), digest("a"), at=AT)]))
    too_much = FileChange(PurePosixPath("state/images/web.yaml"), None, "\ud800")

    with pytest.raises(UnicodeEncodeError):
        store.apply([*changes, too_much])

    assert [path.name for path in (tmp_path / "state/images").iterdir()] == ["api.yaml"]
    assert (tmp_path / "state/images/api.yaml").read_text() == dump(image("api"))


def test_permissions_stay(store: Store, tmp_path: Path) -> None:
    write(tmp_path, image())
    (tmp_path / "state/images/web.yaml").chmod(0o640)

    store.apply(store.plan([record_digest(image(), digest("a"), at=AT)]))

    assert (tmp_path / "state/images/web.yaml").stat().st_mode & 0o777 == 0o640


def test_leftovers_of_a_writer_that_was_killed_are_removed_by_the_next(store: Store, tmp_path: Path) -> None:
    write(tmp_path, image("web"))
    leftover = tmp_path / "state/images/.web.yaml.abc.tmp"
    leftover.write_text("half")

    store.apply(store.plan([image("api")]))

    assert not leftover.exists()


WRITER = """
import sys
from pathlib import Path
from image_factory.model.settings import Settings
from image_factory.shell.store import FileChange, Overtaken, Store
from pathlib import PurePosixPath
store = Store(Path(sys.argv[1]), Settings())
path = PurePosixPath("state/images/web.yaml")
texts = ["# a\\n" + "# padding\\n" * 20_000, "# b\\n" + "# padding\\n" * 20_000]
print("ready", flush=True)
while True:
    for old, new in (texts, texts[::-1]):
        store.apply([FileChange(path, old, new)])
"""


def test_a_writer_that_is_killed_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    file = tmp_path / "state/images/web.yaml"
    file.parent.mkdir(parents=True)
    whole = {"# a\n" + "# padding\n" * 20_000, "# b\n" + "# padding\n" * 20_000}
    for number in range(5):
        file.write_text("# a\n" + "# padding\n" * 20_000)
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.01 + 0.007 * number)

        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()

        assert file.read_text() in whole
        with StateLock(tmp_path, timedelta(seconds=1)):
            pass


# --- the lock ------------------------------------------------------------------------------------------


def test_a_second_writer_waits_and_then_names_the_first(store: Store, tmp_path: Path) -> None:
    changes = store.plan([image()])

    with StateLock(tmp_path), pytest.raises(Unavailable, match=f"is being written by process {os.getpid()} on "):
        store.apply(changes)

    assert not (tmp_path / "state").exists()
    store.apply(changes)
    assert list(store.images().records) == ["web"]


def test_the_lock_is_where_git_does_not_look(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    write(tmp_path / "image-factory", image())
    Store(tmp_path / "image-factory", Settings()).images()

    status = subprocess.run(
        ["git", "-C", str(tmp_path), "status", "--porcelain", "-uall"], check=True, capture_output=True, text=True
    )

    assert status.stdout.splitlines() == ["?? image-factory/state/images/web.yaml"]
    assert (tmp_path / "image-factory" / CACHE_FOLDER / LOCK_FILE).exists()


def test_a_lock_file_without_a_living_holder_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / CACHE_FOLDER).mkdir()
    (tmp_path / CACHE_FOLDER / LOCK_FILE).write_text("process 1 on elsewhere\n")

    with (
        StateLock(tmp_path, timedelta(0)),
        (tmp_path / CACHE_FOLDER / LOCK_FILE).open() as file,
        pytest.raises(BlockingIOError),
    ):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


# --- files that cannot be read -----------------------------------------------------------------------------


def test_a_broken_file_is_set_aside_and_the_next_one_numbered(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, image("api"), image("web"))
    folder = tmp_path / "state/images"
    for text in ("a: [", "b: ["):
        (folder / "web.yaml").write_text(text)
        store.set_aside_corrupt(store.images())

    assert sorted(path.name for path in folder.iterdir()) == ["api.yaml", "web.yaml.corrupt", "web.yaml.corrupt.2"]
    assert (folder / "web.yaml.corrupt").read_text() == "a: ["
    assert "web.yaml.corrupt.2" in caplog.text
    assert list(store.images().records) == ["api"]
    assert store.images().problems == ()


def test_a_broken_file_is_kept_beside_the_record_that_is_written_in_its_place(store: Store, tmp_path: Path) -> None:
    write(tmp_path, image())
    folder = tmp_path / "state/images"
    (folder / "web.yaml").write_bytes(b"name: \xff")
    store.images()

    store.apply(store.plan([image()]))

    assert (folder / "web.yaml.corrupt").read_bytes() == b"name: \xff"
    assert dict(store.images().records) == {"web": image()}


def test_a_file_that_was_corrected_meanwhile_is_not_set_aside(store: Store, tmp_path: Path) -> None:
    write(tmp_path, image())
    (tmp_path / "state/images/web.yaml").write_text("a: [")
    loaded = store.images()
    (tmp_path / "state/images/web.yaml").write_text(dump(image()))

    assert store.set_aside_corrupt(loaded) == ()
    assert dict(store.images().records) == {"web": image()}


def test_a_file_of_a_newer_version_is_reported_and_left_alone(store: Store, tmp_path: Path) -> None:
    write(tmp_path, image())
    file = tmp_path / "state/images/web.yaml"
    file.write_text("schemaVersion: 9\n" + dump(image()))

    loaded = store.images()

    assert isinstance(loaded.broken["web"], UnsupportedVersion)
    assert store.set_aside_corrupt(loaded) == ()
    assert store.plan([image()]) == ()
    assert file.read_text().startswith("schemaVersion: 9\n")
