"""`history`: a table for people, JSON for programs."""

from __future__ import annotations

from typing import Any

import pytest

Folder = Any  # of this package's conftest


@pytest.fixture
def web(folder: Folder) -> Folder:
    folder.service("web", "FROM node:22\n")
    folder.managed("web")
    for seed in ("one", "two"):
        folder.registry.push_image("library/node", "22", seed=seed)
        folder.run("analyze")
        folder.run("observe")
    return folder


def test_a_table_of_what_happened(web: Folder) -> None:
    ran = web.run("history", "node-22")

    assert ran.code == 0
    headings, newest, first, discovered = ran.out.splitlines()
    assert headings.split() == ["AT", "WHAT", "RESULT", "DIGEST", "WHY", "RUN"]
    assert (newest.split()[1], first.split()[1], discovered.split()[1]) == ("moved", "moved", "discovered")
    assert newest.split()[4:6] == ["from", first.split()[3]]


def test_a_limit_says_how_to_see_the_rest(web: Folder) -> None:
    out = web.run("history", "node-22", "--limit", "1").out

    assert out.splitlines()[-1] == "2 earlier: image-factory history node-22 --limit 0"
    assert len(web.run("history", "node-22", "--limit", "0").out.splitlines()) == 4


def test_json(web: Folder) -> None:
    data = web.run("history", "node-22", "--json", "--limit", "2").json

    assert (data["name"], data["total"]) == ("node-22", 3)
    assert [entry["kind"] for entry in data["entries"]] == ["digest", "digest"]


def test_an_unknown_name_is_an_error(web: Folder) -> None:
    assert web.run("history", "nope").code == 2
