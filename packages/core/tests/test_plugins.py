"""Loading plugins: built-ins through the public door, and every way to be wrong named with its plugin."""

from __future__ import annotations

import importlib.metadata
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import pytest

from image_factory.errors import ConflictingClaims, PluginError, UnknownPlugin
from image_factory.hookspecs import hookimpl
from image_factory.model.selection import Candidate, Selection
from image_factory.model.settings import Settings
from image_factory.oci.reference import Repository
from image_factory.plugins import PluginTable, load_plugins
from image_factory.ports import Credentials, Source, TagStrategy


class First:
    """A strategy that is whole."""

    def __init__(self, name: str = "first") -> None:
        self.name = name

    def select(self, candidates: Sequence[Candidate], constraint: str | None) -> Selection:
        return Selection(next(iter(candidates), None), "it comes first")


class Strategies:
    def __init__(self, *strategies: Any) -> None:
        self.strategies = strategies

    @hookimpl
    def register_tag_strategies(self, register: Callable[[TagStrategy], None]) -> None:
        for strategy in self.strategies:
            register(strategy)


class Host:
    """A registry that claims one host; only what loading and routing touch of it."""

    def __init__(self, name: str, host: str | None) -> None:
        self.name = name
        self.host = host

    def claims(self, repository: Repository) -> bool:
        return self.host is None or repository.registry == self.host

    resolve = tags = manifest = metadata = versions = rate_profile = web_url = webhook_receiver = claims


class Registries:
    def __init__(self, *registries: Host) -> None:
        self.registries = registries

    @hookimpl
    def register_registries(self, register: Callable[[Any], None]) -> None:
        for registry in self.registries:
            register(registry)


def load(plugins: dict[str, object], settings: Settings | None = None, **rest: Any) -> PluginTable:
    nothing: Any = None
    return load_plugins(settings or Settings(), nothing, nothing, builtins=plugins, found=rest.get("found", ()))


def load_lazily(plugins: dict[str, object], settings: Settings | None = None) -> PluginTable:
    nothing: Any = None
    return load_plugins(settings or Settings(), nothing, nothing, builtins=plugins, found=(), lazily=True)


@pytest.fixture
def entry_point() -> Iterator[Callable[..., importlib.metadata.EntryPoint]]:
    made: list[str] = []

    def make(name: str, **attributes: Any) -> importlib.metadata.EntryPoint:
        module = types.ModuleType(f"stranger_{name}")
        vars(module).update(attributes)
        sys.modules[module.__name__] = module
        made.append(module.__name__)
        return importlib.metadata.EntryPoint(name, module.__name__, "image_factory")

    yield make
    for name in made:
        del sys.modules[name]


def test_the_builtins_come_in_through_the_same_hooks() -> None:
    from image_factory.builtins import TagStrategies

    table = load({"tag-strategies": TagStrategies()})

    assert set(table.strategies) == {"digest", "semver", "newest-build", "lexical"}
    (plugin,) = table.loaded
    assert (plugin.name, plugin.hooks, plugin.is_builtin) == ("tag-strategies", ("register_tag_strategies",), True)


def test_an_entry_point_s_module_is_loaded_and_listed(entry_point: Callable[..., Any]) -> None:
    @hookimpl
    def register_tag_strategies(register: Callable[[TagStrategy], None]) -> None:
        register(First())

    table = load({}, found=[entry_point("stranger", register_tag_strategies=register_tag_strategies)])

    assert set(table.strategies) == {"first"}
    assert [(plugin.name, plugin.module, plugin.is_builtin) for plugin in table.loaded] == [
        ("stranger", "stranger_stranger", False)
    ]
    assert table.origins == {("tag strategy", "first"): "stranger"}


def test_a_disabled_plugin_is_listed_and_left_out(entry_point: Callable[..., Any]) -> None:
    point = entry_point("stranger", image_factory_api=99)

    table = load({}, Settings(disabled_plugins=("stranger",)), found=[point])

    assert [(plugin.name, plugin.is_enabled) for plugin in table.loaded] == [("stranger", False)]


