"""The state directory on disk: read whole, planned as changes of files, written atomically. I/O.

Reading never fails as a whole: a file that cannot be read is a problem beside the records of the
others. Writing is in two steps: `plan` says which files change and how (what `--dry-run` prints),
`apply` does it under a lock, each file through a temporary one beside it, so that at every instant
each file is whole, old or new.
"""

from __future__ import annotations

import contextlib
import difflib
import logging
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Generic, TypeVar

from image_factory.errors import Conflict, ImageFactoryError, InvalidState, Location, UnsafeValue, UnsupportedVersion
from image_factory.model.image_state import BaseState, ImageState, StateFolder
from image_factory.model.settings import Settings
from image_factory.shell.state_lock import StateLock
from image_factory.state.codec import dump, read_base, read_image, update_text
from image_factory.state.layout import BASE_IMAGES, CORRUPT_SUFFIX, IMAGES, state_name, state_path

T = TypeVar("T", ImageState, BaseState)

TEMPORARY_SUFFIX = ".tmp"

log = logging.getLogger("image_factory.store")


@dataclass(frozen=True, slots=True)
class Loaded(Generic[T]):
    """The records of a folder by name, sorted, and the files that could not be read."""

    records: Mapping[str, T]
    broken: Mapping[str, ImageFactoryError] = field(default_factory=dict)
    """Why a file could not be read, by the name of its record."""

    @property
    def problems(self) -> tuple[ImageFactoryError, ...]:
        return tuple(self.broken.values())


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
        old = [] if self.old is None else self.old.splitlines(keepends=True)
        new = [] if self.new is None else self.new.splitlines(keepends=True)
        before = "/dev/null" if self.old is None else f"a/{self.path}"
        after = "/dev/null" if self.new is None else f"b/{self.path}"
        lines = []
        for line in difflib.unified_diff(old, new, before, after):
            lines.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
        return "".join(lines)


