"""What is known of a plugin: where it comes from, and what is wrong with it. Loads none (plugins.py does)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from image_factory.errors import ImageFactoryError, PluginError

log = logging.getLogger("image_factory.plugins")

LONGEST_PROBLEM = 300
"""How many characters of an exception are told."""


@dataclass(frozen=True, slots=True)
class LoadedPlugin:
    """One plugin that is installed, as `image-factory plugins` lists it; broken ones too."""

    name: str
    published: Callable[[], tuple[str, str]]
    """Tells the distribution and its version, for which its metadata is read."""
    module: str
    hooks: tuple[str, ...]
    is_builtin: bool
    is_enabled: bool = True

    @property
    def distribution(self) -> str:
        """The distribution that it comes from, such as `image-factory-github`; `?` where that is not known."""
        return self.published()[0]

    @property
    def version(self) -> str:
        """That distribution's version."""
        return self.published()[1]


class Broken(Mapping[str, PluginError]):
    """The plugins that cannot be used, or not for one of their ports: name → what is wrong first."""

    def __init__(self) -> None:
        self._first: dict[str, PluginError] = {}
        self._ports: dict[str, set[str | None]] = {}

    def __getitem__(self, name: str) -> PluginError:
        return self._first[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._first)

    def __len__(self) -> int:
        return len(self._first)

    def note(self, name: str, error: PluginError, port: str | None = None) -> None:
        """Keep that a plugin is broken, for one port or for all; it is logged once."""
        self._ports.setdefault(name, set()).add(port)
        if self._first.setdefault(name, error) is error:
            fields = {"image": None, "op": "plugins", "input": name, "hint": error.hint}
            log.warning("%s; the others go on", error.message, extra=fields)

    def at(self, port: str) -> Mapping[str, PluginError]:
        """Return those that may be what a port lacks."""
        return {name: error for name, error in self._first.items() if self._ports[name] & {port, None}}


def unusable(plugin: LoadedPlugin, problem: str) -> PluginError:
    """Return that a plugin cannot be loaded or asked, with the distribution to put right."""
    hint = f"upgrade or reinstall {plugin.distribution}, or list {plugin.name!r} under disabledPlugins in config.yaml"
    return PluginError(f"plugin {plugin.name!r} (from {plugin.distribution} {plugin.version}) {problem}", hint=hint)


def defect(plugin: str, where: str, error: BaseException, *, silent: bool = False) -> PluginError:
    """Return that a plugin raised at its work what no port allows; where `silent`, with no more than its type."""
    return PluginError(
        f"plugin {plugin!r} failed in {where}: {type(error).__name__ if silent else told(error)}",
        hint="report it to the plugin's author, or list it under disabledPlugins in config.yaml",
    )


def told(error: BaseException, *, with_type: bool = True) -> str:
    """Return an exception in one line of bounded length."""
    text = " ".join(str(error).split())
    if with_type and not isinstance(error, ImageFactoryError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text if len(text) <= LONGEST_PROBLEM else f"{text[:LONGEST_PROBLEM]}…"


def reasons(broken: Mapping[str, PluginError]) -> str:
    """Return what is wrong with some plugins in one line."""
    return "; ".join(error.message for error in broken.values())
