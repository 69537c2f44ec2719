"""What is known of a plugin that is broken: told once, by name, and asked for by port."""

from __future__ import annotations

import pytest

from image_factory.errors import PluginError, Unavailable
from image_factory.loaded import LONGEST_PROBLEM, Broken, LoadedPlugin, defect, reasons, told, unusable

ACME = LoadedPlugin("acme", lambda: ("acme-plugin", "1.2"), "acme", (), False)


def test_a_plugin_is_told_once_whatever_else_fails(caplog: pytest.LogCaptureFixture) -> None:
    broken = Broken()

    broken.note("acme", PluginError("first", hint="do this"), "source")
    broken.note("acme", PluginError("second"), "registry")
    broken.note("other", PluginError("third"))

    assert {name: str(error) for name, error in broken.items()} == {"acme": "first", "other": "third"}
    assert len(broken) == 2
    assert [record.getMessage() for record in caplog.records] == ["first; the others go on", "third; the others go on"]
    assert vars(caplog.records[0])["hint"] == "do this"


def test_a_port_may_lack_what_is_broken_for_it_or_for_all() -> None:
    broken = Broken()
    broken.note("acme", PluginError("first"), "source")
    broken.note("acme", PluginError("second"), "registry")
    broken.note("other", PluginError("third"))

    assert list(broken.at("source")) == list(broken.at("registry")) == ["acme", "other"]
    assert list(broken.at("notifier")) == ["other"]
    assert reasons(broken.at("source")) == "first; third"


def test_what_cannot_be_used_names_its_distribution_and_what_to_do() -> None:
    error = unusable(ACME, "cannot be imported")

    assert str(error) == "plugin 'acme' (from acme-plugin 1.2) cannot be imported"
    assert error.hint == "upgrade or reinstall acme-plugin, or list 'acme' under disabledPlugins in config.yaml"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        pytest.param(RuntimeError("two\n  lines"), "RuntimeError: two lines", id="lines are joined"),
        pytest.param(RuntimeError(), "RuntimeError", id="without a text"),
        pytest.param(Unavailable("it is down"), "it is down", id="our own needs no type"),
        pytest.param(ValueError("x" * 999), f"ValueError: {'x' * (LONGEST_PROBLEM - 12)}…", id="a long one is cut"),
    ],
)
def test_an_exception_is_told_in_one_bounded_line(error: Exception, text: str) -> None:
    assert told(error) == text
    assert str(defect("acme", "read", error)) == f"plugin 'acme' failed in read: {text}"


def test_a_silent_defect_tells_no_more_than_its_type() -> None:
    assert str(defect("acme", "deliver", RuntimeError("secret"), silent=True)) == (
        "plugin 'acme' failed in deliver: RuntimeError"
    )
