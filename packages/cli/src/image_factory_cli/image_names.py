"""The names that a shell completes where a command takes an image: those of images.yaml and of state files."""

from __future__ import annotations

from pathlib import Path

import click


def complete_image(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of enrolled and base images that start with `incomplete`; none where there is no folder."""
    from image_factory.errors import ImageFactoryError

    try:
        return sorted(name for name in _names(context.params.get("directory")) if name.startswith(incomplete))
    except (ImageFactoryError, OSError):
        return []  # a shell that completes has no place for an error


def _names(directory: Path | None) -> set[str]:
    from image_factory.usecases.status import read_status
    from image_factory_cli.folder import open_workbench

    status = read_status(open_workbench(directory, "text", "error"))
    return {*status.images, *status.bases, *status.unanalyzed}
