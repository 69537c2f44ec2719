"""pydantic without its plugins, which watch its validation and are of no use to a command.

It looks for them among all that is installed, unless PYDANTIC_DISABLE_PLUGINS says otherwise; and even then
it imports what it would look with, more than half of the time that reading settings takes.
"""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType

VARIABLE = "PYDANTIC_DISABLE_PLUGINS"
REPLACED = "pydantic.plugin._loader"


def leave_out_plugins() -> None:
    """Have pydantic look for no plugins, unless the environment says which; to be called before it is imported."""
    if os.environ.setdefault(VARIABLE, "__all__") == "__all__":
        sys.modules.setdefault(REPLACED, _NoPlugins(REPLACED))


class _NoPlugins(ModuleType):
    """Stands for what pydantic finds plugins with. Whoever asks it for anything else gets the module itself."""

    @staticmethod
    def get_plugins() -> tuple[object, ...]:
        return ()

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):  # what Python's own import asks of every module
            raise AttributeError(name)
        if sys.modules.get(REPLACED) is self:
            del sys.modules[REPLACED]
        return getattr(importlib.import_module(REPLACED), name)
