"""Add an image to images.yaml, with everything that is there kept as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from image_factory.errors import ImageFactoryError, InvalidEnrollment
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


class EntryRefused(InvalidEnrollment):
    """An entry is wrong; `problems` holds everything that is."""

    def __init__(self, problems: Sequence[ImageFactoryError]) -> None:
        super().__init__("; ".join(problem.message for problem in problems), hint=problems[0].hint)
        self.problems = tuple(problems)


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
        EntryRefused: the entry is wrong; it holds one error for each thing that is.
        Conflict: an image of that name is enrolled already, or the file was changed meanwhile.
        NotFound: there is no images.yaml.
        InvalidEnrollment: images.yaml is no list to append to.
    """
    path = images_path(root, settings)
    problems, warnings = check_entry(entry, plugins)
    if problems:
        raise EntryRefused(problems)
    old = load_images_text(path, root)
    new = add_entry(old, entry, str(path))
    if not dry_run:
        save_images_text(path, root, old=old, new=new)
    return Enrolled(path, old, new, warnings)
