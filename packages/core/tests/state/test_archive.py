"""Archived records: unchanged, with a note of when and why, where loaders do not look."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import PurePosixPath

import yaml

from image_factory.state.archive import archive_path, archived_text

AT = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)


def test_a_record_goes_to_a_folder_of_its_name_in_the_archive() -> None:
    path = archive_path(PurePosixPath("state/base-images/node-22.yaml"), "state", AT)

    assert path == PurePosixPath("state/_archive/base-images/node-22/2026-03-01T120005Z.yaml")


def test_the_text_is_kept_and_a_note_is_added() -> None:
    text = "# mine\nname: node-22\nfoo: 1\n"

    archived = archived_text(text, at=AT, reason="no image: is built on it")

    assert archived.startswith(text)
    data = yaml.safe_load(archived)
    assert data["foo"] == 1
    assert data["archive"] == {"archivedAt": "2026-03-01T12:00:05Z", "reason": "no image: is built on it"}
