"""`plugins`: what is loaded, from which distribution, with or without a folder."""

from __future__ import annotations

from typing import Any

Folder = Any  # of this package's conftest


def test_the_built_ins_are_listed_without_any_folder(folder: Folder) -> None:
    ran = folder.run("plugins", "list", "--json")

    built_in = {plugin["name"]: plugin for plugin in ran.json if plugin["builtin"]}
    assert ran.code == 0
    assert set(built_in) == {"docker", "git", "oci", "tag-strategies"}
    assert built_in["git"]["distribution"] == "image-factory-core"
    assert built_in["git"]["registers"] == ["source git"]
    assert built_in["docker"]["hooks"] == ["credentials_for"]


def test_a_table_for_people(folder: Folder) -> None:
    headings, *rows = folder.run("plugins").out.splitlines()

    assert headings.split() == ["PLUGIN", "DISTRIBUTION", "STATE", "REGISTERS"]
    assert any(row.split()[0] == "oci" and "registry oci" in row for row in rows)


def test_a_folder_that_is_named_and_missing_is_an_error(folder: Folder) -> None:
    assert folder.run("plugins", "--image-factory-dir", "nowhere").code == 2
