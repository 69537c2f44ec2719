"""One folder of records, read whole: only what changed since the last run is parsed. I/O.

Each file's status is asked for; the content of those whose status differs from the cache's is
hashed, and only what has new content is parsed: with libyaml, in several processes where that pays
(YAML holds the interpreter's lock, so threads would not help). A record is built from its cached
JSON when it is first asked for.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Collection, ItemsView, Iterator, Mapping, Sequence, ValuesView
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from pydantic import ValidationError

from image_factory.errors import ImageFactoryError, InvalidState, Location, NotFound, UnsafeValue
from image_factory.model.image_state import BaseState, ImageState
from image_factory.shell.collector import collector_paused
from image_factory.shell.state_cache import (
    CachedFile,
    Signature,
    StateCache,
    content_digest,
    is_settled,
    signature_of,
)
from image_factory.state.layout import file_state_name

if TYPE_CHECKING:
    # Their shapes take as long to build as an image's, and most commands ask for neither.
    from image_factory.model.hold import Hold
    from image_factory.model.request import RebuildRequest
    from image_factory.shell.read_ahead import Parsed, ReadAhead

    AnyRecord = ImageState | BaseState | RebuildRequest | Hold
T = TypeVar("T", bound="AnyRecord")

MIN_FOR_PROCESSES = 1_000
"""Files to parse from which on starting processes is quicker than parsing alone (measured: from about 400)."""
_CHUNK = 100


@dataclass(frozen=True, slots=True)
class Loaded(Generic[T]):
    """The records of a folder by name, sorted, and the files that could not be read."""

    records: Records[T]
    broken: Mapping[str, ImageFactoryError] = field(default_factory=dict)
    """Why a file could not be read, by the name of its record."""

    @property
    def problems(self) -> tuple[ImageFactoryError, ...]:
        return tuple(self.broken.values())


class Records(Mapping[str, T]):
    """Records by name, each built when it is first asked for."""

    def __init__(self, folder: Path, model: type[T], files: Mapping[str, CachedFile], built: dict[str, T]) -> None:
        self._folder = folder
        self._model = model
        self._files = files
        self._built = built

    def __getitem__(self, name: str) -> T:
        record = self._built.get(name)
        if record is None:
            record = self._built[name] = self._build(name)
        return record

    def _build(self, name: str) -> T:
        content = self._files[name].record
        try:
            return cast("T", self._model.model_validate_json(content))
        except ValidationError:
            file = self._folder / f"{name}.yaml"
            return _record(file.read_bytes(), file, name, self._model)

    def reuse(self, earlier: Records[T]) -> None:
        """Take over the records that an earlier reading built from the same content: records never change."""
        for name, record in earlier._built.items():
            if self.digest(name) == earlier.digest(name):
                self._built.setdefault(name, record)

    @property
    def files(self) -> Mapping[str, CachedFile]:
        """What is known of each file; without the record of one that was built and is not kept yet."""
        return self._files

    def kept(self) -> Mapping[str, CachedFile]:
        """Return what is known of each file, for a cache."""
        return {
            name: file if file.record else file._replace(record=_json(self._built[name]))
            for name, file in self._files.items()
        }

    def digest(self, name: str) -> str | None:
        """Return the digest of the content that a record was read from; None where there is no such record."""
        file = self._files.get(name)
        return None if file is None else file.digest

    def values(self) -> ValuesView[T]:
        """Return all records, built."""
        self._build_all()
        return super().values()

    def items(self) -> ItemsView[str, T]:
        """Return all names and records, built."""
        self._build_all()
        return super().items()

    def _build_all(self) -> None:
        with collector_paused():
            for name in self._files.keys() - self._built.keys():
                self._built[name] = self._build(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def __repr__(self) -> str:
        return f"Records({list(self._files)})"


def read_folder(
    folder: Path,
    model: type[T],
    cache: StateCache | None,
    ahead: ReadAhead | None = None,
    earlier: Loaded[T] | None = None,
    keep: Callable[[Callable[[], None]], object] = lambda save: save(),
    only: Collection[str] | None = None,
) -> Loaded[T]:
    """Return the records of `folder`, which may be missing, through `cache` where there is one.

    Args:
        ahead: files that another process parses; those that have changed since are read again.
        earlier: what this process read of the folder before: it serves as the cache does, by the same rules,
            and what it has built need not be built again.
        keep: given what saves the cache, to be called now or when there is time; not called where nothing is new.
        only: the names to look at; all others are as if they were not there. Wants no cache and nothing earlier.
    """
    with collector_paused():
        return _read_folder(folder, model, cache, ahead, earlier, keep, only)


def _read_folder(
    folder: Path,
    model: type[T],
    cache: StateCache | None,
    ahead: ReadAhead | None,
    earlier: Loaded[T] | None,
    keep: Callable[[Callable[[], None]], object],
    only: Collection[str] | None,
) -> Loaded[T]:
    known = earlier.records.files if earlier is not None else {} if cache is None else cache.load()
    files: dict[str, CachedFile] = {}
    unread: dict[str, Signature] = {}
    built: dict[str, T] = {}
    broken: dict[str, ImageFactoryError] = {}
    for name, signature in sorted(_signatures(folder, broken, only)):
        cached = known.get(name)
        if cached is not None and cached.settled and cached.signature == signature:
            files[name] = cached
        else:
            unread[name] = signature
    changed = bool(unread) or len(files) != len(known)
    if earlier is not None and not changed and not broken and not earlier.broken:
        return earlier
    if unread and ahead is not None:
        _take_parsed(folder, model, ahead.parsed(folder), unread, files, built)
    if unread:
        _read(folder, model, unread, known, files, broken)
    files = dict(sorted(files.items()))
    records = Records(folder, model, files, built)
    if earlier is not None:
        records.reuse(earlier.records)
    if cache is not None and changed:
        keep(lambda: cache.save(records.kept()))
    return Loaded(records, dict(sorted(broken.items())))


def _signatures(
    folder: Path, broken: dict[str, ImageFactoryError], only: Collection[str] | None
) -> list[tuple[str, Signature]]:
    found = []
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return []
    with entries:
        for entry in entries:
            name = file_state_name(entry.name)
            if name is None or (only is not None and name not in only):
                continue
            try:
                if entry.is_symlink():
                    check_place(folder / entry.name, Path(os.path.realpath(folder)).parent)
                status = entry.stat()
                if not stat.S_ISREG(status.st_mode):
                    raise UnsafeValue(f"{folder / entry.name} is not a regular file", hint="remove it")
                found.append((name, signature_of(status)))
            except FileNotFoundError:
                continue  # gone since the folder was listed
            except OSError as error:
                broken[name] = _unreadable(folder / entry.name, error)
            except UnsafeValue as error:
                broken[name] = error
    return found


def _take_parsed(
    folder: Path,
    model: type[T],
    parsed: Mapping[str, Parsed],
    unread: dict[str, Signature],
    files: dict[str, CachedFile],
    built: dict[str, T],
) -> None:
    """Build the records of files that were parsed ahead and have not changed since; what is wrong stays unread."""
    for name, signature in list(unread.items()):
        found = parsed.get(name)
        if found is None or found.signature != signature:
            continue
        file = folder / f"{name}.yaml"
        try:
            record = _checked(_loaded(found.values, file, model), file, name)
        except ImageFactoryError:
            continue  # read again, to say in which line
        # It was parsed ahead only where a change since would show in its status.
        files[name] = CachedFile(signature, True, found.digest, b"")
        built[name] = record
        del unread[name]


def _loaded(values: dict[str, Any], file: Path, model: type[T]) -> T:
    from image_factory.state.codec import load_base, load_image

    load = load_image if model is ImageState else load_base
    return cast("T", load(values, str(file)))


def _json(record: AnyRecord) -> bytes:
    return record.model_dump_json(by_alias=True, exclude_defaults=True).encode()


def _read(
    folder: Path,
    model: type[T],
    unread: Mapping[str, Signature],
    known: Mapping[str, CachedFile],
    files: dict[str, CachedFile],
    broken: dict[str, ImageFactoryError],
) -> None:
    now = time.time_ns()
    unknown = []
    for name, signature in unread.items():
        cached = known.get(name)
        if cached is not None and cached.digest == _digest(folder, name):
            files[name] = cached._replace(signature=signature, settled=is_settled(signature, now))
        else:
            unknown.append(name)
    for name, result in _parsed(folder, model, unknown):
        if isinstance(result, ImageFactoryError):
            broken[name] = result
        elif result is not None:
            digest, record = result
            files[name] = CachedFile(unread[name], is_settled(unread[name], now), digest, record)


def _digest(folder: Path, name: str) -> str | None:
    try:
        return content_digest((folder / f"{name}.yaml").read_bytes())
    except OSError:
        return None


Result = tuple[str, bytes] | ImageFactoryError | None
"""The digest of a file's content and its record as JSON; why there is none; None where the file is gone."""


