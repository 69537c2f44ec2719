"""The state directory on disk: read whole, planned as changes of files, written atomically. I/O.

Reading never fails as a whole: a file that cannot be read is a problem beside the records of the
others. Writing is in two steps: `plan` says which files change and how (what `--dry-run` prints),
`apply` does it under a lock, each file through a temporary one beside it, so that at every instant
each file is whole, old or new.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from image_factory.errors import Conflict, InvalidState, NotFound, UnsafeValue, UnsupportedVersion
from image_factory.model.image_state import BaseState, ImageState, StateFolder
from image_factory.model.settings import Settings
from image_factory.shell.folder import own_folder
from image_factory.shell.state_cache import StateCache, content_digest
from image_factory.shell.state_folder import Loaded, check_place, read_folder, read_text
from image_factory.shell.state_lock import TIMEOUT, StateLock
from image_factory.state.layout import BASE_IMAGES, CORRUPT_SUFFIX, HOLDS, IMAGES, REQUESTS, state_path

if TYPE_CHECKING:
    from image_factory.model.hold import Hold
    from image_factory.model.request import RebuildRequest
    from image_factory.shell.read_ahead import ReadAhead
    from image_factory.shell.state_folder import AnyRecord

__all__ = ["FileChange", "Loaded", "Overtaken", "Store"]

T = TypeVar("T", bound="AnyRecord")

TEMPORARY_SUFFIX = ".tmp"

log = logging.getLogger("image_factory.store")


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file to write or remove, and what it must hold for that to be right."""

    path: PurePosixPath
    """Relative to the image-factory folder."""
    old: str | None
    """The text that the change was made from; None where there was no file."""
    new: str | None
    """The text to write; None removes the file."""
    set_aside: bool = False
    """Whether the old file could not be read, and is kept as `.corrupt` beside the new one."""

    def diff(self) -> str:
        """Return the change as a unified diff, as git shows it."""
        import difflib

        old = [] if self.old is None else self.old.splitlines(keepends=True)
        new = [] if self.new is None else self.new.splitlines(keepends=True)
        before = "/dev/null" if self.old is None else f"a/{self.path}"
        after = "/dev/null" if self.new is None else f"b/{self.path}"
        lines = []
        for line in difflib.unified_diff(old, new, before, after):
            lines.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
        return "".join(lines)


class Overtaken(Conflict):
    """A file is no longer what this run read, so nothing of it was written; the run may be done again."""


