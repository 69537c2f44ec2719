"""What was read from state files, kept for the next run beside them. I/O.

One file a folder of records: a header, an index, and each record as JSON, which is validated again
when it is built, so that a wrong cache can at worst be slow. An entry counts while its file's size,
times and inode are what they were; where the file was changed so shortly before it was read that a
second change could have left all of these alone, its content is hashed (git's "racy" entries). A
cache of another version of this code, or a damaged one, is no cache. Writers replace the file
whole, so that several at once do no harm.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
import zlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import image_factory

FORMAT = 1
SETTLED = 2_000_000_000
"""Nanoseconds between a file's last change and its reading after which a further change shows in its times.
The coarsest file system times in use, FAT's, are of two seconds."""

Signature = tuple[int, int, int, int]
"""Size, mtime and ctime in nanoseconds, inode."""


class CachedFile(NamedTuple):
    """What is known of one state file."""

    signature: Signature
    settled: bool
    """Whether the signature alone tells that the file is unchanged."""
    digest: str
    """Of its content."""
    record: bytes
    """JSON."""


def signature_of(status: os.stat_result) -> Signature:
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def is_settled(signature: Signature, read_at: int) -> bool:
    """Whether a file read at `read_at` (nanoseconds since 1970) cannot change without a new signature."""
    return read_at - max(signature[1], signature[2]) > SETTLED


def content_digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


class StateCache:
    """The cache of one folder of records.

    Args:
        file: where it lies; the folder must be there to save.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def load(self) -> dict[str, CachedFile]:
        """Return what is cached by record name; nothing where the cache is missing, old or damaged."""
        try:
            content = self._file.read_bytes()
            end = content.index(b"\n")
            header = json.loads(content[:end])
            body = memoryview(content)[end + 1 :]
            if header["stamp"] != code_stamp() or header["checksum"] != zlib.crc32(body):
                return {}
            start = content.index(b"\n", end + 1) + 1
            index = json.loads(content[end + 1 : start])
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        found = {}
        for name, size, mtime, ctime, inode, settled, digest, length in index:
            found[name] = CachedFile((size, mtime, ctime, inode), settled, digest, content[start : start + length])
            start += length
        return found

    def save(self, files: Mapping[str, CachedFile]) -> None:
        """Replace the cache; one that cannot be written is left, since it only costs time."""
        index = [[name, *file.signature, file.settled, file.digest, len(file.record)] for name, file in files.items()]
        body = b"".join([json.dumps(index).encode(), b"\n", *(file.record for file in files.values())])
        header = json.dumps({"stamp": code_stamp(), "checksum": zlib.crc32(body)}).encode()
        with contextlib.suppress(OSError):
            replace_cache(self._file, (header, b"\n", body))


def replace_cache(file: Path, parts: Iterable[bytes]) -> None:
    """Replace a cache as a whole; raises OSError where that cannot be."""
    descriptor, name = tempfile.mkstemp(".tmp", f".{file.name}.", file.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.writelines(parts)
        Path(name).replace(file)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


@cache
def code_stamp() -> str:
    """Return what a cache depends on beside the files: the code that read them, and what it is built on."""
    import pydantic  # not needed, and not imported, where files are parsed ahead

    stamp = hashlib.blake2b(digest_size=16)
    stamp.update(f"{FORMAT} {image_factory.__version__} {pydantic.VERSION} {sys.version_info[:2]}".encode())
    package = Path(image_factory.__file__).parent
    sources = [source for part in ("model", "oci", "state") for source in sorted((package / part).glob("*.py"))]
    for source in (*sources, package / "decide" / "semver.py"):
        with contextlib.suppress(OSError):
            stamp.update(source.read_bytes())
    return stamp.hexdigest()
