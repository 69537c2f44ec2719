"""Where our folders lie in the repository that holds them. Pure, but for the working directory."""

from __future__ import annotations

import os
from pathlib import Path

from image_factory.model.settings import Settings

_STATE_DIR, _DIST_DIR = (str(Settings.model_fields[name].default) for name in ("state_dir", "dist_dir"))


def folders_inside(root: Path, settings: Settings) -> tuple[str, str]:
    """Return the folders of the state and of our output, as they lie below `root` in the repository."""
    return _inside(root, settings.state_dir, _STATE_DIR), _inside(root, settings.dist_dir, _DIST_DIR)


def _inside(root: Path, folder: str, usual: str) -> str:
    """Return a folder's path from the root on; one of a flag or a variable is absolute.

    Args:
        usual: where it lies in the repository when it is read or written elsewhere for this once.
    """
    whole = Path(os.path.abspath(root / folder))  # noqa: PTH100 - resolve() follows links
    base = Path(os.path.abspath(root))  # noqa: PTH100
    if whole.is_relative_to(base):
        return str(whole.relative_to(base))
    return usual if Path(folder).is_absolute() else folder
