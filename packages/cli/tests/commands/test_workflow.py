"""`workflow`: printed, shown as a diff, or written where it is told to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


def test_it_prints_the_workflow_and_nothing_else(folder: Any) -> None:
    folder.managed("web")

    ran = folder.run("workflow", "web", "--provider", "github")

    assert (ran.code, ran.err) == (0, "")
    assert yaml.safe_load(ran.out)["name"] == "Build web"


def test_it_writes_a_file_and_says_where_it_belongs(folder: Any, tmp_path: Path) -> None:
    folder.managed("web")
    target = tmp_path / "web.yml"

    ran = folder.run("workflow", "web", "--provider", "gitlab", "--output", str(target))

    assert "commit it to web's repository as .gitlab/ci/web.yml" in ran.out
    assert "build-web" in yaml.safe_load(target.read_text())


def test_a_dry_run_shows_the_difference_and_writes_nothing(folder: Any, tmp_path: Path) -> None:
    folder.managed("web")
    target = tmp_path / "web.yml"
    asked = ("workflow", "web", "--provider", "github", "--output", str(target))

    first = folder.run(*asked, "--dry-run")
    assert "+name: Build web" in first.out
    assert not target.exists()

    folder.run(*asked)
    target.write_text(target.read_text().replace("timeout-minutes: 60", "timeout-minutes: 61"))
    second = folder.run(*asked, "--dry-run")
    assert "-    timeout-minutes: 61" in second.out
    assert "61" in target.read_text()


def test_a_folder_that_is_missing_is_said_with_what_makes_it(folder: Any, tmp_path: Path) -> None:
    folder.managed("web")

    ran = folder.run("workflow", "web", "--provider", "github", "--output", str(tmp_path / "no/web.yml"))

    assert ran.code == 2
    assert f"hint: mkdir -p {tmp_path}/no" in ran.err


def test_a_provider_without_a_template_is_refused(folder: Any) -> None:
    folder.managed("web")

    ran = folder.run("workflow", "web")

    assert ran.code == 2
    assert "no build workflow for the provider 'git'" in ran.err


def test_an_image_whose_entry_has_an_error_is_not_called_unknown(folder: Any) -> None:
    folder.managed("web")
    images = folder.root / "images.yaml"
    images.write_text(images.read_text() + "- name: api\n  repository: a b\n")

    ran = folder.run("workflow", "api")

    assert ran.code == 2
    assert "image-factory validate shows what is wrong" in ran.err
