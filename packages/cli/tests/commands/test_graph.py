"""`graph`: every format, and a cycle as an error with its path."""

from __future__ import annotations

from typing import Any

import pytest

Folder = Any  # of this package's conftest


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param([], "node-22 (base: docker.io/library/node:22)", id="text"),
        pytest.param(["--format", "mermaid"], "flowchart LR", id="mermaid"),
        pytest.param(["--format", "dot"], "digraph images {", id="dot"),
    ],
)
def test_each_format_is_written(folder: Folder, words: list[str], expected: str) -> None:
    folder.service("web", "FROM node:22\n")
    folder.managed("web")
    folder.run("analyze")

    ran = folder.run("graph", *words)

    assert (ran.code, ran.out.splitlines()[0]) == (0, expected)


def test_json_by_either_option(folder: Folder) -> None:
    folder.service("web", "FROM node:22\n")
    folder.managed("web")
    folder.run("analyze")

    data = folder.run("graph", "--json").json

    assert data["edges"] == [{"from": "node-22", "to": "web", "type": "from"}]
    assert folder.run("graph", "--format", "json").json == data


def test_a_cycle_ends_with_4_and_shows_its_path(folder: Folder) -> None:
    folder.service("a", "FROM ghcr.io/acme/b:1\n")
    folder.service("b", "FROM ghcr.io/acme/a:1\n")
    folder.managed("a", "b")
    folder.run("analyze")

    ran = folder.run("graph")

    assert ran.code == 4
    assert "a -> b -> a" in ran.err


def test_an_empty_graph_says_how_to_fill_it(folder: Folder) -> None:
    folder.write("images.yaml", "[]\n")

    assert "image-factory analyze" in folder.run("graph").out


def test_without_images_yaml_it_is_an_error(folder: Folder) -> None:
    assert folder.run("graph").code == 2


def test_what_could_not_be_read_is_said_beside_the_rest(folder: Folder) -> None:
    folder.service("web", "FROM node:22\n")
    folder.service("api", "FROM redis:7\n")
    folder.managed("web", "api")
    folder.run("analyze")
    folder.write("state/images/web.yaml", "name: [\n")

    ran = folder.run("graph")

    assert ran.code == 3
    assert "redis-7" in ran.out
    assert "web.yaml:2: unreadable state file" in ran.err


@pytest.fixture
def web(folder: Folder) -> Folder:
    folder.service("web", "FROM node:22\n")
    folder.managed("web")
    folder.registry.push_image("library/node", "22")
    folder.run("analyze")
    folder.run("observe")
    return folder


def test_the_cascade_of_a_base_is_told_in_waves(web: Folder) -> None:
    ran = web.run("graph", "predict", "node-22", "--at", "2100-01-01")

    assert ran.code == 0
    told, headings, row = ran.out.splitlines()
    assert told == "node-22 moves at 2100-01-01T00:00:00Z: 1 image would be rebuilt in 1 wave."
    assert headings.split()[:3] == ["WAVE", "IMAGE", "BECAUSE"]
    at = ["2100-01-08T00:00:00Z", "2100-01-08T00:30:00Z", "2100-01-08T00:30:00Z"]
    assert row.split() == ["0", "web", "node-22", *at]


def test_the_cascade_is_written_as_json_with_what_is_left_out(web: Folder) -> None:
    web.write("images.yaml", (web.root / "images.yaml").read_text() + "  autoRebuild: false\n")

    data = web.run("graph", "predict", "node-22", "--at", "2100-01-01", "--json").json

    assert (data["base"], data["waves"]) == ("node-22", [])
    assert [(one["image"], one["reason"]) for one in data["notRebuilt"]] == [("web", "needs-approval")]
    assert "web would not be: needs-approval" in web.run("graph", "predict", "node-22").out


def test_a_base_is_named_by_its_reference_too(web: Folder) -> None:
    assert "node-22 moves at" in web.run("graph", "predict", "node:22").out


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["nope"], id="an unknown base"),
        pytest.param(["node-22", "--at", "yesterday"], id="no instant"),
        pytest.param(["node-22", "--at", "2020-01-01"], id="an instant that has passed"),
        pytest.param(["node-22", "--build-time", "long"], id="no length of time"),
    ],
)
def test_bad_input_ends_with_2(web: Folder, words: list[str]) -> None:
    assert web.run("graph", "predict", *words).code == 2
