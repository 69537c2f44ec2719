"""Add an image to images.yaml, with everything that is there kept as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from image_factory.errors import ImageFactoryError
from image_factory.model.settings import Settings
from image_factory.shell.images_file import images_path, load_images_text, save_images_text
from image_factory.state.images_yaml import PluginNames, add_entry, check_entry


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What enrolling an image changes in images.yaml."""

    path: Path
    old: str
    new: str
    warnings: tuple[ImageFactoryError, ...] = ()


class Refused(ExceptionGroup[ImageFactoryError]):
    """Everything that is wrong with an entry, in one."""


def enroll(
    root: Path,
    settings: Settings,
    entry: Mapping[str, Any],
    *,
    plugins: PluginNames | None = None,
    dry_run: bool = False,
) -> Enrolled:
    """Add `entry`, in images.yaml's own keys, at the end of the list.

    Raises:
        Refused: the entry is wrong; it holds one error for each thing that is.
        Conflict: an image of that name is enrolled already, or the file was changed meanwhile.
        NotFound: there is no images.yaml.
        InvalidEnrollment: images.yaml is no list to append to.
    """
    path = images_path(root, settings)
    problems, warnings = check_entry(entry, plugins)
    if problems:
        raise Refused("the entry is wrong", list(problems))
    old = load_images_text(path, root)
    new = add_entry(old, entry, str(path))
    if not dry_run:
        save_images_text(path, root, old=old, new=new)
    return Enrolled(path, old, new, warnings)
