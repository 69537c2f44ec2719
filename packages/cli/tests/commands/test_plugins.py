"""`plugins`: what is loaded, from which distribution, with or without a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

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


def test_one_that_is_broken_is_listed_and_the_list_ends_with_0(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = tmp_path / "site" / "acme_plugin-1.2.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-plugin\nVersion: 1.2\n")
    (metadata / "entry_points.txt").write_text("[image_factory]\nacme = no_such_module_of_acme\n")
    monkeypatch.syspath_prepend(tmp_path / "site")

    ran, shown = folder.run("plugins", "--json"), folder.run("plugins")

    problems = {plugin["name"]: plugin["problem"] for plugin in ran.json if plugin["problem"]}
    assert (ran.code, list(problems)) == (0, ["acme"])
    assert problems["acme"].startswith("plugin 'acme' (from acme-plugin 1.2) cannot be imported: ModuleNotFoundError")
    assert any(row.split()[:4] == ["acme", "acme-plugin", "1.2", "broken"] for row in shown.out.splitlines())
