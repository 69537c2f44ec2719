"""The plugins that come with the core, registered through the same hooks as a stranger's."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from image_factory.hookspecs import hookimpl
from image_factory.ports import TagStrategy


class TagStrategies:
    """digest, semver, newest-build and lexical."""

    __name__ = "image_factory.decide.strategies"

    @hookimpl
    def register_tag_strategies(self, register: Callable[[TagStrategy], None]) -> None:
        from image_factory.decide.strategies import (
            DigestStrategy,
            LexicalStrategy,
            NewestBuildStrategy,
            SemVerStrategy,
        )

        for strategy in (DigestStrategy(), SemVerStrategy(), NewestBuildStrategy(), LexicalStrategy()):
            register(strategy)


def builtin_plugins() -> Mapping[str, object]:
    """Return the built-ins by name; imported here, so that nothing is before it is wanted."""
    from image_factory.shell import credentials, git_source, registry

    return {"docker": credentials, "git": git_source, "oci": registry, "tag-strategies": TagStrategies()}
