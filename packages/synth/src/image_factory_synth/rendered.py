"""Charts rendered earlier, kept beside the folder, so that only what changed crosses into Node. I/O.

What is kept can be thrown away at any time: it is found by what it was made from, and a file that
cannot be read counts as empty.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from image_factory.shell.folder import CACHE_FOLDER, own_folder

CACHE = Path(CACHE_FOLDER, "synth")
"""Below the image-factory folder."""
_FILE = "charts.json"
_FORMAT = 2


def is_anything_kept(root: Path) -> bool:
    """Whether an earlier run kept texts, be they of use or not."""
    return (root / CACHE / _FILE).exists()


def load_rendered(root: Path, renderer: str) -> dict[str, str]:
    """Return the texts that this renderer made, by their charts' digest; none where nothing was kept."""
    try:
        kept = json.loads((root / CACHE / _FILE).read_bytes())
        if (kept["format"], kept["renderer"]) == (_FORMAT, renderer):
            return {str(digest): str(text) for digest, text in kept["charts"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return {}


def save_rendered(root: Path, renderer: str, charts: Mapping[str, str]) -> None:
    """Keep these texts and no others. Where the folder cannot be written to, nothing is kept."""
    folder = root / CACHE
    with contextlib.suppress(OSError):
        own_folder(root)
        folder.mkdir(parents=True, exist_ok=True)
        record = {"format": _FORMAT, "renderer": renderer, "charts": charts}
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        replace_file(folder / _FILE, text, may_be_missing=True)


def replace_file(path: Path, content: str | bytes, *, may_be_missing: bool = False) -> None:
    """Write a file, text as UTF-8, so that at every instant it is whole, old or new.

    The disk is not waited for. Where a power cut leaves less than was written, the next run finds by the file's
    digest that it is not what was written, and makes all anew.

    Args:
        may_be_missing: for an instant, as what is only kept may be.
    """
    import tempfile  # and random with it: not needed where Node is started early

    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else None
    descriptor, name = tempfile.mkstemp(".tmp", f".{path.name}.", path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        if mode is None:
            mask = os.umask(0)
            os.umask(mask)
            mode = 0o666 & ~mask
        Path(name).chmod(mode)
        if may_be_missing:
            # Some file systems write out at once what replaces a file.
            path.unlink(missing_ok=True)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
