from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from ruamel.yaml import YAML

from image_factory.state.own_yaml import parse_mapping
from image_factory.state.yaml_writer import needs_quotes, write_mapping
from image_factory.testing.records import ODD_SCALARS, free_maps

PLAIN = [
    *("web", "docker.io/library/node:22", "sha256:abc", "apps/web/Dockerfile", "a base moved", "Digest", "linux/amd64"),
    *("true-ish", "nothing", "one", "_x", "/srv/x", "a@b", "ghcr.io/acme/web:1.2@sha256:00"),
]


@pytest.mark.parametrize("text", PLAIN)
def test_a_text_that_no_reader_mistakes_stands_plain(text: str) -> None:
    assert not needs_quotes(text)
    assert write_mapping({"key": text}) == f"key: {text}\n"


@pytest.mark.parametrize("text", [text for text in ODD_SCALARS if text != "a,b"])
def test_a_text_that_some_reader_mistakes_stands_in_double_quotes(text: str) -> None:
    assert needs_quotes(text)
    assert write_mapping({"key": text}).startswith('key: "')


@pytest.mark.parametrize("key", ["tag", "currentVersion", "allowTags", "constraint"])
def test_versions_and_patterns_are_always_quoted(key: str) -> None:
    assert write_mapping({key: "latest"}) == f'{key}: "latest"\n'
    assert write_mapping({"outer": {key: "latest"}}) == f'outer:\n  {key}: "latest"\n'


@settings(max_examples=60, deadline=None)
@given(free_maps)
def test_what_is_written_is_read_by_us(values: dict[str, object]) -> None:
    assert parse_mapping(write_mapping(values), "f") == values


def test_what_is_written_is_read_alike_by_both_yaml_versions() -> None:
    values = {"list": [1, 1.5, 1e20, True, None, "x"], "map": {"a": []}, "empty": {}, "texts": list(ODD_SCALARS)}
    written = write_mapping(values)

    assert yaml.safe_load(written) == values
    assert YAML(typ="safe", pure=True).load(written) == values


def test_equal_values_are_written_out_and_not_as_aliases() -> None:
    shared = {"a": ["x"]}

    assert write_mapping({"one": shared, "two": shared}) == "one:\n  a:\n  - x\ntwo:\n  a:\n  - x\n"


def test_a_lone_surrogate_that_utf_8_cannot_hold_is_replaced() -> None:
    assert parse_mapping(write_mapping({"a": "x\ud800y"}), "f") == {"a": "x\ufffdy"}


def test_nothing_is_written_for_nothing() -> None:
    assert write_mapping({}) == ""
