"""Where records lie in an image-factory folder; nothing else knows these paths. Pure.

```
images.yaml   config.yaml
state/images/NAME.yaml   state/base-images/NAME.yaml   state/_archive/…   state/rebuild-requests/NAME.yaml
state/holds/NAME.yaml   state/audit/…   state/outbox/RUN.yaml
dist/image-factory.k8s.yaml
```
"""

from __future__ import annotations

from pathlib import PurePosixPath

from image_factory.errors import UnsafeValue
from image_factory.model.image_state import StateFolder

IMAGES_FILE = "images.yaml"
SETTINGS_FILE = "config.yaml"
IMAGES: StateFolder = "images"
BASE_IMAGES: StateFolder = "base-images"
REQUESTS: StateFolder = "rebuild-requests"
HOLDS: StateFolder = "holds"
AUDIT = "audit"
OUTBOX = "outbox"
ARCHIVE = "_archive"
OUTPUT_FILE = "image-factory.k8s.yaml"
EXAMPLE_SUFFIX = ".example.yaml"
"""Files that loaders pass over."""
CORRUPT_SUFFIX = ".corrupt"
"""Added to the name of a state file that could not be read."""


def state_path(folder: StateFolder, name: str) -> PurePosixPath:
    """Return the path of a record below the state directory.

    Raises:
        UnsafeValue: `name` could lead outside its folder.
    """
    if not name or "/" in name or "\\" in name or name.startswith(".") or "\0" in name:
        raise UnsafeValue(f"not a state file's name: {name!r}", hint="names are DNS-1123 labels")
    return PurePosixPath(folder, f"{name}.yaml")


def outbox_path(run: str) -> PurePosixPath:
    """Return the path of a run's notices below the state directory.

    Raises:
        UnsafeValue: `run` could lead outside its folder.
    """
    return PurePosixPath(OUTBOX, state_path(IMAGES, run).name)


def state_name(path: PurePosixPath) -> str | None:
    """Return the record's name for a path of the state directory, or None where it holds no record."""
    return file_state_name(path.name)


def file_state_name(name: str) -> str | None:
    """Return the record's name for the name of a file in a folder of records, or None where it holds no record."""
    if not name.endswith(".yaml") or name.endswith(EXAMPLE_SUFFIX) or name.startswith("."):
        return None
    return name.removesuffix(".yaml")
