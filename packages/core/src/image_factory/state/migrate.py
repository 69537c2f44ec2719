"""Bring a state file's values from the version they were written in to the present one. Pure.

A file says its version as `schemaVersion`. Version 1, the only one so far, is what a file without
that key has, and is not written: from version 2 on the key stands first. Each step takes a file's
values from one version to the next, and is kept for ever. A file from a newer program is refused
and left as it is, since writing it would lose what we do not know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from image_factory.errors import InvalidState, Location, UnsupportedVersion

VERSION_KEY = "schemaVersion"

Step = Callable[[dict[str, Any]], dict[str, Any]]
"""Returns the values in the next version; may change the mapping that it is given."""

STEPS: tuple[Step, ...] = ()
"""Step n (from 0) takes version n + 1 to version n + 2."""


def version_of(data: Mapping[str, Any], source: str) -> int:
    """Return the version that a file's values are written in.

    Raises:
        InvalidState: `schemaVersion` is not a whole number from 1.
    """
    version = data.get(VERSION_KEY, 1)
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise InvalidState(
            f"{VERSION_KEY} is {version!r}, not a whole number from 1",
            hint="leave the key out; image-factory writes it where it is needed",
            location=Location(source),
        )
    return version


def migrate(data: Mapping[str, Any], source: str, steps: Sequence[Step] = STEPS) -> dict[str, Any]:
    """Return a file's values in the present version, without `schemaVersion`.

    Raises:
        InvalidState: `schemaVersion` makes no sense.
        UnsupportedVersion: a newer program wrote the file.
    """
    version = version_of(data, source)
    current = len(steps) + 1
    if version > current:
        raise UnsupportedVersion(
            f"{VERSION_KEY} is {version}, and this image-factory knows versions up to {current}",
            hint="update image-factory; the file is left as it is",
            location=Location(source),
        )
    values = {key: value for key, value in data.items() if key != VERSION_KEY}
    for step in steps[version - 1 :]:
        values = step(values)
    return values
