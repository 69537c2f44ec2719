from __future__ import annotations

import pytest

from image_factory.state.settings_yaml import SettingsFile, read_settings


def test_settings_are_read_by_their_own_keys() -> None:
    read = read_settings("kargo:\n  namespace: ns\nplugins:\n  github: {apiUrl: x}\n", "config.yaml")

    assert read == SettingsFile({"kargo": {"namespace": "ns"}, "plugins": {"github": {"apiUrl": "x"}}})


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_file_sets_nothing(text: str) -> None:
    assert read_settings(text, "config.yaml") == SettingsFile()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param("stateDir: 7\n", "config.yaml:1: stateDir: YAML takes 7 for a number", id="a number for a path"),
        pytest.param("kargo:\n  version: 1.10\n", "config.yaml:2: kargo.version: YAML takes 1.10", id="a bare version"),
        pytest.param(
            "a:\n- b\nkargo: x\n", "config.yaml:3: kargo: 'x' stands where a mapping", id="text for a section"
        ),
        pytest.param(
            "registries:\n  ghcr.io:\n    requestsPerDay: -1\n",
            "config.yaml:3: registries.ghcr.io.requestsPerDay: '-1' stands where a number of 0 or more",
            id="fewer than none",
        ),
        pytest.param(
            "maxConcurrentRebuilds: 0\n",
            "config.yaml:1: maxConcurrentRebuilds: '0' stands where a number of 1 or more is meant",
            id="fewer than one",
        ),
        pytest.param("registries:\n  'a b': {}\n", "config.yaml:2: registries.a b: not a registry host", id="no host"),
        pytest.param("- a\n", "config.yaml:1: settings are 'key: value' lines", id="a list"),
        pytest.param("a: [\n", "config.yaml:2: not YAML", id="no YAML"),
        pytest.param("kargo: {}\nkargo: {}\n", "config.yaml:2: kargo: written twice, in lines 1 and 2", id="twice"),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_sets_nothing(text: str, error: str) -> None:
    read = read_settings(text, "config.yaml")

    (problem,) = read.problems
    assert str(problem).startswith(error)
    assert problem.hint
    assert read.values == {}


def test_a_misspelt_key_is_a_warning_and_the_others_count() -> None:
    read = read_settings("comit:\n  push: true\nkargo:\n  namespce: x\nstateDir: s\n", "config.yaml")

    assert [str(warning) for warning in read.warnings] == [
        "config.yaml:1: comit: unknown key 'comit'",
        "config.yaml:4: kargo.namespce: unknown key 'namespce'",
    ]
    assert [warning.hint for warning in read.warnings] == ["did you mean 'commit'?", "did you mean 'namespace'?"]
    assert read.values["stateDir"] == "s"
