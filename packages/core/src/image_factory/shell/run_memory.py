"""Whether anything changed since the last run of a command: files are looked at and not read. I/O.

Kept beside the folder: what the last run was asked, the size, times and inode of each file that it
read, the digest of what it wrote, and what it reported. A file that was changed so shortly before it
was read that its times might not show the next change is read and hashed (git's "racy" entries).
Only the standard library is imported here: this is all that a run costs in which nothing changed.
The memory may be deleted at any time; a damaged one is none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from image_factory.shell.folder import find_folder, own_folder
from image_factory.shell.meanwhile import meanwhile
from image_factory.shell.regular_file import open_regular

SETTLED = 2_000_000_000
"""Nanoseconds after a file's last change from which on a further change shows in its times, on any file system."""
_FORMAT = 4

Signatures = dict[str, list[int]]
"""Size, mtime and ctime in nanoseconds, and inode, by path; an empty list for what is missing or cannot be seen."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a run was asked: equal questions about equal files have equal answers."""

    command: str
    root: Path
    words: tuple[str, ...]

    @property
    def file(self) -> Path:
        return self.root / ".image-factory-cache" / self.command / "last.json"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Files that a run reads, as they were before it read them."""

    taken_at: int
    """Nanoseconds since 1970."""
    files: Signatures
    alone: tuple[str, ...] = ()
    """Those that were asked for by name."""
    folders: tuple[str, ...] = ()
    """Folders whose every file is among `files`."""
    racy: Mapping[str, str] = field(default_factory=dict)
    """Digests, by path, of files changed so shortly before that their times might not show the next change."""


def ask(
    command: str,
    flag: Path | None,
    environ: Mapping[str, str],
    cwd: Path,
    words: Sequence[str] = (),
    packages: Sequence[str] = (),
) -> Question:
    """Return the question that these flags and this environment put, about the folder that they mean.

    Args:
        words: what else the answer depends on, such as further flags.
        packages: folders of code, beside the core's, that the answer depends on.
    """
    root = find_folder(flag, environ, cwd)
    ours = (f"{key}={value}" for key, value in sorted(environ.items()) if key.startswith(("IMAGE_FACTORY_", "IMAGES_")))
    return Question(command, root, (str(root), str(cwd), *words, *ours, _code_stamp(packages)))


def look(files: Iterable[Path] = (), folders: Iterable[Path] = (), *, is_ours: bool = False) -> Snapshot:
    """Return the files as they are now: these, and all in these folders. A missing one counts as missing.

    Args:
        is_ours: only we write them, each as a new file, so that times and inode always tell.
    """
    return _look(tuple(map(str, files)), tuple(map(str, folders)), is_ours=is_ours)


def _look(alone: tuple[str, ...], folders: tuple[str, ...], *, is_ours: bool = False) -> Snapshot:
    taken_at = time.time_ns()
    found = _signatures(alone, folders)
    # Hashed now, before they are read: what is changed afterwards then differs, be it read or not.
    racy = {} if is_ours else {path: _digest_or_none(path) for path in _unsettled(found, taken_at)}
    return Snapshot(taken_at, found, alone, folders, racy)


def joined(*snapshots: Snapshot) -> Snapshot:
    """Return one snapshot of all these files; it counts as taken when the first of them was."""
    taken_at = min((snapshot.taken_at for snapshot in snapshots), default=time.time_ns())
    files: Signatures = {}
    racy: dict[str, str] = {}
    for snapshot in snapshots:
        files |= snapshot.files
        racy |= snapshot.racy
    alone = tuple(path for snapshot in snapshots for path in snapshot.alone)
    folders = tuple(folder for snapshot in snapshots for folder in snapshot.folders)
    return Snapshot(taken_at, files, alone, folders, racy)


@dataclass(frozen=True, slots=True)
class Recollection:
    """What is remembered of the last run, where nothing but the content of files may have changed since."""

    report: dict[str, Any]
    taken_at: int
    """When that run looked at its files, in nanoseconds since 1970: the name of that run."""
    changed: tuple[str, ...]
    """Files that are not what they were, or may not be; the same files are there as were then."""
    seen: Snapshot = field(repr=False)
    """Those files as they are now."""


def remember(
    question: Question,
    snapshots: Sequence[Snapshot],
    report: Mapping[str, Any],
    output: Path | None = None,
    content: bytes | None = None,
) -> None:
    """Keep what this run read, wrote and reported. Where it cannot be kept, the next run works it out again.

    Args:
        output: the file that it wrote.
        content: what that file holds, or will; it is read where this is None.
    """
    written: list[str] = []

    def digest() -> None:
        if output is not None:
            found = _digest(str(output)) if content is None else hashlib.sha256(content).hexdigest()
            written.extend((str(output), found))

    with contextlib.suppress(OSError):
        seen = joined(*snapshots)
        with meanwhile(digest):
            # What changed since it was looked at must not count as seen.
            is_as_seen = all(_signatures(each.alone, each.folders) == each.files for each in snapshots)
        if not is_as_seen:
            return
        record = {
            "format": _FORMAT,
            "takenAt": seen.taken_at,
            "question": question.words,
            "files": seen.files,
            "alone": seen.alone,
            "folders": seen.folders,
            "racy": seen.racy,
            "output": written or None,
            "report": dict(report),
        }
        _write(question, json.dumps(record, ensure_ascii=False, separators=(",", ":")))


def recall(question: Question) -> dict[str, Any] | None:
    """Return what the last run reported if nothing has changed since, else None."""
    found = recollect(question)
    return None if found is None or found.changed else found.report


def recollect(question: Question) -> Recollection | None:
    """Return what the last run reported and which files have changed since.

    None where the question is another, files have come or gone, or the output is not what that run wrote.
    """
    try:
        kept = json.loads(question.file.read_bytes())
        if kept["format"] != _FORMAT or tuple(kept["question"]) != question.words:
            return None
        files: Signatures = kept["files"]
        output, *written = kept["output"] or [None]
        found: list[str] = []

        def digest() -> None:
            if output is not None:
                found.append(_digest(output))

        with meanwhile(digest):
            seen = _look(tuple(kept["alone"]), tuple(kept["folders"]))
        now = seen.files
        if now.keys() != files.keys() or any(not now[path] for path in files if files[path]):
            return None
        if found != written:
            return None
        changed = [path for path, known in files.items() if now[path] != known]
        for path, known in kept["racy"].items():
            if now[path] == files[path] and (seen.racy.get(path) or _digest(path)) != known:
                changed.append(path)
        report: dict[str, Any] = kept["report"]
        taken_at = int(kept["takenAt"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None
    if not changed and kept["racy"] and _have_settled(files, kept["racy"]):
        # By now their times would show a change, so that they need not be read again.
        with contextlib.suppress(OSError):
            _write(question, json.dumps({**kept, "racy": {}}, ensure_ascii=False, separators=(",", ":")))
    return Recollection(report, taken_at, tuple(changed), seen)


def forget(question: Question) -> None:
    """Drop what is remembered."""
    with contextlib.suppress(OSError):
        question.file.unlink()


def _have_settled(files: Signatures, racy: Iterable[str]) -> bool:
    return not _unsettled({path: files[path] for path in racy}, time.time_ns())


def _unsettled(files: Signatures, now: int) -> list[str]:
    return [path for path, of in files.items() if of and now - max(of[1], of[2]) <= SETTLED]


def _signatures(files: Sequence[str], folders: Sequence[str]) -> Signatures:
    found = {file: _signature(file) for file in files}
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    try:
                        found[entry.path] = _of(entry.stat())
                    except OSError:  # a link to nothing, for one: the others are still to be looked at
                        found[entry.path] = []
        except OSError:
            found[folder] = _signature(folder)
    return found


def _signature(path: str) -> list[int]:
    try:
        return _of(os.stat(path))  # noqa: PTH116 - as above
    except OSError:
        return []


def _of(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _digest(path: str) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_or_none(path: str) -> str:
    """Return a digest that no file has where there is none, so that the file does not count as unchanged."""
    try:
        return _digest(path)
    except OSError:
        return ""


def _write(question: Question, text: str) -> None:
    path = question.file
    own_folder(question.root)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        # Some file systems write out at once what replaces a file. A memory that is missing for an instant is none.
        path.unlink(missing_ok=True)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _code_stamp(packages: Sequence[str]) -> str:
    """Return what answers depend on beside the files: the code that gives them, and what is installed."""
    import sys

    import image_factory

    stamp = hashlib.sha256(f"{image_factory.__version__} {sys.version}".encode())
    core = Path(image_factory.__file__).parent
    parts = ("model", "oci", "state", "decide", "shell", "dockerfile", "usecases")
    for folder in (core, *(core / part for part in parts), *map(Path, packages)):
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.name.endswith(".py"):
                    stamp.update(f"{entry.name} {_of(entry.stat())}".encode())
    for place in sys.path:
        # A plugin that comes or goes changes the folder that it is installed in.
        if place.endswith(("site-packages", "dist-packages")):
            stamp.update(f"{place} {_signature(place)}".encode())
    return stamp.hexdigest()