class Store:
    """The state of one image-factory folder.

    Args:
        root: the image-factory folder.
        settings: where in it the state directory lies.
        cache: whether to keep what was read for the next run, in `.image-factory-cache`.
        lock_timeout: how long a write waits for another writer.
        ahead: files that another process parses; those that have changed since are read again.
        keep: given what saves a cache, to be called at once, as here, or when there is time.
    """

    def __init__(
        self,
        root: Path,
        settings: Settings,
        *,
        cache: bool = True,
        lock_timeout: timedelta = TIMEOUT,
        ahead: ReadAhead | None = None,
        keep: Callable[[Callable[[], None]], object] = lambda save: save(),
    ) -> None:
        self._root = root
        self._state = PurePosixPath(settings.state_dir)
        self._cache = cache
        self._lock_timeout = lock_timeout
        self._ahead = ahead
        self._keep = keep
        self._loaded: dict[StateFolder, Loaded[Any]] = {}
        """What was last read, as long as nothing was written since: what is planned must come from it."""
        self._earlier: dict[StateFolder, Loaded[Any]] = {}
        """What was last read, whatever was written since: of it only what has not changed counts."""

    # --- reading ---------------------------------------------------------------------------------

    def images(self) -> Loaded[ImageState]:
        """Return the records of all managed and external images.

        Raises:
            UnsafeValue: the folder is a link that leads out of the state directory.
        """
        return self._read(IMAGES, ImageState)

    def bases(self) -> Loaded[BaseState]:
        """Return the records of all base images; raises what `images` raises."""
        return self._read(BASE_IMAGES, BaseState)

    def only(self, names: Collection[str]) -> tuple[Loaded[ImageState], Loaded[BaseState]]:
        """Return the records of these names alone, images and bases, at the cost of these; raises what `images` raises.

        Nothing can be planned from them: what else is there was not looked at.
        """
        found = []
        for folder in (IMAGES, BASE_IMAGES):
            check_place(self._folder(folder), self._allowed())
            model: type[Any] = ImageState if folder == IMAGES else BaseState
            found.append(read_folder(self._folder(folder), model, None, only=names))
        images, bases = found
        return images, bases

    def requests(self) -> Loaded[RebuildRequest]:
        """Return the rebuild request of each image that has or had one; raises what `images` raises."""
        from image_factory.model.request import RebuildRequest

        return self._read(REQUESTS, RebuildRequest)

    def holds(self) -> Loaded[Hold]:
        """Return what people have stopped, ended holds included; raises what `images` raises."""
        from image_factory.model.hold import Hold

        return self._read(HOLDS, Hold)

    def _read(self, folder: StateFolder, model: type[T]) -> Loaded[T]:
        place = self._folder(folder)
        check_place(place, self._allowed())
        earlier: Loaded[T] | None = self._earlier.get(folder)
        loaded = read_folder(place, model, self._cache_of(folder), self._ahead, earlier, self._keep)
        self._loaded[folder] = self._earlier[folder] = loaded
        return loaded

    def _cache_of(self, folder: StateFolder) -> StateCache | None:
        # Nothing is made in a folder that has no state.
        if not self._cache or not self._folder(folder).is_dir():
            return None
        try:
            return StateCache(own_folder(self._root) / f"{folder}.json")
        except OSError:
            return None  # a folder that nobody may write to is read all the same

    # --- planning --------------------------------------------------------------------------------

    def plan(
        self,
        images: Iterable[ImageState] = (),
        bases: Iterable[BaseState] = (),
        removed: Iterable[tuple[StateFolder, str]] = (),
        *,
        requests: Iterable[RebuildRequest] = (),
        holds: Iterable[Hold] = (),
    ) -> tuple[FileChange, ...]:
        """Return the files that change when these records are written and those removed, by path.

        Records that a file holds already change nothing. A file that cannot be read is set aside. A
        file that a newer program wrote is left alone, since reading it reported that.

        Raises:
            Overtaken: a file changed since the records were read that these come from.
        """
        changes = [
            *self._changes(IMAGES, images),
            *self._changes(BASE_IMAGES, bases),
            *self._changes(REQUESTS, requests),
            *self._changes(HOLDS, holds),
        ]
        for folder, name in removed:
            path = self._path(folder, name)
            old = self._text(path)
            if old is not None:
                changes.append(FileChange(path, old, None))
        return tuple(sorted(changes, key=lambda change: change.path))

    def plan_text(self, path: PurePosixPath, text: str | None) -> tuple[FileChange, ...]:
        """Return the change that makes a file of the state directory hold `text`, or be gone; none where it does.

        For what is no record, such as the audit log and the archive.

        Args:
            path: relative to the state directory.
        """
        place = self._state / path
        old = self._text(place)
        return () if old == text else (FileChange(place, old, text),)

    def files(self, folder: str) -> tuple[PurePosixPath, ...]:
        """Return the paths of the YAML files of a folder of the state directory, relative to that, sorted.

        Raises:
            UnsafeValue: the folder leads out of the state directory.
        """
        place = self._root / self._state / folder
        if not place.is_dir():
            return ()
        check_place(place, self._allowed())
        names = sorted(path.name for path in place.iterdir() if path.suffix == ".yaml" and path.is_file())
        return tuple(PurePosixPath(folder, name) for name in names)

    def text(self, path: PurePosixPath) -> str | None:
        """Return the text of a file of the state directory, by its path relative to that; None where there is none.

        Raises:
            UnsafeValue: it leads out of the state directory, or is no regular file.
            InvalidState: it is not UTF-8.
        """
        return self._text(self._state / path)

    def _changes(self, folder: StateFolder, records: Iterable[AnyRecord]) -> Iterator[FileChange]:
        loaded = self._loaded.get(folder)
        known: Mapping[str, AnyRecord] = {} if loaded is None else loaded.records
        for record in records:
            # Most records are what was read; comparing them costs a hundredth of reading the file.
            read = known.get(record.name)
            if read is record or read == record:
                continue
            change = self._change(self._path(folder, record.name), record)
            if change is None:
                continue
            if loaded is not None and record.name not in loaded.broken:
                text = None if change.old is None else content_digest(change.old.encode("utf-8"))
                if text != loaded.records.digest(record.name):
                    raise self._overtaken(change.path)
            yield change

    def _change(self, path: PurePosixPath, record: AnyRecord) -> FileChange | None:
        # Not needed, and not imported, where nothing has changed.
        from image_factory.state.record_codec import dump_any, update_any

        try:
            old = self._text(path)
            if old is None:
                return FileChange(path, None, dump_any(record))
            new = update_any(old, record, str(self._root / path))
        except (UnsupportedVersion, UnsafeValue, NotFound):
            return None
        except InvalidState:
            return FileChange(path, self._text(path, errors="replace"), dump_any(record), set_aside=True)
        return None if new == old else FileChange(path, old, new)

    # --- writing ---------------------------------------------------------------------------------

    def apply(self, changes: Iterable[FileChange]) -> None:
        """Write and remove files: all temporary files first, then each into its place.

        Raises:
            Overtaken: a file is no longer what the change was made from; nothing was written.
            Unavailable: another process holds the lock for too long; nothing was written.
            UnsafeValue: a folder of the state directory leads out of it; nothing was written.
        """
        planned = [change for change in changes if change.old != change.new]
        if not planned:
            return
        with StateLock(self._root, self._lock_timeout), _Replacement(self._root) as replacement:
            self._loaded.clear()
            for change in planned:
                self._check(change)
            for change in planned:
                replacement.prepare(change)
            for change in planned:
                if change.set_aside:
                    self._set_aside(self._root / change.path)
                replacement.place(change)

    def _check(self, change: FileChange) -> None:
        check_place((self._root / change.path).parent, self._allowed())
        if self._text(change.path, errors="replace" if change.set_aside else "strict") != change.old:
            raise self._overtaken(change.path)

    def _overtaken(self, path: PurePosixPath) -> Overtaken:
        return Overtaken(
            f"{self._root / path} was changed while this run worked on it", hint="run it again; nothing was written"
        )

    def set_aside_corrupt(self, loaded: Loaded[T]) -> tuple[Path, ...]:
        """Rename files that hold no record to NAME.yaml.corrupt (numbered if there is one); return the new paths.

        The next analysis rebuilds their records. Files that a newer program wrote stay where they
        are, and so do those that have been corrected since `loaded` was read.
        """
        corrupt = [
            Path(error.location.file)
            for error in loaded.problems
            if isinstance(error, InvalidState) and not isinstance(error, UnsupportedVersion) and error.location
        ]
        if not corrupt:
            return ()
        with StateLock(self._root, self._lock_timeout):
            self._loaded.clear()
            still = {
                Path(error.location.file)
                for folder in {file.parent for file in corrupt}
                for error in (self.images() if folder == self._folder(IMAGES) else self.bases()).problems
                if error.location
            }
            return tuple(self._set_aside(file) for file in corrupt if file in still)

    def _set_aside(self, file: Path) -> Path:
        target = file.with_name(f"{file.name}{CORRUPT_SUFFIX}")
        number = 2
        while target.exists():
            target = file.with_name(f"{file.name}{CORRUPT_SUFFIX}.{number}")
            number += 1
        file.rename(target)
        log.warning("state file cannot be read; set aside as %s", target, extra={"image": file.stem, "op": "set-aside"})
        return target

    # --- paths -----------------------------------------------------------------------------------

    def _folder(self, folder: StateFolder) -> Path:
        return self._root / self._state / folder

    def _allowed(self) -> Path:
        """Return where state may really lie: a commit could make a link of any folder, but not of a setting."""
        if self._state.is_absolute() or ".." in self._state.parts:
            return Path(os.path.realpath(self._root / self._state))
        return Path(os.path.realpath(self._root), self._state)

    def _path(self, folder: StateFolder, name: str) -> PurePosixPath:
        return self._state / state_path(folder, name)

    def _text(self, path: PurePosixPath, *, errors: str = "strict") -> str | None:
        try:
            return read_text(self._root / path, self._allowed(), errors=errors)
        except FileNotFoundError:
            return None


