"""The updater `yaml-update` (`image_factory_yaml.updater`).

What edits YAML is imported when an updater is first asked for, so that loading this is quick.
"""

from __future__ import annotations

from collections.abc import Callable

from image_factory.hookspecs import hookimpl
from image_factory.ports import FileUpdater


@hookimpl
def register_file_updaters(register: Callable[[FileUpdater], None]) -> None:
    """Register yaml-update."""
    from image_factory_yaml.updater import YamlUpdater

    register(YamlUpdater())
