"""Image Factory keeps container images current with the images they are built on.

`image_factory.hookspecs` is the plugin surface (`hookimpl` marks an implementation),
`image_factory.ports` what a plugin can do, `image_factory.testing` its contract suites.
Importing this package imports nothing else, so that `image-factory --version` is quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from image_factory.hookspecs import hookimpl as hookimpl

__version__ = "0.1.0"

__all__ = ["__version__", "hookimpl"]


def __getattr__(name: str) -> Any:
    if name == "hookimpl":
        from image_factory.hookspecs import hookimpl

        return hookimpl
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