class Store:
    """The state of one image-factory folder.

    Args:
        root: the image-factory folder.
        settings: where in it the state directory lies.
        cache: whether to keep what was read for the next run, in `.image-factory-cache`.
    """

    def __init__(self, root: Path, settings: Settings, *, cache: bool = True) -> None:
        self._root = root
        self._state = PurePosixPath(settings.state_dir)
        self._cache = cache

    def images(self) -> Loaded[ImageState]:
        """Return the records of all managed and external images."""
        return self._load(IMAGES, read_image)

    def bases(self) -> Loaded[BaseState]:
        """Return the records of all base images."""
        return self._load(BASE_IMAGES, read_base)

    def _load(self, folder: StateFolder, read: Callable[[str, str], T]) -> Loaded[T]:
        records: dict[str, T] = {}
        broken: dict[str, ImageFactoryError] = {}
        for name in self._names(folder):
            path = self._path(folder, name)
            try:
                record = read(self._text(path), str(self._root / path))
                if record.name != name:
                    raise InvalidState(
                        f"the file's name is {name!r}, and the record's is {record.name!r}",
                        hint="a record lies in the file of its name",
                        location=Location(str(self._root / path)),
                    )
                records[name] = record
            except ImageFactoryError as error:
                broken[name] = error
        return Loaded(records, broken)

    def plan(
        self,
        images: Iterable[ImageState] = (),
        bases: Iterable[BaseState] = (),
        removed: Iterable[tuple[StateFolder, str]] = (),
    ) -> tuple[FileChange, ...]:
        """Return the files that change when these records are written and those removed, by path.

        Records that a file holds already change nothing. A file that cannot be read is set aside. A
        file that a newer program wrote is left alone; reading reports it.
        """
        changes = [self._change(IMAGES, image) for image in images]
        changes += [self._change(BASE_IMAGES, base) for base in bases]
        for folder, name in removed:
            path = self._path(folder, name)
            old = self._text_or_none(path)
            if old is not None:
                changes.append(FileChange(path, old, None))
        return tuple(sorted((change for change in changes if change), key=lambda change: change.path))

    def _change(self, folder: StateFolder, record: ImageState | BaseState) -> FileChange | None:
        path = self._path(folder, record.name)
        old = self._text_or_none(path)
        if old is None:
            return FileChange(path, None, dump(record))
        try:
            new = update_text(old, record, str(self._root / path))
        except UnsupportedVersion:
            return None
        except InvalidState:
            return FileChange(path, old, dump(record), set_aside=True)
        return None if new == old else FileChange(path, old, new)

    def apply(self, changes: Iterable[FileChange]) -> None:
        """Write and remove files: all temporary files first, then each into its place.

        Raises:
            Conflict: a file is no longer what the change was made from; nothing was written.
            Unavailable: another process holds the lock for too long; nothing was written.
        """
        planned = [change for change in changes if change.old != change.new]
        if not planned:
            return
        with self._locked():
            for change in planned:
                self._check_unchanged(change)
            with _Temporaries(self._root) as temporaries:
                for change in planned:
                    temporaries.write(change)
                for change in planned:
                    if change.set_aside:
                        self._set_aside(change.path)
                temporaries.place(planned)

    def set_aside_corrupt(self, loaded: Loaded[T]) -> tuple[Path, ...]:
        """Rename the files that could not be read to NAME.yaml.corrupt; return their new paths.

        The next analysis rebuilds their records. Files that a newer program wrote stay.
        """
        aside = []
        with self._locked():
            for error in loaded.problems:
                if not isinstance(error, InvalidState) or isinstance(error, UnsupportedVersion) or not error.location:
                    continue
                path = PurePosixPath(Path(error.location.file).relative_to(self._root).as_posix())
                if (self._root / path).exists():
                    aside.append(self._set_aside(path))
        return tuple(aside)

    def _set_aside(self, path: PurePosixPath) -> Path:
        target = self._root / f"{path}{CORRUPT_SUFFIX}"
        number = 2
        while target.exists():
            target = self._root / f"{path}{CORRUPT_SUFFIX}.{number}"
            number += 1
        (self._root / path).rename(target)
        log.warning("state file set aside as %s", target, extra={"op": "set-aside", "image": path.stem})
        return target

    def _check_unchanged(self, change: FileChange) -> None:
        if self._text_or_none(change.path) != change.old:
            raise Conflict(
                f"{self._root / change.path} was changed while this run worked on it",
                hint="run it again; nothing was written",
            )

    def _locked(self) -> StateLock:
        return StateLock(self._root)

    def _path(self, folder: StateFolder, name: str) -> PurePosixPath:
        return self._state / state_path(folder, name)

    def _names(self, folder: StateFolder) -> list[str]:
        try:
            with os.scandir(self._root / self._state / folder) as entries:
                names = [state_name(PurePosixPath(entry.name)) for entry in entries]
        except FileNotFoundError:
            return []
        return sorted(name for name in names if name)

    def _text_or_none(self, path: PurePosixPath) -> str | None:
        try:
            return self._text(path)
        except FileNotFoundError:
            return None

    def _text(self, path: PurePosixPath) -> str:
        file = self._root / path
        return read_text(file, self._root / self._state)


def read_text(file: Path, inside: Path) -> str:
    """Return the text of a regular file whose real place lies below `inside`.

    Raises:
        FileNotFoundError: there is no such file.
        UnsafeValue: it leads elsewhere, or is no regular file.
        InvalidState: it is not UTF-8.
    """
    if file.is_symlink() and not file.resolve().is_relative_to(inside.resolve()):
        raise UnsafeValue(f"{file} is a symbolic link out of the state directory", hint="put a file in its place")
    if not stat.S_ISREG(file.stat().st_mode):
        raise UnsafeValue(f"{file} is not a regular file", hint="remove it")
    try:
        return file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidState(
            f"not UTF-8 at byte {error.start}", hint="save it as UTF-8", location=Location(str(file))
        ) from error


class _Temporaries(contextlib.AbstractContextManager["_Temporaries"]):
    """Files written whole beside their targets, then renamed over them; what is left over is removed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._written: dict[PurePosixPath, Path] = {}

    def write(self, change: FileChange) -> None:
        if change.new is None:
            return
        target = self._root / change.path
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(TEMPORARY_SUFFIX, f".{target.name}.", target.parent)
        self._written[change.path] = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            file.write(change.new.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
            mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
            os.fchmod(file.fileno(), mode)

    def place(self, changes: Iterable[FileChange]) -> None:
        folders = set()
        for change in changes:
            target = self._root / change.path
            if change.new is None:
                target.unlink(missing_ok=True)
            else:
                self._written.pop(change.path).replace(target)
            folders.add(target.parent)
        for folder in folders:
            _sync_folder(folder)

    def __exit__(self, *_: object) -> None:
        for path in self._written.values():
            path.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
