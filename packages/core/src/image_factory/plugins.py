"""Find the plugins, let them register, and route to them. The only file that touches pluggy's hooks.

Plugins are modules named by entry points of the group `image_factory`, and our own built-ins, which
come in through the same hooks. Registration errors stop start-up and name the plugin.
"""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, TypeVar

import pluggy

from image_factory import hookspecs
from image_factory.errors import ConflictingClaims, ImageFactoryError, PluginError, UnknownPlugin
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
class LoadedPlugin:
    """One plugin, as `image-factory plugins` lists it."""

    name: str
    distribution: str
    version: str
    module: str
    hooks: tuple[str, ...]
    is_builtin: bool
    is_enabled: bool = True


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
        return claimants[0] if claimants else _named("registry", FALLBACK_REGISTRY, self.registries)

    def source_named(self, provider: str) -> Source:
        """Return the source that `source.provider` names."""
        return _named("source", provider, self.sources)

    def trigger_named(self, provider: str) -> BuildTrigger:
        """Return the build trigger that `source.provider` names."""
        return _named("build trigger", provider, self.triggers)

    def strategy_named(self, name: str) -> TagStrategy:
        """Return the tag strategy of that name."""
        return _named("tag strategy", name, self.strategies)

    def updater_named(self, name: str) -> FileUpdater:
        """Return the file updater that `updates[].type` names."""
        return _named("file updater", name, self.updaters)


