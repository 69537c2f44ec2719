"""A plugin's settings: read by its own types; each mistake by its place, and never by its value."""

from __future__ import annotations

import pytest
from pydantic import Field

from image_factory.errors import InvalidSettings
from image_factory.model.settings import Settings
from image_factory.shell.plugin_settings import PluginSettings, read_plugin_settings


class Host(PluginSettings):
    """One host."""

    token_env: str | None = None


class Shop(Host):
    """`plugins.shop`."""

    hosts: dict[str, Host] = Field(default_factory=dict)


def read(told: dict[str, object]) -> Shop:
    return read_plugin_settings(Shop, Settings(plugins={"shop": told}), "shop", known="tokenEnv, hosts")


def test_keys_are_read_in_camel_case() -> None:
    assert read({"tokenEnv": "A", "hosts": {"example.com": {"tokenEnv": "B"}}}).hosts["example.com"].token_env == "B"


def test_without_a_key_the_defaults_hold() -> None:
    assert read_plugin_settings(Shop, Settings(), "shop", known="tokenEnv") == Shop()


def test_each_mistake_is_named_by_its_place_and_no_value_is_shown() -> None:
    with pytest.raises(InvalidSettings) as caught:
        read({"token": "planted-t0ken", "hosts": {"example.com": {"tokenEnv": ["planted-t0ken"]}}})

    error = caught.value
    assert "plugins.shop.token: " in error.message
    assert "plugins.shop.hosts.example.com.tokenEnv: " in error.message
    assert error.hint == "known: tokenEnv, hosts; a token itself never stands there"
    assert "planted-t0ken" not in f"{error} {error.hint} {error.__context__!r} {error.__cause__!r}"
