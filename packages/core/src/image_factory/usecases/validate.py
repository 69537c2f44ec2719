"""Check images.yaml and config.yaml: every problem of both in one go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from image_factory.errors import ImageFactoryError, UserError
from image_factory.model.settings import Settings
from image_factory.shell.images_file import images_path, load_images_text
from image_factory.shell.settings import check_settings
from image_factory.state.images_yaml import ImagesFile, PluginNames, read_images

PROBLEMS = UserError.exit_code
"""Exit code where anything is wrong."""


@dataclass(frozen=True, slots=True)
class Validation:
    """What the two files of a folder say, and what is wrong with them."""

    images: int
    """Good entries."""
    problems: tuple[ImageFactoryError, ...] = ()
    warnings: tuple[ImageFactoryError, ...] = ()

    def exit_code(self, *, strict: bool = False) -> int:
        """Return 0 where nothing is wrong, else 2; a warning counts where `strict`."""
        return PROBLEMS if self.problems or (strict and self.warnings) else 0


def validate(
    root: Path,
    environ: Mapping[str, str],
    overrides: Mapping[str, object],
    plugins: Callable[[Settings], PluginNames | None],
) -> Validation:
    """Return all that is wrong in a folder's images.yaml and config.yaml.

    Args:
        plugins: what is installed, asked once with the settings; None leaves names of plugins unchecked.
    """
    settings, problems, warnings = check_settings(root, environ, overrides)
    found = list(problems)
    names = None
    try:
        names = plugins(settings)
    except ImageFactoryError as error:
        found.append(error)
    images = ImagesFile()
    path = images_path(root, settings)
    try:
        images = read_images(load_images_text(path, root), str(path), names)
    except ImageFactoryError as error:
        found.append(error)
    return Validation(len(images.enrollments), (*images.problems, *found), (*images.warnings, *warnings))
