"""`explain`: sentences for people, the data behind them for programs."""

from __future__ import annotations

from typing import Any

import pytest

Folder = Any  # of this package's conftest


@pytest.fixture
def web(folder: Folder) -> Folder:
    folder.service("web", "FROM node:22\n")
    folder.managed("web")
    folder.run("analyze")
    return folder


def test_sentences(web: Folder) -> None:
    assert "web is a managed image, ghcr.io/acme/web." in web.run("explain", "web").out.splitlines()


@pytest.mark.parametrize(("name", "kind"), [("web", "managed"), ("node-22", "base")])
def test_json(web: Folder, name: str, kind: str) -> None:
    data = web.run("explain", name, "--json").json

    assert (data["name"], data["kind"]) == (name, kind)
    assert data["sentences"]
    assert data["state"]["name"] == name


def test_an_unknown_image_is_an_error(web: Folder) -> None:
    assert web.run("explain", "nope").code == 2
