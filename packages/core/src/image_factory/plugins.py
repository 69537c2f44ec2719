"""Find the plugins, let them register, and route to them. The only file that touches pluggy's hooks.

Plugins are modules named by entry points of the group `image_factory`, and our own built-ins, which
come in through the same hooks. All are imported at start-up; those that nobody has set up register for
a port when it is first asked for, since most commands need one or two.

A plugin that cannot be used is told once, by name, and the others go on (docs/decisions/0006).
"""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from threading import RLock
from types import ModuleType
from typing import Any, Generic, TypeVar, cast

import pluggy

from image_factory import hookspecs
from image_factory.errors import ConflictingClaims, ImageFactoryError, PluginError, UnknownPlugin, UserError
from image_factory.guarded import Guarded
from image_factory.loaded import Broken, LoadedPlugin, defect, reasons, told, unusable
from image_factory.model.settings import Settings
from image_factory.oci.reference import Repository
from image_factory.ports import (
    BuildTrigger,
    Clock,
    Credentials,
    FileUpdater,
    Http,
    Notifier,
    Registry,
    Source,
    TagStrategy,
)

PortType = TypeVar("PortType", Registry, Source, BuildTrigger, TagStrategy, FileUpdater, Notifier)

log = logging.getLogger("image_factory.plugins")

CORE = "image-factory-core"
FALLBACK_REGISTRY = "oci"
"""The built-in registry that answers for every repository that no plugin claims."""

PUBLISHED: Mapping[str, frozenset[str]] = {
    "source": frozenset({"github", "gitlab"}),
    "build trigger": frozenset({"github", "gitlab"}),
    "registry": frozenset({"ghcr", "dockerhub"}),
    "file updater": frozenset({"kustomize-set-image", "yaml-update", "helm-update-image"}),
    "notifier": frozenset({"slack", "email"}),
}
"""The plugins that an extra of `image-factory` installs, so that an error can name it."""

EXTRAS: Mapping[str, str] = {
    "kustomize-set-image": "kustomize",
    "yaml-update": "yaml",
    "helm-update-image": "helm",
}
"""The extra, where it is not the plugin's own word."""


