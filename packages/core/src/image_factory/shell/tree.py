"""Walk a folder for Dockerfiles, in one stable order, without following a link out of it or in a circle.

Which names are Dockerfiles is `is_dockerfile`; everything below the folder is looked at except what
version control keeps for itself (`SKIPPED_FOLDERS`). Nothing is read here.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from io import RawIOBase
from pathlib import Path
from typing import BinaryIO

from image_factory.shell.regular_file import open_regular

SKIPPED_FOLDERS = frozenset({".git", ".hg", ".svn", ".bzr", ".jj", "CVS"})
"""Folders of version control: what lies there is no working file. Everything else is looked at."""

_BEFORE = re.compile(r"(?:docker|container)file(?:[._-].*)?\Z", re.IGNORECASE | re.DOTALL)
_AFTER = re.compile(r".*[._-](?:docker|container)file\Z", re.IGNORECASE | re.DOTALL)
_IGNORE_FILE = re.compile(r".*[._-]?(?:docker|container)?ignore\Z", re.IGNORECASE | re.DOTALL)
# `dockerfile.go` is a program about Dockerfiles; `Dockerfile.go` is the Dockerfile of a Go program.
_OTHER_LANGUAGE = re.compile(
    r"\.(?:py|pyi|pyc|go|js|mjs|cjs|ts|mts|tsx|jsx|rs|rb|java|kt|php|c|cc|h|cs|lua|vim|el|lark|md|mdx|rst|html?"
    r"|json|ya?ml|toml|xml|css|svg|png|lock|snap)\Z",
    re.IGNORECASE,
)


def is_dockerfile(name: str) -> bool:
    """Return whether a file of this name is taken for a Dockerfile.

    `Dockerfile`, `Dockerfile.*`, `*.Dockerfile`, the same with `Containerfile`, with `-` or `_` for
    the dot, and in any case; no ignore file, and in lower case no file that its ending says is
    written in another language.
    """
    # The cheap question first: of a tree's names few hold the word.
    folded = name.lower()
    if "dockerfile" not in folded and "containerfile" not in folded:
        return False
    if _IGNORE_FILE.match(name):
        return False
    if _AFTER.match(name):
        return True
    if not _BEFORE.match(name):
        return False
    return name[0].isupper() or not _OTHER_LANGUAGE.search(name)


@dataclass(frozen=True, slots=True)
class Found:
    """One Dockerfile below a folder, or a place that could not be looked at."""

    path: str
    """Where to open it."""
    name: str
    """Its path below the folder, with `/` between the parts on every system."""
    problem: str | None = None
    """Why it is not to be opened; None where it may be."""


def find_dockerfiles(root: str) -> Iterator[Found]:
    """Yield the Dockerfiles below `root`, sorted by the parts of their paths.

    A linked folder is not entered: what it holds is found where it stands, if that is below `root`.
    A linked file counts under its own name if it leads to a file below `root`. What cannot be looked
    at is yielded with its problem, so that nothing is left out in silence.
    """
    inside = Path(root).resolve()
    # A stack of what is still to be looked at, so that depth costs no recursion.
    waiting: list[tuple[str, str, _Kind]] = [(root, "", _Kind.FOLDER)]
    while waiting:
        path, name, kind = waiting.pop()
        if kind is not _Kind.FOLDER:
            # A plain file of the folder's own list needs no second look.
            yield Found(path, name, None if kind is _Kind.FILE else _problem(path, inside))
            continue
        try:
            with os.scandir(path) as entries:
                below = [
                    (entry.path, f"{name}/{entry.name}" if name else entry.name, found)
                    for entry in entries
                    if (found := _kind(entry)) is not None
                ]
        except OSError as error:
            yield Found(path, name or ".", f"the folder cannot be listed: {error.strerror}")
            continue
        below.sort(key=_name, reverse=True)
        waiting += below


class _Kind(Enum):
    FOLDER = "folder"
    FILE = "file"
    OTHER = "other"


def _name(entry: tuple[str, str, _Kind]) -> str:
    return entry[1]


def _kind(entry: os.DirEntry[str]) -> _Kind | None:
    """Return what an entry of a folder is to the walk; None for what it passes by."""
    try:
        if entry.is_dir(follow_symlinks=False):
            return None if entry.name in SKIPPED_FOLDERS else _Kind.FOLDER
        if not is_dockerfile(entry.name):
            return None
        if entry.is_file(follow_symlinks=False):
            return _Kind.FILE
        # A link to a folder is neither entered nor a file, whatever its name.
        return None if entry.is_dir() else _Kind.OTHER
    except OSError:
        return _Kind.OTHER if is_dockerfile(entry.name) else None


def _problem(path: str, inside: Path) -> str | None:
    """Return why a file is not to be opened: opening a pipe would wait for ever, a link may lead anywhere."""
    file = Path(path)
    try:
        if not file.resolve(strict=True).is_relative_to(inside):
            return "a symbolic link that leads out of the tree"
        status = file.stat()
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, before Python 3.13
        return f"the file cannot be looked at: {getattr(error, 'strerror', None) or 'links in a circle'}"
    return None if stat.S_ISREG(status.st_mode) else "not a regular file"


MAX_FILE = 64 * 1024 * 1024
"""Bytes of one file that are read. The longest Dockerfiles that people write have some ten thousand."""


def read_file(path: str) -> bytes:
    """Return a file's bytes, one more than `MAX_FILE` at most: a longer answer says that it was too large.

    Raises:
        OSError: it cannot be read, or is no regular file, such as a pipe.
    """
    with open_regular(path) as file:
        return read_bounded(file)


def read_bounded(stream: RawIOBase | BinaryIO) -> bytes:
    """Return what a stream holds to its end, `MAX_FILE` and one byte at most."""
    parts: list[bytes] = []
    left = MAX_FILE + 1
    # A pipe gives what it has: ask until it ends.
    while left > 0 and (part := stream.read(min(left, 1024 * 1024))):
        parts.append(part)
        left -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
