"""Check images.yaml and config.yaml: every problem of both in one go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from image_factory.errors import Conflict, ImageFactoryError, Location, UserError
from image_factory.model.settings import Settings
from image_factory.shell.images_file import images_path, load_images_text
from image_factory.shell.settings import check_settings
from image_factory.state.images_yaml import ImagesFile, PluginNames, read_images
from image_factory.state.layout import BASE_IMAGES, state_path

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
    """Return all that is wrong in a folder's images.yaml and config.yaml, and names that a base image has already.

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
    clashes = [
        clash
        for entry in images.enrollments
        if (clash := clash_with_base(root, settings, entry.enrollment.name, entry.location)) is not None
    ]
    good = len(images.enrollments) - len(clashes)
    return Validation(good, (*images.problems, *clashes, *found), (*images.warnings, *warnings))


def clash_with_base(
    root: Path, settings: Settings, name: str, location: Location | None = None
) -> ImageFactoryError | None:
    """Return why no image may be enrolled by `name` where a base image is recorded under it, else None."""
    path = root / settings.state_dir / state_path(BASE_IMAGES, name)
    if not path.exists():
        return None
    return Conflict(
        f"{name}: name: a base image has this name: {path}", hint="give the image another name", location=location
    )
