"""What was understood of a text, kept for the next run: the same text, read by the same code, says the same. I/O.

One file a kind of text, in the folder's cache. Another text, other code, or a damaged file is no cache; who
asks validates what is kept, so that a wrong cache can at worst be slow.
"""

from __future__ import annotations

import contextlib
import json
import zlib
from pathlib import Path

from image_factory.shell.folder import CACHE_FOLDER
from image_factory.shell.state_cache import code_stamp, content_digest, replace_cache


def recall(root: Path, name: str, text: str) -> bytes | None:
    """Return what was kept of `text` under `name`, or None where that is no longer known.

    Args:
        root: the image-factory folder.
    """
    try:
        header, _, body = (root / CACHE_FOLDER / name).read_bytes().partition(b"\n")
        return body if json.loads(header) == _header(text, body) else None
    except (OSError, ValueError):
        return None


def keep(root: Path, name: str, text: str, body: bytes) -> None:
    """Keep `body` as what `text` says, where the folder has a place for it already."""
    if not (root / CACHE_FOLDER).is_dir():
        return
    with contextlib.suppress(OSError):
        replace_cache(root / CACHE_FOLDER / name, (json.dumps(_header(text, body)).encode(), b"\n", body))


def _header(text: str, body: bytes) -> dict[str, object]:
    return {"stamp": code_stamp(), "text": content_digest(text.encode("utf-8")), "checksum": zlib.crc32(body)}