class _Replacement(contextlib.AbstractContextManager["_Replacement"]):
    """Files written whole beside their targets and then renamed over them; what is not placed is removed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._prepared: dict[PurePosixPath, Path] = {}
        self._folders: set[Path] = set()

    def prepare(self, change: FileChange) -> None:
        """Write the new file beside its target, down to the disk."""
        if change.new is None:
            return
        target = self._root / change.path
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.parent not in self._folders:
            self._folders.add(target.parent)
            _remove_leftovers(target.parent)
        descriptor, name = tempfile.mkstemp(TEMPORARY_SUFFIX, f".{target.name}.", target.parent)
        self._prepared[change.path] = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            file.write(change.new.encode("utf-8"))
            os.fchmod(file.fileno(), target.stat().st_mode & 0o777 if target.exists() else 0o644)
            file.flush()
            os.fsync(file.fileno())

    def place(self, change: FileChange) -> None:
        """Put the new file in its place, or remove the old one."""
        target = self._root / change.path
        self._folders.add(target.parent)
        if change.new is None:
            target.unlink(missing_ok=True)
        else:
            self._prepared[change.path].replace(target)
            del self._prepared[change.path]

    def __exit__(self, *_: object) -> None:
        for path in self._prepared.values():
            path.unlink(missing_ok=True)
        for folder in self._folders:
            # A rename is on the disk once its folder is.
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _remove_leftovers(folder: Path) -> None:
    """Remove what a writer that was killed has left; the lock is ours, so none is at work."""
    for path in folder.glob(f".*.yaml.*{TEMPORARY_SUFFIX}"):
        path.unlink(missing_ok=True)
