"""`status`: a table for people, JSON for programs."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

Folder = Any  # of this package's conftest


@pytest.fixture
def web(folder: Folder) -> Folder:
    folder.service("web", "FROM node:22\n")
    folder.managed("web")
    folder.registry.push_image("library/node", "22")
    folder.run("analyze")
    folder.run("observe")
    return folder


def test_a_table_lists_images_and_bases(web: Folder) -> None:
    ran = web.run("status")

    assert ran.code == 0
    images, bases = ran.out.split("\n\n")
    assert images.splitlines()[0].split() == ["IMAGE", "KIND", "VERSION", "REBUILD", "UNTIL", "BLOCKED", "BY"]
    assert images.splitlines()[1].split() == ["web", "managed", "-", "up-to-date", "-", "-"]
    assert bases.splitlines()[1].split()[:2] == ["node-22", "docker.io/library/node:22"]


def test_one_image_s_json_holds_configuration_and_runtime(web: Folder) -> None:
    data = web.run("status", "web", "--json").json

    assert data["configuration"]["enrollment"]["repository"] == "acme/web"
    assert data["runtime"]["discoveryStatus"] == "success"


def test_a_base_s_json_names_its_dependents(web: Folder) -> None:
    assert web.run("status", "node-22", "--json").json["dependents"] == ["web"]


def test_one_image_is_shown_as_yaml_to_a_person(web: Folder) -> None:
    assert yaml.safe_load(web.run("status", "web").out)["name"] == "web"


def test_all_as_json(web: Folder) -> None:
    web.managed("web", "api")

    data = web.run("status", "--json").json

    assert [image["name"] for image in data["images"]] == ["web"]
    assert [base["name"] for base in data["bases"]] == ["node-22"]
    assert data["unanalyzed"] == ["api"]


def test_an_unknown_image_is_an_error(web: Folder) -> None:
    ran = web.run("status", "nope")

    assert (ran.code, ran.out) == (2, "")
    assert "no image is called 'nope'" in ran.err


def test_a_broken_file_is_named_and_the_others_are_shown(web: Folder) -> None:
    web.write("state/images/other.yaml", ": [")

    ran = web.run("status")

    assert ran.code == 3
    assert "other.yaml" in ran.err
    assert "web" in ran.out


def test_an_image_whose_dockerfile_cannot_be_read_is_not_called_up_to_date(web: Folder) -> None:
    web.managed("web", "api")
    web.run("analyze")

    images = web.run("status").out.split("\n\n")[0].splitlines()

    assert images[1].split()[:5] == ["api", "managed", "-", "unknown", "-"]
    assert images[3].startswith("✗ api: no file api/Dockerfile")


@pytest.mark.parametrize("words", [[], ["--json"]], ids=["for people", "as JSON"])
def test_an_images_yaml_of_which_nothing_can_be_read_is_bad_input(web: Folder, words: list[str]) -> None:
    web.write("images.yaml", "- name: [\n")

    ran = web.run("status", *words)

    assert ran.code == 2
    assert "web" in ran.out


def test_one_bad_entry_among_good_ones_is_a_partial_failure(web: Folder) -> None:
    web.write("images.yaml", (web.root / "images.yaml").read_text() + "- name: half\n  registry: 7\n")

    assert web.run("status").code == 3


def test_an_image_whose_source_was_never_reached_is_not_called_up_to_date(web: Folder) -> None:
    web.write("images.yaml", (web.root / "images.yaml").read_text().replace(str(web.services), "http://127.0.0.1:9/a"))
    (web.root / "state/images/web.yaml").unlink()
    web.run("analyze")

    (row,) = [line for line in web.run("status").out.splitlines() if line.startswith("web ")]

    assert "unknown" in row
    assert "up-to-date" not in row


def test_images_that_are_gone_from_the_file_are_named_until_they_are_archived(web: Folder) -> None:
    web.write("images.yaml", "[]\n")

    before, listed = web.run("status"), web.run("status", "--json").json["removed"]
    web.run("analyze")

    assert "web is gone from images.yaml: the next analyze --all archives it" in before.out
    assert listed == ["web"]
    assert "gone from" not in web.run("status").out
