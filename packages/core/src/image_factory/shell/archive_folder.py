"""The archive on disk: what was archived of a record, and the changes that archive another. I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import cast

from image_factory.errors import ImageFactoryError
from image_factory.model.image_state import StateFolder
from image_factory.shell.store import FileChange, Store
from image_factory.state.archive import Archived, archive_path, archived_text, newest_first, read_archived
from image_factory.state.layout import ARCHIVE, BASE_IMAGES, HOLDS, IMAGES, REQUESTS

FOLDERS: tuple[StateFolder, ...] = (IMAGES, BASE_IMAGES, REQUESTS, HOLDS)


@dataclass(frozen=True, slots=True)
class ArchiveEntry:
    """One file of the archive."""

    path: PurePosixPath
    """Relative to the image-factory folder."""
    folder: StateFolder
    name: str
    content: str
    """The whole file."""
    archived: Archived

    def removal(self) -> FileChange:
        """Return the change that takes it out of the archive."""
        return FileChange(self.path, self.content, None)


@dataclass(frozen=True, slots=True)
class Found:
    """What was archived of one record."""

    entries: tuple[ArchiveEntry, ...]
    """The newest first."""
    broken: Mapping[PurePosixPath, ImageFactoryError] = field(default_factory=dict)
    """Why a file cannot be read, by its path relative to the image-factory folder."""


class ArchiveFolder:
    """The archive of one image-factory folder.

    Args:
        root: the image-factory folder.
        state_dir: the state directory in it.
    """

    def __init__(self, store: Store, root: Path, state_dir: str) -> None:
        self._store = store
        self._root = root
        self._state = state_dir

    def names(self, folder: StateFolder) -> tuple[str, ...]:
        """Return the names of the records of which something is archived, sorted."""
        place = self._root / self._state / ARCHIVE / folder
        return tuple(sorted(path.name for path in place.iterdir() if path.is_dir())) if place.is_dir() else ()

    def find(self, folder: StateFolder, name: str) -> Found:
        """Return what was archived of a record.

        Raises:
            UnsafeValue: its folder leads out of the state directory.
        """
        entries: dict[PurePosixPath, ArchiveEntry] = {}
        broken: dict[PurePosixPath, ImageFactoryError] = {}
        for inside in self._store.files(f"{ARCHIVE}/{folder}/{name}"):
            path = PurePosixPath(self._state, inside)
            try:
                content = self._store.text(inside)
                if content is not None:
                    archived = read_archived(content, str(self._root / path))
                    entries[path] = ArchiveEntry(path, folder, name, content, archived)
            except ImageFactoryError as error:
                broken[path] = error
        order = newest_first({path: entry.archived for path, entry in entries.items()})
        return Found(tuple(entries[path] for path in order), broken)

    def taken_out(self, entry: ArchiveEntry) -> list[FileChange]:
        """Return the changes that take a record out of the archive.

        Two clones may have archived it at once, a moment apart: its copies go with it.
        """
        same = self.find(entry.folder, entry.name).entries
        return [one.removal() for one in same if one.archived.text == entry.archived.text]

    def all(self) -> tuple[Found, ...]:
        """Return everything that is archived, by folder and name."""
        return tuple(self.find(folder, name) for folder in FOLDERS for name in self.names(folder))

    def moved(
        self,
        removals: Iterable[FileChange],
        *,
        at: datetime,
        reason: str,
        last_words: Mapping[PurePosixPath, str] | None = None,
    ) -> list[FileChange]:
        """Return the changes that put records into the archive and take them out of the live state, in this order.

        What an earlier run was stopped at after it had written the archive's file is not written a second time.

        Args:
            removals: changes that remove live files.
            last_words: what a file is to say in the archive, where that is not what it says now.
        """
        changes = []
        for removal in removals:
            inside = removal.path.relative_to(self._state)
            text = (last_words or {}).get(removal.path, removal.old or "")
            found = self.find(cast("StateFolder", str(inside.parent)), inside.stem)
            if not any(entry.archived.text == _ended(text) for entry in found.entries[:1]):
                taken = {*(entry.path for entry in found.entries), *found.broken}
                target = archive_path(removal.path, self._state, at, taken)
                changes.append(FileChange(target, None, archived_text(text, at=at, reason=reason)))
            changes.append(removal)
        return changes


def _ended(text: str) -> str:
    """Return a record's text as the archive keeps it: with the end of its last line."""
    return text if text.endswith("\n") or not text else f"{text}\n"


def archive_first(changes: Iterable[FileChange]) -> tuple[FileChange, ...]:
    """Return changes in an order in which a run that is stopped halfway has lost nothing, and the next one goes on.

    Removals come last, and of these those of images: their records are what shows that something is left to do.
    """
    return tuple(sorted(changes, key=lambda one: (one.new is None, one.path.parent.name == IMAGES, one.path)))
