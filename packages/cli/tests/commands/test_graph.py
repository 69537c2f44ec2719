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
