"""Earlier versions of state files, from git: which there were, and what each said. I/O.

The list of versions is read as git writes it, and each file by one persistent process; files of a partial
clone that are not here are not asked for. A history has an end: what is older is left out, and said to be.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import IO

from image_factory.shell.git import Checkout
from image_factory.shell.git_objects import Found, ObjectReader
from image_factory.shell.git_program import Git
from image_factory.shell.process import TIMEOUT, end_tool, start_tool
from image_factory.state.layout import state_name

MAX_VERSIONS = 500_000
"""Versions of files that are listed: a hundred bases that moved every day for a dozen years."""
MAX_FILE = 4 * 1024 * 1024
"""Bytes of one version; a base's file has a few thousand."""
_CHUNK = 1 << 16
# `:100644 100644 OLD NEW M`; a commit before it is `\x01` and its time, and may be followed by a line's end.
_RAW = re.compile(rb"\n?:[0-7]+ ([0-7]+) [0-9a-f]+ ([0-9a-f]+) [A-Z]\Z")
_REGULAR = (b"100644", b"100755")


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions of the files of one folder, by the name of the record, the newest first: ids of git's objects."""

    by_name: Mapping[str, tuple[str, ...]]
    is_cut: bool = False
    """Whether there are older ones that git or this list does not hold."""


class StateHistory:
    """The past of one folder of a checkout.

    Args:
        folder: where the files lie, inside the checkout.
    """

    def __init__(self, checkout: Checkout, folder: Path) -> None:
        self._git: Git = checkout.git
        self._inside = folder.resolve().relative_to(checkout.root.resolve()).as_posix()
        self._reader = ObjectReader(self._git)

    @classmethod
    def find(cls, folder: Path) -> StateHistory | None:
        """Return the past of `folder`, or None where it lies in no checkout, or nothing is committed there.

        Raises:
            UserError: git refuses the folder, because it belongs to another user.
            NotFound: git is not installed.
        """
        if not folder.is_dir():
            return None
        checkout = Checkout.find(folder)
        if checkout is None or not checkout.git.attempt("rev-parse", "--verify", "--quiet", "HEAD^{commit}").is_ok:
            return None
        return cls(checkout, folder)

    def versions(self, *, timeout: timedelta = TIMEOUT, limit: int = MAX_VERSIONS) -> Versions:
        """Return the versions of each file, as commits brought them, the newest first."""
        found: dict[str, list[str]] = {}
        count = 0
        is_cut = self._git.attempt("rev-parse", "--is-shallow-repository").text() == "true"
        arguments = self._git.arguments(
            *("log", "--no-renames", "--no-ext-diff", "--raw", "--no-abbrev", "-z", "--format=%x01%ct"),
            *("HEAD", "--", self._inside),
        )
        process = start_tool(arguments, environment=self._git.environment())
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        late = threading.Timer(timeout.total_seconds(), end_tool, [process])
        late.start()
        try:
            raw = b""
            for word in _words(process.stdout):
                if not raw:
                    raw = b"" if word[:1] == b"\x01" else word
                    continue
                match, name = _RAW.match(raw), self._name(word)
                raw = b""
                if match is None or name is None or match[1] not in _REGULAR:
                    continue
                if count == limit:
                    return Versions(_frozen(found), True)
                count += 1
                found.setdefault(name, []).append(match[2].decode())
            is_cut = is_cut or process.wait() != 0
        finally:
            late.cancel()
            end_tool(process)
            process.stdout.close()
        return Versions(_frozen(found), is_cut)

    def _name(self, path: bytes) -> str | None:
        """Return the name of the record that a path of the folder itself holds."""
        place = PurePosixPath(path.decode("utf-8", "surrogateescape"))
        inside = PurePosixPath(self._inside)
        return state_name(place) if place.parent == inside else None

    def text(self, version: str) -> str | None:
        """Return what a version said; None where it is not here, is no file, or is no text."""
        answer = self._reader.read(version, max_bytes=MAX_FILE)
        if answer.found is not Found.BLOB:
            return None
        try:
            return answer.content.decode()
        except UnicodeDecodeError:
            return None

    def close(self) -> None:
        """End git's process."""
        self._reader.close()


def _words(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield what lies between zero bytes."""
    rest = b""
    while chunk := stream.read(_CHUNK):
        *words, rest = (rest + chunk).split(b"\0")
        yield from words
    if rest:
        yield rest


def _frozen(found: Mapping[str, list[str]]) -> Mapping[str, tuple[str, ...]]:
    return {name: tuple(versions) for name, versions in found.items()}
