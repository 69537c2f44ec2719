"""config.yaml as text: read into plain values with their lines, checked like images.yaml.

What it may hold is said by `image_factory.model.settings`; `image_factory.shell.settings` joins it
with the environment and flags. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from image_factory.errors import ImageFactoryError, InvalidSettings, Location
from image_factory.model.settings import Settings
from image_factory.state.field_problems import Subject, check_record, find_unknown_keys
from image_factory.state.yaml_parser import parse_tree
from image_factory.state.yaml_tree import MapNode, to_value


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """What one config.yaml says."""

    values: Mapping[str, Any] = field(default_factory=dict)
    """What is written, by the file's own keys; empty where something is wrong."""
    problems: tuple[ImageFactoryError, ...] = ()
    warnings: tuple[ImageFactoryError, ...] = ()


def read_settings(text: str, file: str) -> SettingsFile:
    """Return all that `text` says. It raises nothing: what is wrong is in `problems`.

    Args:
        file: how messages name the file.
    """
    try:
        root = parse_tree(text, file, InvalidSettings)
    except InvalidSettings as broken:
        return SettingsFile(problems=(broken,))
    if root is None:
        return SettingsFile()
    if not isinstance(root, MapNode):
        problem = InvalidSettings(
            "settings are 'key: value' lines, and here stands something else",
            hint="begin with a setting such as stateDir: state",
            location=Location(file, root.line),
        )
        return SettingsFile(problems=(problem,))
    subject = Subject("", file, InvalidSettings)
    settings, problems = check_record(Settings, root, subject)
    warnings = tuple(find_unknown_keys(Settings, root, subject))
    return SettingsFile(to_value(root) if settings is not None else {}, tuple(problems), warnings)
