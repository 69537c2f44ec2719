"""Whether anything changed since the last run: files are looked at and not read, and nothing is parsed. I/O.

Kept beside the folder: what the last run was asked, the size, times and inode of each file that it
read, the digest of what it wrote, and what it reported. A file that was changed so shortly before it
was read that its times might not show the next change is read and hashed (git's "racy" entries).
Only the standard library is imported here: this is all that a run costs in which nothing changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LAST = Path(".image-factory-cache", "synth", "last.json")
"""Below the image-factory folder."""
SETTLED = 2_000_000_000
"""Nanoseconds after a file's last change from which on a further change shows in its times, on any file system."""
_FORMAT = 1
_FOLDER = "image-factory"
_MARKS = ("images.yaml", "config.yaml")

Signatures = dict[str, list[int]]
"""Size, mtime and ctime in nanoseconds, and inode, by path."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a run was asked: equal questions about equal files have equal answers."""

    root: Path
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The files that a run reads, as they were before it read them."""

    taken_at: int
    """Nanoseconds since 1970."""
    files: Signatures
    folders: tuple[str, ...]
    """Folders whose every file is among `files`."""


def ask(flag: Path | None, environ: Mapping[str, str], cwd: Path, words: Sequence[str]) -> Question:
    """Return the question that these flags and this environment put, about the folder that they mean.

    The folder is found as `image_factory.shell.settings.find_root` finds it, without what that imports.
    """
    named = flag or (Path(environ["IMAGE_FACTORY_DIR"]) if environ.get("IMAGE_FACTORY_DIR") else None)
    root = cwd / named if named else cwd if any((cwd / mark).is_file() for mark in _MARKS) else cwd / _FOLDER
    ours = (f"{key}={value}" for key, value in sorted(environ.items()) if key.startswith(("IMAGE_FACTORY_", "IMAGES_")))
    return Question(root, (str(root), str(cwd), *words, *ours, _code_stamp()))


def look(files: Sequence[Path], folders: Sequence[Path]) -> Snapshot:
    """Return the files as they are now: these, and all in these folders. A missing one counts as missing."""
    taken_at = time.time_ns()
    return Snapshot(
        taken_at, _signatures([str(file) for file in files], [str(f) for f in folders]), tuple(map(str, folders))
    )


def remember(question: Question, snapshot: Snapshot, output: Path, report: Mapping[str, Any]) -> None:
    """Keep what this run read, wrote and reported. Where it cannot be kept, the next run works it out again."""
    with contextlib.suppress(OSError):
        racy = {
            path: _digest(path)
            for path, signature in snapshot.files.items()
            if signature and snapshot.taken_at - max(signature[1], signature[2]) <= SETTLED
        }
        # What changed since it was looked at must not count as seen.
        if _signatures(list(snapshot.files), snapshot.folders) != snapshot.files:
            return
        record = {
            "format": _FORMAT,
            "question": question.words,
            "files": snapshot.files,
            "folders": snapshot.folders,
            "racy": racy,
            "output": [str(output), _digest(str(output))],
            "report": dict(report),
        }
        _write(question.root / LAST, json.dumps(record, ensure_ascii=False, separators=(",", ":")))


def recall(question: Question) -> dict[str, Any] | None:
    """Return what the last run reported if nothing has changed since, else None."""
    try:
        kept = json.loads((question.root / LAST).read_bytes())
        if kept["format"] != _FORMAT or tuple(kept["question"]) != question.words:
            return None
        files: Signatures = kept["files"]
        snapshot = Snapshot(time.time_ns(), files, tuple(kept["folders"]))
        output, digest = kept["output"]
        if _signatures([path for path in files if not _lies_in(path, snapshot.folders)], snapshot.folders) != files:
            return None
        if _digest(output) != digest or any(_digest(path) != known for path, known in kept["racy"].items()):
            return None
        report: dict[str, Any] = kept["report"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if kept["racy"]:
        remember(question, snapshot, Path(output), report)
    return report


def _lies_in(path: str, folders: Sequence[str]) -> bool:
    return os.path.dirname(path) in folders  # noqa: PTH120 - ten thousand of them, without a Path for each


def _signatures(files: Sequence[str], folders: Sequence[str]) -> Signatures:
    found = {file: _signature(file) for file in files}
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    found[entry.path] = _of(entry.stat())
        except FileNotFoundError:
            found[folder] = []
    return found


def _signature(path: str) -> list[int]:
    try:
        return _of(os.stat(path))  # noqa: PTH116 - as above
    except FileNotFoundError:
        return []


def _of(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _digest(path: str) -> str:
    with open(path, "rb") as file:  # noqa: PTH123 - as above
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    ignore = path.parents[1] / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _code_stamp() -> str:
    """Return what answers depend on beside the files: the code that gives them."""
    import image_factory

    stamp = hashlib.sha256(image_factory.__version__.encode())
    for package in (Path(image_factory.__file__).parent, Path(__file__).parent):
        for folder in (package, *(package / part for part in ("model", "oci", "state", "decide", "shell"))):
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    if entry.name.endswith(".py"):
                        stamp.update(f"{entry.name} {_of(entry.stat())}".encode())
    return stamp.hexdigest()