@dataclass(frozen=True, slots=True)
class PluginTable:
    """What the loaded plugins registered, by port and name."""

    loaded: tuple[LoadedPlugin, ...]
    registries: Mapping[str, Registry]
    sources: Mapping[str, Source]
    triggers: Mapping[str, BuildTrigger]
    strategies: Mapping[str, TagStrategy]
    updaters: Mapping[str, FileUpdater]
    notifiers: Mapping[str, Notifier]
    origins: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(port, name) → the plugin that registered it."""
    credentials: Callable[[Repository], Credentials | None] = field(default=lambda _: None, repr=False)
    """Asks the `credentials_for` hook, which may run a credential helper."""
    broken: Broken = field(default_factory=Broken)
    """What cannot be used; a port that nobody has looked at yet may hold more."""

    def close(self) -> None:
        """Give back what sources hold, such as git's processes; those that were never asked for hold nothing."""
        for source in self.sources.registered if isinstance(self.sources, _Port) else self.sources.values():
            # What was asked of it is done by now: a defect here is told, and undoes nothing.
            try:
                getattr(source, "close", lambda: None)()
            except Exception as error:  # noqa: BLE001
                plugin = self.origins.get(("source", source.name), source.name)
                fields = {"image": None, "op": "close", "input": None}
                cause = error.__cause__ or error
                log.warning("plugin %r failed at its end: %s", plugin, type(cause).__name__, extra=fields)

    @contextmanager
    def naming(self, repository: Repository) -> Iterator[None]:
        """Have a defect that shows while `repository` is asked about name the plugin of its registry."""
        try:
            yield
        except ImageFactoryError as error:
            broken = self.broken.at("registry")
            if broken and self.registry_for(repository).name == FALLBACK_REGISTRY:
                error.hint += f"{'; ' * bool(error.hint)}and {reasons(broken)}, which may be what {repository} needs"
            raise
        except Exception as error:
            registry = self.registry_for(repository)
            plugin = self.origins.get(("registry", registry.name), registry.name)
            raise PluginError(
                f"plugin {plugin!r} failed for {repository}: {type(error).__name__}: {error}",
                hint="report it to the plugin's author, or list it under disabledPlugins in config.yaml",
            ) from error

    def registry_for(self, repository: Repository) -> Registry:
        """Return the one registry that claims `repository`, else the generic one.

        Raises:
            ConflictingClaims: two plugins claim it.
        """
        claimants = [
            registry
            for name, registry in self.registries.items()
            if name != FALLBACK_REGISTRY and registry.claims(repository)
        ]
        if len(claimants) > 1:
            raise ConflictingClaims(
                f"both {claimants[0].name} and {claimants[1].name} claim {repository}",
                hint="disable one of them: disabledPlugins in config.yaml",
            )
        return claimants[0] if claimants else self._named("registry", FALLBACK_REGISTRY, self.registries)

    def source_named(self, provider: str) -> Source:
        """Return the source that `source.provider` names."""
        return self._named("source", provider, self.sources)

    def trigger_named(self, provider: str) -> BuildTrigger:
        """Return the build trigger that `source.provider` names."""
        return self._named("build trigger", provider, self.triggers)

    def strategy_named(self, name: str) -> TagStrategy:
        """Return the tag strategy of that name."""
        return self._named("tag strategy", name, self.strategies)

    def updater_named(self, name: str) -> FileUpdater:
        """Return the file updater that `updates[].type` names."""
        return self._named("file updater", name, self.updaters)

    def _named(self, port: str, name: str, table: Mapping[str, PortType]) -> PortType:
        if name in table:
            return table[name]
        broken, extra = self.broken.at(port), EXTRAS.get(name, name)
        is_published = name in PUBLISHED.get(port, ())
        suspects = {extra: broken[extra]} if extra in broken else {} if is_published else broken
        if suspects:
            # Which names it would have registered cannot be known.
            hint = next(iter(suspects.values())).hint
            raise PluginError(f"no {port} plugin is called {name!r}, and {reasons(suspects)}", hint=hint)
        known = ", ".join(sorted(table)) or "none"
        if is_published:
            hint = f"pip install 'image-factory[{extra}]'"
        else:
            hint = f"installed: {known}; a plugin may add more (image-factory plugins lists them)"
        raise UnknownPlugin(f"no {port} plugin is called {name!r}", hint=hint)


