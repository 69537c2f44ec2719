"""Archived records: unchanged, with a note of when and why, where loaders do not look."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from image_factory.errors import InvalidState
from image_factory.model.image_state import BaseState, ImageState
from image_factory.state.archive import Archived, archive_path, archived_text, newest_first, read_archived
from image_factory.state.codec import dump, read_base, read_image
from image_factory.testing.records import base_states, image_states, instants, odd_texts

AT = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
LIVE = PurePosixPath("state/base-images/node-22.yaml")


def test_a_record_goes_to_a_folder_of_its_name_in_the_archive() -> None:
    assert archive_path(LIVE, "state", AT) == PurePosixPath(
        "state/_archive/base-images/node-22/2026-03-01T120005Z.yaml"
    )


def test_two_records_of_one_second_get_files_of_their_own() -> None:
    first = archive_path(LIVE, "state", AT)
    second = archive_path(LIVE, "state", AT, {first})
    third = archive_path(LIVE, "state", AT, {first, second})

    assert [path.name for path in (second, third)] == ["2026-03-01T120005Z-2.yaml", "2026-03-01T120005Z-3.yaml"]


def test_the_text_is_kept_and_a_note_is_added() -> None:
    text = "# mine\nname: node-22\nfoo: 1\n\n\n"

    archived = archived_text(text, at=AT, reason="no image: is built on it")

    assert archived.startswith(text)
    data = yaml.safe_load(archived)
    assert data["foo"] == 1
    assert data["archive"] == {"archivedAt": "2026-03-01T12:00:05Z", "reason": "no image: is built on it"}


@settings(max_examples=80, deadline=None)
@given(image_states() | base_states(), instants, odd_texts, st.sampled_from(["", "# mine\n", "\n\n", "...\n"]))
def test_what_was_archived_is_read_back_byte_for_byte(
    record: ImageState | BaseState, at: datetime, reason: str, tail: str
) -> None:
    """Broken by: stripping the text, parting at the first note of two, a note that is no YAML."""
    text = dump(record) + tail

    once = read_archived(archived_text(text, at=at, reason=reason), "x")
    twice = read_archived(archived_text(archived_text(text, at=at, reason="first"), at=at, reason=reason), "x")

    assert once == Archived(text, at.replace(microsecond=0), reason)
    assert read_archived(twice.text, "x").text == text
    read = read_image if isinstance(record, ImageState) else read_base
    assert read(once.text, "x") == record


def test_a_note_that_a_person_has_unquoted_is_read() -> None:
    text = archived_text("name: a\n", at=AT, reason="gone").replace("'", "")

    assert read_archived(text, "x").at == AT


@pytest.mark.parametrize(
    "text",
    [
        "name: web\n",
        "",
        archived_text("name: web\n", at=AT, reason="gone").replace("archivedAt", "at"),
        archived_text("name: web\n", at=AT, reason="gone").replace("2026", "MMXXVI"),
        archived_text("name: web\n", at=AT, reason="gone").replace("reason: gone", "reason: [gone]"),
        archived_text("name: web\n", at=AT, reason="gone") + "}",
        archived_text("name: web\n", at=AT, reason="gone").replace("archive:", "archive: 7 #"),
    ],
    ids=["no note", "empty", "no time", "no such time", "no text", "no YAML", "no map"],
)
def test_a_file_without_a_right_note_is_an_error_that_names_it(text: str) -> None:
    with pytest.raises(InvalidState, match=r"web\.yaml"):
        read_archived(text, "web.yaml")


def test_the_newest_is_told_by_its_time_and_of_two_by_name() -> None:
    folder = PurePosixPath("state/_archive/images/web")
    entries = {
        folder / "2026-03-01T120005Z.yaml": Archived("", AT, ""),
        folder / "2026-03-01T120005Z-10.yaml": Archived("", AT, ""),
        folder / "2026-03-01T120005Z-9.yaml": Archived("", AT, ""),
        folder / "0000.yaml": Archived("", AT + timedelta(days=1), ""),
        folder / "9999.yaml": Archived("", AT - timedelta(days=1), ""),
    }

    assert [path.stem for path in newest_first(entries)] == [
        "0000",
        "2026-03-01T120005Z-10",
        "2026-03-01T120005Z-9",
        "2026-03-01T120005Z",
        "9999",
    ]