def _named(port: str, name: str, table: Mapping[str, PortType]) -> PortType:
    if name in table:
        return table[name]
    known = ", ".join(sorted(table)) or "none"
    if name in PUBLISHED.get(port, ()):
        hint = f"pip install 'image-factory[{EXTRAS.get(name, name)}]'"
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
) -> PluginTable:
    """Load built-ins and installed plugins, let each register, and return what they registered.

    Args:
        builtins: name → module (or object) whose hook implementations come with the core.
        found: the entry points to load; those of the running Python where it is None.

    Raises:
        PluginError: a plugin cannot be imported, was written for another API version, implements a
            hook that does not exist, or fails to register; the message names it.
        ConflictingClaims: two plugins register one name for one port.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    loaded: list[LoadedPlugin] = []
    version = _version("image-factory-core")
    for name, plugin in builtins.items():
        enabled = name not in settings.disabled_plugins
        loaded.append(LoadedPlugin(name, "image-factory-core", version, _module(plugin), (), True, enabled))
        if enabled:
            _add(manager, name, plugin)
    points = importlib.metadata.entry_points(group=hookspecs.PROJECT) if found is None else found
    for point in sorted(points, key=lambda point: point.name):
        distribution = point.dist.name if point.dist is not None else "?"
        version = point.dist.version if point.dist is not None else "?"
        enabled = point.name not in settings.disabled_plugins
        loaded.append(LoadedPlugin(point.name, distribution, version, point.value, (), False, enabled))
        if not enabled:
            continue
        try:
            plugin = point.load()
        except Exception as error:
            raise PluginError(
                f"plugin {point.name!r} (from {distribution}) cannot be imported: {error}",
                hint="reinstall it, or list it under disabledPlugins in config.yaml",
            ) from error
        _add(manager, point.name, plugin)
    for name in set(settings.disabled_plugins) - {plugin.name for plugin in loaded}:
        log.warning("disabledPlugins names %r, and no plugin is called that", name, extra={"op": "plugins"})
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        reason = " ".join(str(error).split())
        raise PluginError(reason, hint="the hooks are listed in docs/reference/hooks.md") from error

    origins: dict[tuple[str, str], str] = {}

    def credentials(repository: Repository) -> Credentials | None:
        answer: Credentials | None = manager.hook.credentials_for(repository=repository, settings=settings)
        return answer

    arguments: dict[str, Any] = {"settings": settings, "http": http, "clock": clock}
    with_credentials = {**arguments, "credentials": credentials}
    registries: dict[str, Registry] = {}
    sources: dict[str, Source] = {}
    triggers: dict[str, BuildTrigger] = {}
    strategies: dict[str, TagStrategy] = {}
    updaters: dict[str, FileUpdater] = {}
    notifiers: dict[str, Notifier] = {}
    for plugin_name, plugin in manager.list_name_plugin():
        if plugin is None:
            continue
        only = _Registration(manager, plugin_name, plugin, origins)
        only.run("register_registries", "registry", registries, Registry, with_credentials)
        only.run("register_sources", "source", sources, Source, arguments)
        only.run("register_build_triggers", "build trigger", triggers, BuildTrigger, arguments)
        only.run("register_tag_strategies", "tag strategy", strategies, TagStrategy, {})
        only.run("register_file_updaters", "file updater", updaters, FileUpdater, {})
        only.run("register_notifiers", "notifier", notifiers, Notifier, arguments)
    return PluginTable(
        loaded=tuple(_with_hooks(manager, plugin) for plugin in loaded),
        registries=registries,
        sources=sources,
        triggers=triggers,
        strategies=strategies,
        updaters=updaters,
        notifiers=notifiers,
        origins=origins,
        credentials=credentials,
    )


@dataclass(frozen=True, slots=True)
class _Registration:
    """One plugin's turn at each registration hook, so that an error can name it."""

    manager: pluggy.PluginManager
    name: str
    plugin: object
    origins: dict[tuple[str, str], str]

    def run(
        self,
        hook: str,
        port: str,
        table: dict[str, PortType],
        protocol: Any,
        arguments: Mapping[str, Any],
    ) -> None:
        def register(item: PortType) -> None:
            # isinstance on a Protocol sees member names only; the contract suites see the rest.
            if not isinstance(item, protocol):
                raise PluginError(
                    f"plugin {self.name!r} registers {type(item).__name__} as a {port}, which lacks members of it",
                    hint=f"compare it with {protocol.__name__} in image_factory.ports",
                )
            if item.name in table:
                raise ConflictingClaims(
                    f"plugins {self.origins[(port, item.name)]!r} and {self.name!r} both register "
                    f"the {port} {item.name!r}",
                    hint="disable one of them: disabledPlugins in config.yaml",
                )
            table[item.name] = item
            self.origins[(port, item.name)] = self.name

        others = [plugin for _, plugin in self.manager.list_name_plugin() if plugin is not self.plugin]
        caller = self.manager.subset_hook_caller(hook, remove_plugins=others)
        try:
            caller(register=register, **arguments)
        except ImageFactoryError:
            raise
        except Exception as error:
            raise PluginError(
                f"plugin {self.name!r} failed in {hook}: {type(error).__name__}: {error}",
                hint="report it to the plugin's author, or list it under disabledPlugins in config.yaml",
            ) from error


def _add(manager: pluggy.PluginManager, name: str, plugin: object) -> None:
    written_for = getattr(plugin, "image_factory_api", hookspecs.API_VERSION)
    if written_for != hookspecs.API_VERSION:
        raise PluginError(
            f"plugin {name!r} was written for plugin API {written_for}; this is {hookspecs.API_VERSION}",
            hint="install a version of it that fits, or list it under disabledPlugins in config.yaml",
        )
    try:
        manager.register(plugin, name=name)
    except (pluggy.PluginValidationError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise PluginError(
            f"plugin {name!r} cannot be registered: {reason}", hint="the hooks are listed in docs/reference/hooks.md"
        ) from error


def _with_hooks(manager: pluggy.PluginManager, plugin: LoadedPlugin) -> LoadedPlugin:
    registered = manager.get_plugin(plugin.name)
    callers = manager.get_hookcallers(registered) if registered is not None else None
    hooks = tuple(sorted(caller.name for caller in callers or ()))
    return LoadedPlugin(
        plugin.name, plugin.distribution, plugin.version, plugin.module, hooks, plugin.is_builtin, plugin.is_enabled
    )


def _module(plugin: object) -> str:
    return str(getattr(plugin, "__name__", type(plugin).__name__))


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "?"
