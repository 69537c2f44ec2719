"""Loading plugins: built-ins through the public door, and every way to be wrong named with its plugin."""

from __future__ import annotations

import importlib.metadata
import re
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from image_factory.errors import ConflictingClaims, InvalidSettings, PluginError, Unavailable, UnknownPlugin
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


def test_a_plugin_for_another_api_version_is_left_out_by_name(
    entry_point: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    table = load({"good": Strategies(First())}, found=[entry_point("stranger", image_factory_api=99)])

    assert set(table.strategies) == {"first"}
    assert str(table.broken["stranger"]) == ("plugin 'stranger' (from ? ?) was written for plugin API 99; this is 1")
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize(
    ("module", "problem"),
    [
        pytest.param("", "ModuleNotFoundError: No module named 'broken_at_import'", id="no such module"),
        pytest.param("import a_library_that_is_gone", "ModuleNotFoundError: .*a_library_that_is_gone", id="a library"),
        pytest.param("raise RuntimeError('two\\nlines')", "RuntimeError: two lines", id="it raises"),
        pytest.param("raise SystemExit(3)", "SystemExit: 3", id="it ends the program"),
        pytest.param("def", "SyntaxError: ", id="it is no Python"),
        pytest.param(f"raise ValueError({'x' * 1000!r})", r"x{250,300}…$", id="it says much"),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_told_once_and_the_others_go_on(
    module: str,
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    entry_point: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    if module:
        (tmp_path / "broken_at_import.py").write_text(module, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
    good = entry_point("zz", register_tag_strategies=Strategies(First()).register_tag_strategies)
    bad = importlib.metadata.EntryPoint("gone", "broken_at_import", "image_factory")

    table = load({}, found=[bad, good])

    assert set(table.strategies) == {"first"}
    (warning,) = caplog.records
    assert re.search(f"plugin 'gone' .* cannot be imported: .*{problem}", str(table.broken["gone"]))
    assert warning.getMessage() == f"{table.broken['gone']}; the others go on"
    assert "disabledPlugins" in table.broken["gone"].hint
    assert [(plugin.name, plugin.hooks) for plugin in table.loaded if plugin.name == "gone"] == [("gone", ())]


@pytest.mark.parametrize(
    ("hook", "problem"),
    [
        pytest.param("def register_tag_strategy(self, register): ...", "register_tag_strategy", id="a hook"),
        pytest.param(
            "def register_tag_strategies(self, registrar): ...", "cannot be registered: .*registrar", id="an argument"
        ),
    ],
)
def test_a_misspelt_hook_is_left_out_by_name(hook: str, problem: str) -> None:
    found: dict[str, Any] = {}
    exec(hook, found)
    name, function = next((name, each) for name, each in found.items() if name.startswith("register"))
    misspelt = type("Misspelt", (), {name: hookimpl(function)})

    table = load({"good": Strategies(First()), "misspelt": misspelt(), "other": Registries(Host("oci", None))})

    assert (set(table.strategies), set(table.registries)) == ({"first"}, {"oci"})
    assert re.search(f"plugin 'misspelt' .*{problem}", str(table.broken["misspelt"]))
    assert list(table.broken) == ["misspelt"]


def test_two_plugins_that_register_one_name_are_both_named() -> None:
    with pytest.raises(ConflictingClaims, match=r"plugins 'one' and 'two' both register the tag strategy 'first'"):
        load({"one": Strategies(First()), "two": Strategies(First())})


def test_an_object_that_lacks_members_is_left_out_by_type_and_plugin() -> None:
    class Half:
        name = "half"

    table = load({"halves": Strategies(Half()), "good": Strategies(First())})

    assert set(table.strategies) == {"first"}
    assert re.search("plugin 'halves' .* registers Half as a tag strategy, which lacks", str(table.broken["halves"]))


class Failing:
    """A plugin that raises when it registers for any port, and is asked for credentials."""

    @hookimpl
    def register_registries(self, register: Any) -> None:
        raise RuntimeError("boom")

    register_sources = register_build_triggers = register_tag_strategies = register_registries
    register_file_updaters = register_notifiers = register_registries

    @hookimpl
    def credentials_for(self, repository: Any) -> None:
        raise RuntimeError("boom")


class Whole:
    """A plugin that registers one thing for each port."""

    @hookimpl
    def register_registries(self, register: Any) -> None:
        register(Host("mine", "ghcr.io"))

    @hookimpl
    def register_tag_strategies(self, register: Any) -> None:
        register(First())

    @hookimpl
    def credentials_for(self, repository: Repository) -> Credentials | None:
        return Credentials("user", "s3cret")


def test_an_exception_at_registration_for_any_port_is_told_once_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = load({"whole": Whole(), "failing": Failing()})

    assert (set(table.strategies), set(table.registries)) == ({"first"}, {"mine"})
    assert table.credentials(Repository("ghcr.io", "acme/web")) == Credentials("user", "s3cret")
    assert len(caplog.records) == 1
    assert "plugin 'failing' (from image-factory-core" in caplog.text
    assert "failed in register_registries: RuntimeError: boom; the others go on" in caplog.text
    for ask in (table.source_named, table.trigger_named, table.strategy_named, table.updater_named):
        with pytest.raises(PluginError, match=r"is called 'mine', and plugin 'failing' .* RuntimeError: boom"):
            ask("mine")


def test_a_plugin_that_fails_for_one_port_keeps_what_it_registered_for_another() -> None:
    class Halfway(Whole):
        @hookimpl
        def register_tag_strategies(self, register: Any) -> None:
            register(First())
            raise RuntimeError("boom")

    table = load({"halfway": Halfway()})

    assert (set(table.strategies), set(table.registries)) == (set(), {"mine"})
    with pytest.raises(UnknownPlugin, match="no source plugin is called 'mine'"):
        table.source_named("mine")


def test_what_a_person_set_up_wrongly_still_ends_everything() -> None:
    class Refusing:
        @hookimpl
        def register_notifiers(self, register: Any) -> None:
            raise InvalidSettings("plugins.refusing.channel: not a channel: 7")

    with pytest.raises(InvalidSettings, match="not a channel"):
        load_lazily({"refusing": Refusing()}, Settings(plugins={"refusing": {"channel": 7}}))


def test_an_extra_that_is_not_installed_is_named_before_another_plugin_that_is_broken() -> None:
    table = load({"failing": Failing()})

    with pytest.raises(UnknownPlugin) as caught:
        table.source_named("gitlab")

    assert caught.value.hint == "pip install 'image-factory[gitlab]'"


def test_a_plugin_of_ours_that_is_broken_is_not_to_be_installed_but_put_right() -> None:
    table = load({"gitlab": Failing(), "other": Failing()})

    with pytest.raises(PluginError, match="is called 'gitlab', and plugin 'gitlab' ") as caught:
        table.source_named("gitlab")

    assert "'other'" not in str(caught.value)
    assert caught.value.hint.startswith("upgrade or reinstall image-factory-core")


def test_a_registry_whose_claims_raise_is_passed_over_and_named(
    entry_point: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    class Raising(Host):
        def claims(self, repository: Repository) -> bool:
            raise RuntimeError("boom")

    theirs = Registries(Raising("theirs", None)).register_registries
    table = load({"own": Registries(Host("oci", None))}, found=[entry_point("stranger", register_registries=theirs)])

    for _ in range(2):
        assert table.registry_for(Repository("ghcr.io", "acme/web")).name == "oci"
    assert caplog.text.count("plugin 'stranger' failed in claims of its registry 'theirs': RuntimeError: boom") == 1


def test_an_error_of_the_generic_registry_adds_which_plugin_is_broken() -> None:
    table = load({"failing": Failing(), "own": Registries(Host("oci", None), Host("ghcr", "ghcr.io"))})

    def ask(host: str) -> str:
        with pytest.raises(Unavailable) as caught, table.naming(Repository(host, "acme/web")):
            raise Unavailable("no answer", hint="try later")
        return caught.value.hint

    assert ask("ghcr.io") == "try later"
    assert re.match("try later; and plugin 'failing' .* may be what quay.io/acme/web needs$", ask("quay.io"))


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


def test_an_error_at_registration_is_told_when_the_port_is_looked_at_and_at_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = load_lazily({"raising": Failing(), "good": Registries(Host("oci", None))})

    assert (list(table.broken), caplog.text) == ([], "")
    assert set(table.registries) == {"oci"}
    assert list(table.broken) == ["raising"]
    for _ in range(2):
        with pytest.raises(PluginError, match=r"plugin 'raising' .* failed in register_registries"):
            table.strategy_named("first")
    assert len(caplog.records) == 1


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