def test_a_plugin_for_another_api_version_is_refused_by_name(entry_point: Callable[..., Any]) -> None:
    with pytest.raises(PluginError, match=r"plugin 'stranger' was written for plugin API 99; this is 1"):
        load({}, found=[entry_point("stranger", image_factory_api=99)])


def test_a_plugin_that_cannot_be_imported_is_named() -> None:
    point = importlib.metadata.EntryPoint("gone", "no_such_module_at_all", "image_factory")

    with pytest.raises(PluginError, match=r"plugin 'gone' .* cannot be imported"):
        load({}, found=[point])


def test_a_misspelt_hook_is_refused() -> None:
    class Misspelt:
        @hookimpl
        def register_tag_strategy(self, register: Any) -> None: ...

    with pytest.raises(PluginError, match="register_tag_strategy"):
        load({"misspelt": Misspelt()})


def test_a_misspelt_argument_is_refused_by_name() -> None:
    class Misspelt:
        @hookimpl
        def register_tag_strategies(self, registrar: Any) -> None: ...

    with pytest.raises(PluginError, match=r"plugin 'misspelt' cannot be registered: .*registrar"):
        load({"misspelt": Misspelt()})


def test_two_plugins_that_register_one_name_are_both_named() -> None:
    with pytest.raises(ConflictingClaims, match=r"plugins 'one' and 'two' both register the tag strategy 'first'"):
        load({"one": Strategies(First()), "two": Strategies(First())})


def test_an_object_that_lacks_members_is_refused_by_type_and_plugin() -> None:
    class Half:
        name = "half"

    with pytest.raises(PluginError, match=r"plugin 'halves' registers Half as a tag strategy"):
        load({"halves": Strategies(Half())})


def test_an_exception_at_registration_stops_start_up_and_names_the_plugin() -> None:
    class Raising:
        @hookimpl
        def register_tag_strategies(self, register: Any) -> None:
            raise RuntimeError("boom")

    with pytest.raises(PluginError, match=r"plugin 'raising' failed in register_tag_strategies: RuntimeError: boom"):
        load({"good": Strategies(First()), "raising": Raising()})


def test_a_repository_goes_to_the_registry_that_claims_it_else_to_the_generic_one() -> None:
    table = load({"registries": Registries(Host("ghcr", "ghcr.io"), Host("oci", None))})

    assert table.registry_for(Repository("ghcr.io", "acme/web")).name == "ghcr"
    assert table.registry_for(Repository("quay.io", "acme/web")).name == "oci"


def test_two_claimants_of_one_repository_are_an_error_naming_both() -> None:
    table = load({"registries": Registries(Host("ghcr", "ghcr.io"), Host("mine", "ghcr.io"), Host("oci", None))})

    with pytest.raises(ConflictingClaims, match=r"both ghcr and mine claim ghcr\.io/acme/web"):
        table.registry_for(Repository("ghcr.io", "acme/web"))


@pytest.mark.parametrize(
    ("provider", "hint"),
    [
        pytest.param("gitlab", "pip install 'image-factory[gitlab]'", id="a provider of ours names its extra"),
        pytest.param("sourcehut", "installed: none", id="an unknown one names what is installed"),
    ],
)
def test_an_unknown_provider_says_what_to_install(provider: str, hint: str) -> None:
    with pytest.raises(UnknownPlugin, match=f"no source plugin is called '{provider}'") as caught:
        load({}).source_named(provider)

    assert hint in caught.value.hint


def test_credentials_are_asked_of_the_plugins_until_one_answers() -> None:
    asked: list[str] = []
    given: list[Any] = []

    class Silent:
        @hookimpl
        def credentials_for(self, repository: Repository) -> Credentials | None:
            asked.append("silent")
            return None

    class Knowing:
        @hookimpl(trylast=True)
        def credentials_for(self, repository: Repository) -> Credentials | None:
            asked.append("knowing")
            return Credentials("user", "s3cret")

    class Asking:
        @hookimpl
        def register_registries(self, register: Any, credentials: Any) -> None:
            given.append(credentials)

    load({"silent": Silent(), "knowing": Knowing(), "asking": Asking()})
    found = given[0](Repository("ghcr.io", "acme/web"))

    assert asked == ["silent", "knowing"]
    assert found == Credentials("user", "s3cret")
    assert "s3cret" not in repr(found)


