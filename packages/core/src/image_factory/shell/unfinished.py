"""What a run has written and not yet committed or pushed, so that the next one can finish it. I/O.

Noted before the files are written and forgotten after the commit, or the push where one is wanted: a
run that is killed or refused in between leaves a note, and nothing it wrote stays behind for good. The
note lies in this machine's own folder; a fresh clone has none, and needs none.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from image_factory.shell.folder import CACHE_FOLDER, own_folder

_FILE = "unfinished.json"


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The files of a run, relative to the image-factory folder, and what its commit was to say."""

    paths: tuple[PurePosixPath, ...] = ()
    subject: str = ""
    body: tuple[str, ...] = ()
    push: bool = False
    """Whether its commit was to be pushed."""

    def joined(self, later: Unfinished) -> Unfinished:
        """Return this and a later run's as one: the later one's first line is the commit's."""
        push = self.push or later.push
        if not later.paths:
            return replace(self, push=push)
        return Unfinished(tuple(sorted({*self.paths, *later.paths})), later.subject, (*self.body, *later.body), push)


def read_unfinished(root: Path) -> Unfinished | None:
    """Return what is not finished in the image-factory folder `root`; None where a run is still at it."""
    try:
        data = json.loads((root / CACHE_FOLDER / _FILE).read_text(encoding="utf-8"))
        if _is_at_work(int(data["process"]), data.get("born")):
            return None
        paths = tuple(PurePosixPath(path) for path in data["paths"])
        if any(path.is_absolute() or ".." in path.parts for path in paths):
            return None
        return Unfinished(paths, str(data["subject"]), tuple(str(line) for line in data["body"]), data["push"] is True)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def note_unfinished(root: Path, work: Unfinished) -> None:
    """Write down what is about to be written, whole or not at all."""
    file = own_folder(root) / _FILE
    text = json.dumps(
        {
            "process": os.getpid(),
            "born": _born(os.getpid()),
            "paths": [str(path) for path in work.paths],
            "subject": work.subject,
            "body": work.body,
            "push": work.push,
        }
    )
    temporary = file.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(file)


def forget_unfinished(root: Path) -> None:
    """Take the note away: everything is where it belongs."""
    with contextlib.suppress(FileNotFoundError):
        (root / CACHE_FOLDER / _FILE).unlink()


def _is_at_work(process: int, born: object) -> bool:
    if process == os.getpid() or process <= 0:
        return False
    now = _born(process)
    if born is not None and now is not None and now != born:
        return False  # another process has its number now: they are given anew, soon so in a container
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # another user's, and there
    return True


def _born(process: int) -> str | None:
    """Return when a process began, in the kernel's ticks (proc_pid_stat(5), field 22); None where that is not told."""
    try:
        told = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
        return told.rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None
