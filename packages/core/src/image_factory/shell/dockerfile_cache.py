"""What Dockerfiles said, kept for the next run: the same text with the same options says the same. I/O.

One file for all, keyed by a hash of content and build options, so that it holds wherever a Dockerfile
lies, and whatever becomes of state and of what was remembered of a run. Each entry is read only when it
is asked for. A cache of another version of the reader, or a damaged one, is no cache; so is a damaged
entry. Bounded: what was found longest ago goes first. Writers replace the file whole, so that several
at once do no harm.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
import zlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import image_factory
from image_factory.dockerfile.reading import (
    BuildOptions,
    Category,
    Diagnostic,
    ImageReference,
    Reading,
    Role,
    Span,
    Stage,
)
from image_factory.errors import InvalidReference
from image_factory.oci.platform import Platform
from image_factory.oci.reference import Reference
from image_factory.shell.folder import CACHE_FOLDER, own_folder
from image_factory.shell.state_cache import replace_cache

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = "dockerfiles.json"
MAX_ENTRIES = 20_000
MAX_BYTES = 64 * 1024 * 1024
"""Bytes of all entries together; one takes about 1 KB."""
_FORMAT = 1


class Reads(NamedTuple):
    """How many Dockerfiles were read, and how."""

    parsed: int = 0
    """By reading their text."""
    cached: int = 0
    """As what was known of the same text."""


class DockerfileCache:
    """The readings of Dockerfiles known in one image-factory folder, with those of this run.

    Args:
        root: the image-factory folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = Lock()
        self._known: dict[str, bytes] | None = None
        self._used: dict[str, bytes] = {}
        self._parsed = self._cached = 0

    @property
    def reads(self) -> Reads:
        """What was asked of it so far; the same whatever was asked at once."""
        return Reads(self._parsed, self._cached)

    def read(self, content: bytes | str, options: BuildOptions) -> Reading:
        """Return what a Dockerfile says for these options, by what is known of it or by reading it."""
        key = _key(content, options)
        # Reading is work of one thread at a time anyway; in turns, an equal file is read once.
        with self._lock:
            if self._known is None:
                self._known = _load(self._root)
            kept = self._used.get(key) or self._known.pop(key, None)
            if kept is not None and (reading := _decoded(kept)) is not None:
                self._used[key] = kept
                self._cached += 1
                return reading
            # Not needed, and not imported, where all is known.
            from image_factory.dockerfile.read import read_dockerfile

            self._parsed += 1
            reading = read_dockerfile(content, options)
            encoded = json.dumps(_encoded(reading), separators=(",", ":")).encode()
            if _is_whole(reading, _decoded(encoded)):
                self._used[key] = encoded
            return reading

    def save(self) -> None:
        """Keep what was read, beside what was known; one that cannot be written only costs time."""
        with self._lock:
            if not self._parsed:
                return
            # The file as it is now: another run may have added to it.
            entries = {key: row for key, row in _load(self._root).items() if key not in self._used} | self._used
            body = b"".join(key.encode() + b" " + row + b"\n" for key, row in _bounded(entries))
            header = json.dumps({"stamp": parser_stamp(), "checksum": zlib.crc32(body)}).encode()
            with contextlib.suppress(OSError):
                replace_cache(own_folder(self._root) / FILE, (header, b"\n", body))


@cache
def parser_stamp() -> str:
    """Return what a reading depends on beside text and options: the code that reads, and Python's version."""
    stamp = hashlib.blake2b(digest_size=16)
    stamp.update(f"{_FORMAT} {image_factory.__version__} {sys.version_info[:2]}".encode())
    package = Path(image_factory.__file__).parent
    for source in (*sorted((package / "dockerfile").rglob("*.py")), *sorted((package / "oci").glob("*.py"))):
        with contextlib.suppress(OSError):
            stamp.update(source.read_bytes())
    return stamp.hexdigest()


def _key(content: bytes | str, options: BuildOptions) -> str:
    given = [
        sorted(options.build_args.items()),
        options.target,
        [str(platform) for platform in options.platforms],
        None if options.contexts is None else sorted(options.contexts.items()),
    ]
    kind = b"b" if isinstance(content, bytes) else b"s"
    raw = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    key = hashlib.blake2b(digest_size=20)
    for part in (json.dumps(given).encode(), kind, raw):
        key.update(len(part).to_bytes(8, "big") + part)
    return key.hexdigest()


def _load(root: Path) -> dict[str, bytes]:
    """Return the entries by their key, those found longest ago first; none where there is no sound cache."""
    file = root / CACHE_FOLDER / FILE
    try:
        if not file.is_file() or file.stat().st_size > 2 * MAX_BYTES:
            return {}
        header, _, body = file.read_bytes().partition(b"\n")
        if json.loads(header) != {"stamp": parser_stamp(), "checksum": zlib.crc32(body)}:
            return {}
    except (OSError, ValueError):
        return {}
    rows = (row.partition(b" ") for row in body.splitlines())
    return {key.decode("ascii", "replace"): entry for key, _, entry in rows}


def _bounded(entries: dict[str, bytes]) -> Iterable[tuple[str, bytes]]:
    """Return the last entries that there is room for."""
    left = MAX_BYTES
    kept: list[tuple[str, bytes]] = []
    for key, row in reversed(list(entries.items())[-MAX_ENTRIES:]):
        left -= len(key) + len(row) + 2
        if left < 0:
            break
        kept.append((key, row))
    return reversed(kept)


def _encoded(reading: Reading) -> list[Any]:
    references = [
        [
            found.written,
            found.reference.written,
            str(found.role),
            found.line,
            found.end_line,
            found.stage,
            found.reachable,
            [str(platform) for platform in found.platforms],
            None if found.span is None else [found.span.start, found.span.end],
        ]
        for found in reading.references
    ]
    diagnostics = [[str(one.category), one.line, one.message] for one in reading.diagnostics]
    stages = [[stage.index, stage.name, stage.line, stage.parent, stage.reachable] for stage in reading.stages]
    return [references, diagnostics, stages]


def _decoded(row: bytes) -> Reading | None:
    """Return the reading that an entry holds, or None where it holds none."""
    try:
        references, diagnostics, stages = json.loads(row)
        return Reading(
            tuple(_references(references)),
            tuple(Diagnostic(Category(category), line, message) for category, line, message in diagnostics),
            tuple(Stage(*stage) for stage in stages),
        )
    except (ValueError, TypeError, AttributeError, InvalidReference):
        return None


def _references(rows: Iterable[Any]) -> Iterator[ImageReference]:
    for written, meant, role, line, end_line, stage, reachable, platforms, span in rows:
        yield ImageReference(
            written,
            Reference.parse(meant),
            Role(role),
            line,
            end_line,
            stage,
            reachable,
            tuple(Platform.parse(platform) for platform in platforms),
            None if span is None else Span(*span),
        )


def _is_whole(reading: Reading, kept: Reading | None) -> bool:
    """Whether all of a reading was had back; how a reference is written does not count where they are compared."""
    return kept == reading and all(
        ours.reference.written == theirs.reference.written
        for ours, theirs in zip(reading.references, kept.references, strict=True)
    )
