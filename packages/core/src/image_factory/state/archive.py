"""The archive: records that are no longer used, kept whole beside a note of when and why. Pure.

`_archive/{images,base-images}/NAME/<archivedAt>.yaml` below the state directory; loaders do not read it.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import PurePosixPath

import yaml

from image_factory.state.layout import ARCHIVE


def archive_path(path: PurePosixPath, state_dir: str, at: datetime) -> PurePosixPath:
    """Return where the record that lies at `path` goes when it is archived at `at`.

    Both paths are relative to the image-factory folder. The name of the file is a time without
    colons, which Windows checkouts cannot hold.
    """
    inside = path.relative_to(state_dir)
    return PurePosixPath(state_dir, ARCHIVE, inside.parent, inside.stem, f"{at:%Y-%m-%dT%H%M%SZ}.yaml")


def archived_text(text: str, *, at: datetime, reason: str) -> str:
    """Return a record's text, unchanged, followed by the note of its archiving."""
    note = yaml.safe_dump({"archive": {"archivedAt": f"{at:%Y-%m-%dT%H:%M:%SZ}", "reason": reason}}, sort_keys=False)
    return f"{text.rstrip()}\n\n# Archive: when this record left the live state, and why.\n{note}"
