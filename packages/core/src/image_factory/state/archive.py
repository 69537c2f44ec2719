"""The archive: records that are no longer used, kept whole beside a note of when and why. Pure.

`_archive/{images,base-images,rebuild-requests,holds}/NAME/<archivedAt>.yaml` below the state directory;
loaders do not read it. A file is the record's text, every byte of it, and below it the note.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

import yaml

from image_factory.errors import InvalidState, Location
from image_factory.model.image_state import format_time, parse_time
from image_factory.state.layout import ARCHIVE

_MARK = "# Archive: when this record left the live state, and why."
"""The line that parts a record from its note."""


@dataclass(frozen=True, slots=True)
class Archived:
    """What a file of the archive holds."""

    text: str
    """The record's, as it was."""
    at: datetime
    """When it was archived."""
    reason: str


def archive_path(
    path: PurePosixPath, state_dir: str, at: datetime, taken: Collection[PurePosixPath] = ()
) -> PurePosixPath:
    """Return where the record that lies at `path` goes when it is archived at `at`.

    Both paths are relative to the image-factory folder. The name of the file is a time without
    colons, which Windows checkouts cannot hold, and a number where that is taken.

    Args:
        taken: paths that hold something already.
    """
    inside = path.relative_to(state_dir)
    folder = PurePosixPath(state_dir, ARCHIVE, inside.parent, inside.stem)
    stamp = f"{at:%Y-%m-%dT%H%M%SZ}"
    target, number = folder / f"{stamp}.yaml", 2
    while target in taken:
        target, number = folder / f"{stamp}-{number}.yaml", number + 1
    return target


def archived_text(text: str, *, at: datetime, reason: str) -> str:
    """Return a record's text, unchanged, followed by the note of its archiving."""
    note = yaml.safe_dump(
        {"archive": {"archivedAt": format_time(at.replace(microsecond=0)), "reason": reason}},
        sort_keys=False,
    )
    ended = text if text.endswith("\n") or not text else f"{text}\n"
    return f"{ended}\n{_MARK}\n{note}"


def read_archived(text: str, source: str) -> Archived:
    """Return what a file of the archive holds.

    Args:
        source: the file's name, for errors.

    Raises:
        InvalidState: it does not end with the note of an archiving.
    """
    record, mark, note = text.rpartition(f"\n{_MARK}\n")
    line = text.count("\n", 0, len(record)) + 2
    if not mark:
        raise InvalidState(
            "this file of the archive does not say when and why it was archived",
            hint="take the file back from git, or remove it",
            location=Location(source),
        )
    try:
        values = yaml.safe_load(note)
        archive = values["archive"]
        at, reason = archive["archivedAt"], archive["reason"]
        if not isinstance(reason, str):
            raise TypeError("reason is no text")
        return Archived(record, parse_time(at if isinstance(at, str) else at.isoformat()), reason)
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidState(
            "the note of the archiving cannot be read",
            hint="it reads archive:, and below it archivedAt and reason; take the file back from git",
            location=Location(source, line),
        ) from error


def newest_first(entries: Mapping[PurePosixPath, Archived]) -> tuple[PurePosixPath, ...]:
    """Return the paths of what was archived of one record, the newest first; of two of one instant, by name."""
    return tuple(sorted(entries, key=lambda path: (entries[path].at, _number(path), path.name), reverse=True))


def _number(path: PurePosixPath) -> int:
    """Return the number that a name was given because its time was taken, 1 where it was not."""
    _, _, number = path.stem.partition("Z-")
    return int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 1
