"""A stranger's plugin at work: what it raises beside our own errors becomes one that names it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any

from image_factory.errors import ImageFactoryError, PluginError
from image_factory.loaded import Broken, defect

NEUTRAL: Mapping[str, object] = {
    "claims": False,
    "matches": False,
    "mentions": (),
    "rate_profile": None,
    "web_url": None,
    "webhook_receiver": None,
}
"""What all plugins of a port are asked, or what work can do without: the answer where one raises."""

SILENT = frozenset({"notifier"})
"""Ports whose exceptions may hold the secret address that was sent to: only their type is told."""


class Guarded:
    """Stands for an object that a plugin registered; what its methods raise is an `ImageFactoryError`.

    Args:
        inner: what the plugin registered.
        plugin: its name.
        port: such as `source`.
        broken: where it is kept that a plugin raises.
    """

    def __init__(self, inner: Any, plugin: str, port: str, broken: Broken) -> None:
        self.name: str = inner.name
        self._inner = inner
        self._plugin = plugin
        self._port = port
        self._broken = broken

    def __repr__(self) -> str:
        return repr(self._inner)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found
        guarded = self._method(name, found)
        # The next time it is found without asking here.
        self.__dict__[name] = guarded
        return guarded

    def _method(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def guarded(*arguments: Any, **named: Any) -> Any:
            try:
                answer = method(*arguments, **named)
            except ImageFactoryError:
                raise
            except (Exception, SystemExit) as error:
                problem = self._defect(name, error)
                if name not in NEUTRAL:
                    raise problem from error
                self._broken.note(self._plugin, problem, self._port)
                return NEUTRAL[name]
            return self._items(name, answer) if isinstance(answer, Iterator) else answer

        return guarded

    def _items(self, name: str, items: Iterator[Any]) -> Iterator[Any]:
        try:
            yield from items
        except ImageFactoryError:
            raise
        except (Exception, SystemExit) as error:
            raise self._defect(name, error) from error

    def _defect(self, method: str, error: BaseException) -> PluginError:
        return defect(self._plugin, f"{method} of its {self._port} {self.name!r}", error, silent=self._port in SILENT)