def _parsed(folder: Path, model: type[T], names: Sequence[str]) -> Iterator[tuple[str, Result]]:
    processes = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1
    # A forked process has only the thread that forked it, and might wait for ever on another's lock.
    if len(names) < MIN_FOR_PROCESSES or processes == 1 or threading.active_count() > 1:
        yield from ((name, _parse_file(folder, model, name)) for name in names)
        return
    # Not needed, and not imported, where little has changed.
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    chunks = [names[start : start + _CHUNK] for start in range(0, len(names), _CHUNK)]
    parsed: dict[str, tuple[str, bytes]] = {}
    try:
        with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("fork")) as pool:
            for found in pool.map(_parse_chunk, repeat(folder), repeat(model), chunks):
                parsed.update(found)
    except BrokenProcessPool:
        pass  # what is missing is parsed here
    # Errors do not survive the way between processes, so the few broken files are read again.
    yield from ((name, parsed.get(name) or _parse_file(folder, model, name)) for name in names)


def _parse_chunk(folder: Path, model: type[T], names: Sequence[str]) -> dict[str, tuple[str, bytes]]:
    results = ((name, _parse_file(folder, model, name)) for name in names)
    return {name: result for name, result in results if isinstance(result, tuple)}


def _parse_file(folder: Path, model: type[T], name: str) -> Result:
    file = folder / f"{name}.yaml"
    try:
        content = file.read_bytes()
        record = _record(content, file, name, model)
        return content_digest(content), _json(record)
    except FileNotFoundError:
        return None
    except OSError as error:
        return _unreadable(file, error)
    except ImageFactoryError as error:
        return error


