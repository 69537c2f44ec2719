"""What images.yaml said, kept for the next run: the same text, read by the same code, says the same. I/O.

Kept is only what nothing was wrong with, each entry as JSON, which is validated again when it is read,
so that a wrong cache can at worst be slow. Another text, other code, or a damaged file is no cache.
"""

from __future__ import annotations

import contextlib
import json
import zlib
from pathlib import Path

from pydantic import ValidationError

from image_factory.errors import Location
from image_factory.model.enrollment import Enrollment
from image_factory.shell.folder import CACHE_FOLDER
from image_factory.shell.state_cache import code_stamp, content_digest, replace_cache
from image_factory.state.images_yaml import EnrolledEntry, ImagesFile

_FILE = "enrolled.json"


def recall_images(root: Path, text: str, file: str) -> ImagesFile | None:
    """Return what images.yaml says if it says what it did when it was last read, else None.

    Args:
        root: the image-factory folder.
        file: how messages name images.yaml.
    """
    try:
        header, _, body = (root / CACHE_FOLDER / _FILE).read_bytes().partition(b"\n")
        if json.loads(header) != _header(text, body):
            return None
        entries = []
        for row in body.splitlines():
            line, _, content = row.partition(b" ")
            entries.append(EnrolledEntry(Enrollment.model_validate_json(content), Location(file, int(line))))
    except (OSError, ValueError, ValidationError):
        return None
    return ImagesFile(tuple(entries), names=frozenset(entry.enrollment.name for entry in entries))


def remember_images(root: Path, text: str, said: ImagesFile) -> None:
    """Keep what `text` says, where nothing is wrong with it and the folder has a place for it already."""
    if said.problems or said.warnings or not (root / CACHE_FOLDER).is_dir():
        return
    rows = []
    for entry in said.enrollments:
        content = entry.enrollment.model_dump_json(by_alias=True, exclude_defaults=True)
        if Enrollment.model_validate_json(content) != entry.enrollment:
            return  # what cannot be had back whole is not kept
        rows.append(f"{entry.line} {content}\n")
    body = "".join(rows).encode()
    with contextlib.suppress(OSError):
        replace_cache(root / CACHE_FOLDER / _FILE, (json.dumps(_header(text, body)).encode(), b"\n", body))


def _header(text: str, body: bytes) -> dict[str, object]:
    return {"stamp": code_stamp(), "text": content_digest(text.encode("utf-8")), "checksum": zlib.crc32(body)}
