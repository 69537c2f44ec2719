"""What config.yaml says to one plugin, read into the plugin's own types without ever showing a value.

A plugin makes its types of `PluginSettings` and reads them with `read_plugin_settings`.
"""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from image_factory.errors import InvalidSettings
from image_factory.model.settings import Settings


class PluginSettings(BaseModel):
    """A map of config.yaml: keys in camelCase, and no others than the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


Shape = TypeVar("Shape", bound=PluginSettings)


def read_plugin_settings(shape: type[Shape], settings: Settings, plugin: str, *, known: str) -> Shape:
    """Return `plugins.<plugin>` of config.yaml as `shape`; its defaults where there is no such key.

    Args:
        known: the keys at its top, as the hint names them.

    Raises:
        InvalidSettings: it holds something else; each mistake is named by its place, and no value shown.
    """
    places = ""
    try:
        return shape.model_validate(settings.plugins.get(plugin, {}))
    except ValidationError as error:
        # Not str(error): it shows values, and somebody may have written a token here.
        places = "; ".join(f"plugins.{plugin}.{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
    # Raised out here, so that not even the context of the error shows a value.
    raise InvalidSettings(f"config.yaml: {places}", hint=f"known: {known}; a token itself never stands there")
