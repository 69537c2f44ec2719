"""Which folder a command means, and the folder in it for what is this machine's own. I/O, and light.

Only the standard library is imported, so that a run with nothing to do can start here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

FOLDER = "image-factory"
"""The folder's usual name in a repository."""
FOLDER_VARIABLE = "IMAGE_FACTORY_DIR"
MARKS = ("images.yaml", "config.yaml")
"""A folder that holds one of these is an image-factory folder."""
CACHE_FOLDER = ".image-factory-cache"
"""The folder for what is this machine's own; it tells git to ignore it."""


def find_folder(flag: Path | None, environ: Mapping[str, str], cwd: Path) -> Path:
    """Return the folder that is meant, be it there or not: the flag's, the variable's, `cwd`, or its image-factory/."""
    named = flag or environ.get(FOLDER_VARIABLE) or (None if is_folder(cwd) else FOLDER)
    return cwd if named is None else cwd / named


def is_folder(path: Path) -> bool:
    """Whether `path` is an image-factory folder."""
    # A pipe is told as what it is, when it is opened; a folder is none of ours.
    return any(file.exists() and not file.is_dir() for file in (path / mark for mark in MARKS))


def own_folder(root: Path) -> Path:
    """Return the folder in `root` for caches and locks, made where it is missing, ignored by git."""
    folder = root / CACHE_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")
    return folder
