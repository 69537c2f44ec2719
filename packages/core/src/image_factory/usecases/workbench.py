"""The bundle of things that a use-case works with: the folder, its settings, ports, store and clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from image_factory.model.settings import Settings
from image_factory.plugins import PluginTable
from image_factory.ports import Clock
from image_factory.shell.enrolled_cache import recall_images, remember_images
from image_factory.shell.images_file import images_path, load_images_text
from image_factory.shell.store import Store
from image_factory.state.images_yaml import ImagesFile, read_images
from image_factory.usecases.progress import NoProgress, Progress


@dataclass(frozen=True)
class Workbench:
    """What a use-case receives. Plugins are loaded when one is first needed."""

    root: Path
    settings: Settings
    store: Store
    clock: Clock
    load: Callable[[], PluginTable] = field(repr=False)
    progress: Progress = field(default_factory=NoProgress, repr=False)
    _images: dict[tuple[Path, str], ImagesFile] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What images.yaml said when it was last read, by its path and text."""

    @cached_property
    def plugins(self) -> PluginTable:
        return self.load()

    @property
    def images_file(self) -> Path:
        return images_path(self.root, self.settings)

    def images(self) -> ImagesFile:
        """Return what images.yaml says, good entries and problems.

        Raises:
            NotFound: there is no such file.
            InvalidEnrollment: it cannot be read.
        """
        path = self.images_file
        # Read by each step, so that what was written between counts; but the same text says the same.
        key = (path, load_images_text(path, self.root))
        if key not in self._images:
            said = recall_images(self.root, key[1], str(path))
            if said is None:
                said = read_images(key[1], str(path))
                remember_images(self.root, key[1], said)
            self._images.clear()
            self._images[key] = said
        return self._images[key]

    def enrolled(self) -> ImagesFile:
        """Return what images.yaml says, good entries and problems, where any of it can be read.

        Raises:
            NotFound: there is no such file.
            InvalidEnrollment: it cannot be read, is not YAML, or no list of images.
        """
        images = self.images()
        if images.problems and not images.names:
            raise images.problems[0]
        return images
