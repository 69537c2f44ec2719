"""When each reference was last asked for, kept for the next run in this machine's own folder. I/O.

It is no state: losing it costs requests and nothing else, so it lies beside the caches, and is to be
kept between runs where each begins in a fresh clone (the CI's cache).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from image_factory.shell.folder import CACHE_FOLDER, own_folder

_FILE = "asked.json"
_KEPT = timedelta(days=60)


def read_asked(root: Path) -> dict[str, datetime]:
    """Return when each reference was last asked for; nothing where that is not known, or cannot be read."""
    try:
        data = json.loads((root / CACHE_FOLDER / _FILE).read_text(encoding="utf-8"))
        return {str(name): datetime.fromtimestamp(float(at), UTC) for name, at in data["asked"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return {}


def remember_asked(root: Path, references: Iterable[str], at: datetime) -> None:
    """Note that these were asked for at `at`, beside what is known; a folder that cannot be written is left."""
    asked: Mapping[str, datetime] = {**read_asked(root), **dict.fromkeys(references, at)}
    kept = {name: when.timestamp() for name, when in sorted(asked.items()) if at - when < _KEPT}
    try:
        file = own_folder(root) / _FILE
        temporary = file.with_suffix(".tmp")
        temporary.write_text(json.dumps({"asked": kept}), encoding="utf-8")
        temporary.replace(file)
    except OSError:
        return