class Counted:
    """A plugin of two ports that notes each time it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    @hookimpl
    def register_tag_strategies(self, register: Any) -> None:
        self.asked.append("strategies")
        register(First())

    @hookimpl
    def register_registries(self, register: Any) -> None:
        self.asked.append("registries")
        register(Host("mine", "ghcr.io"))


def test_a_plugin_registers_once_for_each_port_that_is_looked_at() -> None:
    plugin = Counted()

    table = load_lazily({"counted": plugin})

    assert plugin.asked == []
    assert (set(table.registries), table.origins["registry", "mine"]) == ({"mine"}, "counted")
    assert plugin.asked == ["registries"]
    assert table.strategy_named("first") is table.strategies["first"]
    assert list(table.origins) == [("registry", "mine"), ("tag strategy", "first")]
    assert plugin.asked == ["registries", "strategies"]


def test_what_config_yaml_sets_up_registers_at_once() -> None:
    idle, mine = Counted(), Counted()

    load_lazily({"idle": idle, "mine": mine}, Settings(plugins={"mine": {"key": "value"}}))

    assert (idle.asked, mine.asked) == ([], ["registries", "strategies"])


def test_an_error_at_registration_comes_each_time_the_port_is_looked_at_and_at_no_other() -> None:
    class Raising:
        @hookimpl
        def register_tag_strategies(self, register: Any) -> None:
            raise RuntimeError("boom")

    table = load_lazily({"raising": Raising(), "good": Registries(Host("oci", None))})

    assert set(table.registries) == {"oci"}
    for _ in range(2):
        with pytest.raises(PluginError, match=r"plugin 'raising' failed in register_tag_strategies"):
            table.strategy_named("first")


def test_a_source_that_cannot_be_closed_is_told_and_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    closed: list[str] = []

    class Closing(cast("type[Any]", Source)):  # type: ignore[misc]
        name = "good"

        def close(self) -> None:
            if self.name == "bad":
                raise RuntimeError("boom")
            closed.append(self.name)

    class Failing(Closing):
        name = "bad"

    class Sources:
        @hookimpl
        def register_sources(self, register: Any) -> None:
            register(Failing())
            register(Closing())

    table = load_lazily({"stranger": Sources()})
    assert set(table.sources) == {"bad", "good"}
    table.close()

    assert closed == ["good"]
    assert "plugin 'stranger' failed at its end: RuntimeError" in caplog.text


def test_closing_gives_back_what_was_registered_and_asks_nobody() -> None:
    closed: list[str] = []

    class Closing(cast("type[Any]", Source)):  # type: ignore[misc]
        name = "git"

        def close(self) -> None:
            closed.append("git")

    class Sources:
        @hookimpl
        def register_sources(self, register: Any) -> None:
            register(Closing())

    table = load_lazily({"sources": Sources()})
    table.close()
    assert closed == []

    assert set(table.sources) == {"git"}
    table.close()
    assert closed == ["git"]


def test_a_built_in_can_be_disabled_too() -> None:
    table = load({"one": Strategies(First())}, Settings(disabled_plugins=("one",)))

    assert table.strategies == {}
    assert [(plugin.name, plugin.is_enabled) for plugin in table.loaded] == [("one", False)]


def test_a_name_to_disable_that_no_plugin_has_is_said(caplog: pytest.LogCaptureFixture) -> None:
    load({}, Settings(disabled_plugins=("nonesuch",)))

    assert "disabledPlugins names 'nonesuch'" in caplog.text


def test_without_the_generic_registry_an_unclaimed_repository_is_an_error() -> None:
    with pytest.raises(UnknownPlugin, match="'oci'"):
        load({}).registry_for(Repository("quay.io", "acme/web"))