def load_plugins(
    settings: Settings,
    http: Http,
    clock: Clock,
    *,
    builtins: Mapping[str, ModuleType | object],
    found: Sequence[importlib.metadata.EntryPoint] | None = None,
    lazily: bool = False,
) -> PluginTable:
    """Load built-ins and installed plugins, let each register, and return what they registered.

    A plugin that cannot be imported, was written for another API version, implements a hook that does
    not exist, or fails to register is `broken`: logged once, by name and distribution, and left out.

    Args:
        builtins: name → module (or object) whose hook implementations come with the core.
        found: the entry points to load; those of the running Python where it is None.
        lazily: let those that config.yaml says nothing of (`plugins.<name>`) register for a port when it is
            first looked at, which then raises what is said below.

    Raises:
        UserError: what config.yaml says of a plugin cannot be used by it.
        ConflictingClaims: two plugins register one name for one port.
    """
    broken = Broken()
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    loaded: list[LoadedPlugin] = []
    for name, plugin in builtins.items():
        enabled = name not in settings.disabled_plugins
        loaded.append(LoadedPlugin(name, _published_by_core, _module(plugin), (), True, enabled))
        if enabled:
            _add(manager, loaded[-1], plugin, broken)
    points = importlib.metadata.entry_points(group=hookspecs.PROJECT) if found is None else found
    for point in sorted(points, key=lambda point: point.name):
        enabled = point.name not in settings.disabled_plugins
        loaded.append(LoadedPlugin(point.name, _publisher(point), point.value, (), False, enabled))
        if not enabled:
            continue
        try:
            plugin = point.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001  (what a stranger's module does at import)
            broken.note(point.name, unusable(loaded[-1], f"cannot be imported: {told(error)}"))
            continue
        _add(manager, loaded[-1], plugin, broken)
    for name in set(settings.disabled_plugins) - {plugin.name for plugin in loaded}:
        log.warning("disabledPlugins names %r, and no plugin is called that", name, extra={"op": "plugins"})
    _drop_misspelt(manager, {plugin.name: plugin for plugin in loaded}, broken)
    arguments: dict[str, Any] = {"settings": settings, "http": http, "clock": clock}
    credentials = _Credentials(manager, settings, broken)
    with_credentials = {**arguments, "credentials": credentials}
    plugins = {plugin.name: plugin for plugin in loaded if manager.has_plugin(plugin.name)}

    def port(hook: str, name: str, protocol: Any, given: Mapping[str, Any]) -> _Port[Any]:
        return _Port(manager, plugins, hook, name, protocol, given, broken)

    registries = port("register_registries", "registry", Registry, with_credentials)
    sources = port("register_sources", "source", Source, arguments)
    triggers = port("register_build_triggers", "build trigger", BuildTrigger, arguments)
    strategies = port("register_tag_strategies", "tag strategy", TagStrategy, {})
    updaters = port("register_file_updaters", "file updater", FileUpdater, {})
    notifiers = port("register_notifiers", "notifier", Notifier, arguments)
    ports = (registries, sources, triggers, strategies, updaters, notifiers)
    for name in plugins:
        # What somebody has set up is checked before anything is done.
        if not lazily or name in settings.plugins:
            for each in ports:
                each.ask(name)
    if not lazily:
        for each in ports:
            len(each)
    return PluginTable(
        loaded=tuple(_with_hooks(manager, plugin) for plugin in loaded),
        registries=registries,
        sources=sources,
        triggers=triggers,
        strategies=strategies,
        updaters=updaters,
        notifiers=notifiers,
        origins=_Origins({each.name: each for each in ports}),
        credentials=credentials,
        broken=broken,
    )


class _Port(Mapping[str, PortType], Generic[PortType]):
    """What is registered for one port, by its name; the plugins are asked when that is first looked at."""

    def __init__(
        self,
        manager: pluggy.PluginManager,
        plugins: Mapping[str, LoadedPlugin],
        hook: str,
        name: str,
        protocol: Any,
        arguments: Mapping[str, Any],
        broken: Broken,
    ) -> None:
        self.name = name
        self._manager = manager
        self._plugins = plugins
        self._hook = hook
        self._protocol = protocol
        self._arguments = arguments
        self._broken = broken
        self._asked: dict[str, list[PortType]] = {}
        self._table: dict[str, tuple[PortType, str]] | None = None
        self._lock = RLock()

    def __getitem__(self, name: str) -> PortType:
        return self._all()[name][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def origin(self, name: str) -> str:
        """Return the plugin that registered `name`."""
        return self._all()[name][1]

    @property
    def registered(self) -> Sequence[PortType]:
        """What is registered by now; nobody is asked."""
        return [item for items in self._asked.values() for item in items]

    def ask(self, plugin_name: str) -> list[PortType]:
        """Return what one plugin registers, which is asked once."""
        with self._lock:
            if plugin_name not in self._asked:
                self._asked[plugin_name] = self._register(plugin_name)
            return self._asked[plugin_name]

    def _all(self) -> Mapping[str, tuple[PortType, str]]:
        with self._lock:
            if self._table is None:
                table: dict[str, tuple[PortType, str]] = {}
                for plugin_name in self._plugins:
                    for item in self.ask(plugin_name):
                        if item.name in table:
                            raise ConflictingClaims(
                                f"plugins {table[item.name][1]!r} and {plugin_name!r} both register "
                                f"the {self.name} {item.name!r}",
                                hint="disable one of them: disabledPlugins in config.yaml",
                            )
                        table[item.name] = item, plugin_name
                self._table = table
            return self._table

    def _register(self, plugin_name: str) -> list[PortType]:
        found: list[PortType] = []
        plugin, broken = self._plugins[plugin_name], self._broken

        def register(item: PortType) -> None:
            # isinstance on a Protocol sees member names only; the contract suites see the rest.
            if not isinstance(item, self._protocol):
                kind = type(item).__name__
                contract = f"{self._protocol.__name__} in image_factory.ports"
                lacking = f"registers {kind} as a {self.name}, which lacks members of {contract}"
                raise PluginError(lacking, hint="compare it with the port")
            found.append(item if plugin.is_builtin else cast("PortType", Guarded(item, plugin_name, self.name, broken)))

        try:
            _alone(self._manager, self._hook, plugin_name)(register=register, **self._arguments)
        except (UserError, ConflictingClaims):
            raise  # what a person has set up: nothing is done until they put it right
        except (Exception, SystemExit) as error:  # noqa: BLE001  (a stranger's defect is the stranger's)
            problem = told(error) if isinstance(error, PluginError) else f"failed in {self._hook}: {told(error)}"
            broken.note(plugin_name, unusable(plugin, problem), self.name)
            return []
        return found


class _Credentials:
    """Asks the `credentials_for` hook of one plugin after the other; the first that answers is believed."""

    def __init__(self, manager: pluggy.PluginManager, settings: Settings, broken: Broken) -> None:
        self._settings = settings
        self._broken = broken
        # In pluggy's own order: what is registered last is asked first.
        names = [found.plugin_name for found in reversed(manager.hook.credentials_for.get_hookimpls())]
        self._askers = [(name, _alone(manager, "credentials_for", name)) for name in names]

    def __call__(self, repository: Repository) -> Credentials | None:
        for name, ask in self._askers:
            try:
                answer: Credentials | None = ask(repository=repository, settings=self._settings)
            except ImageFactoryError:
                raise
            except Exception as error:  # noqa: BLE001  (a registry that needs none of it goes on)
                self._broken.note(name, defect(name, "credentials_for", error), "registry")
                continue
            if answer is not None:
                return answer
        return None


class _Origins(Mapping[tuple[str, str], str]):
    """(port, name) → the plugin that registered it."""

    def __init__(self, ports: Mapping[str, _Port[Any]]) -> None:
        self._ports = ports

    def __getitem__(self, key: tuple[str, str]) -> str:
        return self._ports[key[0]].origin(key[1])

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((port, name) for port, table in self._ports.items() for name in table)

    def __len__(self) -> int:
        return sum(map(len, self._ports.values()))


def _add(manager: pluggy.PluginManager, loaded: LoadedPlugin, plugin: object, broken: Broken) -> None:
    written_for = getattr(plugin, "image_factory_api", hookspecs.API_VERSION)
    if written_for != hookspecs.API_VERSION:
        problem = f"was written for plugin API {written_for}; this is {hookspecs.API_VERSION}"
        broken.note(loaded.name, unusable(loaded, problem))
        return
    try:
        manager.register(plugin, name=loaded.name)
    except (pluggy.PluginValidationError, ValueError) as error:
        if manager.has_plugin(loaded.name):
            manager.unregister(name=loaded.name)
        broken.note(loaded.name, unusable(loaded, f"cannot be registered: {told(error, with_type=False)}"))


def _drop_misspelt(manager: pluggy.PluginManager, loaded: Mapping[str, LoadedPlugin], broken: Broken) -> None:
    """Leave out each plugin that implements a hook which does not exist."""
    while True:
        try:
            manager.check_pending()
        except pluggy.PluginValidationError as error:
            name = manager.get_name(error.plugin)
            assert name is not None
            manager.unregister(name=name)
            broken.note(name, unusable(loaded[name], told(error, with_type=False)))
        else:
            return


def _alone(manager: pluggy.PluginManager, hook: str, plugin_name: str) -> Callable[..., Any]:
    """Return what calls one plugin's implementation of a hook."""
    others = [plugin for name, plugin in manager.list_name_plugin() if name != plugin_name and plugin is not None]
    return manager.subset_hook_caller(hook, remove_plugins=others)


def _with_hooks(manager: pluggy.PluginManager, plugin: LoadedPlugin) -> LoadedPlugin:
    registered = manager.get_plugin(plugin.name)
    callers = manager.get_hookcallers(registered) if registered is not None else None
    hooks = tuple(sorted(caller.name for caller in callers or ()))
    return replace(plugin, hooks=hooks)


def _module(plugin: object) -> str:
    return str(getattr(plugin, "__name__", type(plugin).__name__))


def _published_by_core() -> tuple[str, str]:
    try:
        return CORE, importlib.metadata.version(CORE)
    except importlib.metadata.PackageNotFoundError:
        return CORE, "?"


def _publisher(point: importlib.metadata.EntryPoint) -> Callable[[], tuple[str, str]]:
    @cache
    def published() -> tuple[str, str]:
        # Each of them reads the distribution's metadata anew, which most commands have no use for.
        return ("?", "?") if point.dist is None else (point.dist.name, point.dist.version)

    return published
