"""The archive on disk: found the newest first, written beside what is there, never over it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import pytest

from image_factory.errors import UnsafeValue
from image_factory.model.settings import Settings
from image_factory.shell.archive_folder import ArchiveFolder, archive_first
from image_factory.shell.store import FileChange, Store
from image_factory.state.archive import archived_text

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIVE = PurePosixPath("state/images/web.yaml")


@pytest.fixture
def archive(tmp_path: Path) -> ArchiveFolder:
    return ArchiveFolder(Store(tmp_path, Settings()), tmp_path, "state")


def put(root: Path, path: str, text: str) -> Path:
    file = root / "state" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_an_empty_folder_has_no_archive(archive: ArchiveFolder) -> None:
    assert (archive.names("images"), archive.find("images", "web").entries, archive.all()) == ((), (), ())


def test_what_was_archived_is_found_the_newest_first(tmp_path: Path, archive: ArchiveFolder) -> None:
    for number in (1, 3, 2):
        text = archived_text(f"name: web{number}\n", at=AT + timedelta(days=number), reason="gone")
        put(tmp_path, f"_archive/images/web/{number}.yaml", text)
    put(tmp_path, "_archive/images/web/broken.yaml", "name: web\n")

    found = archive.find("images", "web")

    assert [entry.archived.text for entry in found.entries] == ["name: web3\n", "name: web2\n", "name: web1\n"]
    assert found.entries[0].path == PurePosixPath("state/_archive/images/web/3.yaml")
    assert list(found.broken) == [PurePosixPath("state/_archive/images/web/broken.yaml")]
    assert archive.names("images") == ("web",)
    assert [one.entries for one in archive.all()] == [found.entries]


def test_a_record_moves_there_and_is_removed_after(archive: ArchiveFolder) -> None:
    changes = archive.moved([FileChange(LIVE, "name: web\n", None)], at=AT, reason="gone")

    assert changes == [
        FileChange(
            PurePosixPath("state/_archive/images/web/2026-03-01T120000Z.yaml"),
            None,
            archived_text("name: web\n", at=AT, reason="gone"),
        ),
        FileChange(LIVE, "name: web\n", None),
    ]


def test_what_lies_there_is_not_overwritten_broken_or_not(tmp_path: Path, archive: ArchiveFolder) -> None:
    put(tmp_path, "_archive/images/web/2026-03-01T120000Z.yaml", archived_text("name: a\n", at=AT, reason="gone"))
    put(tmp_path, "_archive/images/web/2026-03-01T120000Z-2.yaml", "half: [")

    first, _ = archive.moved([FileChange(LIVE, "name: web\n", None)], at=AT, reason="gone")

    assert first.path.name == "2026-03-01T120000Z-3.yaml"


@pytest.mark.parametrize("text", ["name: web\n", "name: web", ""], ids=repr)
def test_what_a_stopped_run_has_archived_is_not_archived_again(
    tmp_path: Path, archive: ArchiveFolder, text: str
) -> None:
    put(tmp_path, "_archive/images/web/2026-03-01T120000Z.yaml", archived_text(text, at=AT, reason="gone"))

    changes = archive.moved([FileChange(LIVE, text, None)], at=AT + timedelta(minutes=1), reason="gone")

    assert changes == [FileChange(LIVE, text, None)]


def test_a_file_may_say_something_else_in_the_archive(archive: ArchiveFolder) -> None:
    first, last = archive.moved(
        [FileChange(LIVE, "status: requested\n", None)], at=AT, reason="gone", last_words={LIVE: "status: cancelled\n"}
    )

    assert (first.new or "").startswith("status: cancelled\n")
    assert last.old == "status: requested\n"


def test_copies_of_a_record_are_taken_out_with_it_and_others_stay(tmp_path: Path, archive: ArchiveFolder) -> None:
    for number, text in enumerate(("name: web\n", "name: web\n", "name: other\n")):
        put(tmp_path, f"_archive/images/web/{number}.yaml", archived_text(text, at=AT, reason="gone"))
    entry = next(one for one in archive.find("images", "web").entries if one.path.stem == "0")

    changes = archive.taken_out(entry)

    assert sorted((one.path.stem, one.new) for one in changes) == [("0", None), ("1", None)]


def test_an_archive_that_leads_out_of_the_state_directory_is_refused(tmp_path: Path, archive: ArchiveFolder) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "state/_archive/images").mkdir(parents=True)
    (tmp_path / "state/_archive/images/web").symlink_to(outside)

    with pytest.raises(UnsafeValue, match="out of the state directory"):
        archive.find("images", "web")


def test_removals_come_last_and_those_of_images_after_all_others() -> None:
    def change(path: str, new: str | None) -> FileChange:
        return FileChange(PurePosixPath(path), "old", new)

    ordered = archive_first(
        [
            change("state/images/web.yaml", None),
            change("state/rebuild-requests/web.yaml", None),
            change("state/images/api.yaml", "new"),
            change("state/_archive/images/web/1.yaml", "new"),
        ]
    )

    assert [(str(one.path), one.new is None) for one in ordered] == [
        ("state/_archive/images/web/1.yaml", False),
        ("state/images/api.yaml", False),
        ("state/rebuild-requests/web.yaml", True),
        ("state/images/web.yaml", True),
    ]