def _record(content: bytes, file: Path, name: str, model: type[T]) -> T:
    # Not needed, and not imported, where nothing has changed.
    from image_factory.state.codec import read_base, read_image

    text = decode(content, file)
    record: AnyRecord
    if model is ImageState:
        record = read_image(text, str(file))
    elif model is BaseState:
        record = read_base(text, str(file))
    else:
        from image_factory.state.record_codec import read_record

        record = read_record(text, str(file), cast("type[RebuildRequest] | type[Hold]", model))
    return _checked(cast("T", record), file, name)


def _checked(record: T, file: Path, name: str) -> T:
    if record.name != name:
        raise InvalidState(
            f"the file's name is {name!r}, and the record's is {record.name!r}",
            hint="a record lies in the file of its name",
            location=Location(str(file)),
        )
    return record


def read_text(file: Path, state: Path, *, errors: str = "strict") -> str:
    """Return the text of a regular file whose real place lies below `state`, the state directory's real path.

    Args:
        file: its path.
        state: the state directory, without links.
        errors: what becomes of bytes that are not UTF-8, as `bytes.decode` has it.

    Raises:
        FileNotFoundError: there is no such file.
        UnsafeValue: it leads elsewhere, or is no regular file.
        InvalidState: it is not UTF-8.
        NotFound: the system does not let us read it.
    """
    if file.is_symlink():
        check_place(file, state)
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise UnsafeValue(f"{file} is not a regular file", hint="remove it")
        return decode(file.read_bytes(), file, errors)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unreadable(file, error) from error


def check_place(path: Path, state: Path) -> None:
    """Raise UnsafeValue where `path` is really somewhere outside `state`, which is given without links."""
    if not Path(os.path.realpath(path)).is_relative_to(state):
        raise UnsafeValue(f"{path} is a symbolic link out of the state directory", hint="put a file in its place")


def decode(content: bytes, file: Path, errors: str = "strict") -> str:
    """Return a file's text; raises InvalidState where it is not UTF-8."""
    try:
        return content.decode("utf-8", errors)
    except UnicodeDecodeError as error:
        raise InvalidState(
            f"not UTF-8: byte {error.start} is {content[error.start]:#04x}",
            hint="save the file as UTF-8",
            location=Location(str(file), content.count(b"\n", 0, error.start) + 1),
        ) from error


def _unreadable(file: Path, error: OSError) -> NotFound:
    return NotFound(f"{file} cannot be read: {error.strerror}", hint="check the file's permissions")
