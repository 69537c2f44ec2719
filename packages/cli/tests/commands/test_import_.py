"""`image-factory import`: YAML to keep, JSON for programs, images.yaml with `--write`, and its exit codes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from image_factory_cli.group import run

pytest.importorskip("image_factory_github", reason="the plugin github is not installed")

FILES = {
    "renovate.json5": "{\n  minimumReleaseAge: '5 days', // patience\n  schedule: ['before 4am on monday'],\n}\n",
    "Dockerfile": "FROM nginx:1.27\n",
    "compose.yaml": "services:\n  db: {image: 'postgres:16-alpine'}\n",
    ".github/workflows/build.yml": """\
on: {workflow_dispatch: {}}
jobs:
  build:
    steps:
    - uses: docker/build-push-action@v6
      with: {tags: 'ghcr.io/${{ github.repository }}:latest'}
""",
}
WEB = {
    "name": "web",
    "registry": "ghcr.io",
    "repository": "acme/web",
    "source": {"repo": "acme/web", "workflow": "build.yml"},
    "rebuildDelay": "5d",
}
POSTGRES = {"name": "postgres-16-alpine", "repository": "library/postgres", "tag": "16-alpine"}


def clone(folder: Path, url: str, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    subprocess.run(["git", "init", "-q", "-b", "main", str(folder)], check=True)
    subprocess.run(["git", "-C", str(folder), "remote", "add", "origin", url], check=True)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    clone(tmp_path / "web", "https://x:hidden@github.com/acme/web.git", FILES)
    (tmp_path / "image-factory").mkdir()
    (tmp_path / "image-factory/images.yaml").write_text("# ours\n- name: redis\n  repository: redis\n  tag: '7'\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_shown_is_yaml_with_all_else_as_its_comments(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["import", "web"]) == 0

    out = capsys.readouterr().out
    assert yaml.safe_load(out) == [WEB, POSTGRES]
    assert "# web/Dockerfile      ghcr.io/acme/web                      proposed as web\n" in out
    assert "# web/renovate.json5:3: schedule is not carried over: " in out
    assert "hidden" not in out
    assert (home / "image-factory/images.yaml").read_text().count("name:") == 1


def test_what_is_written_is_valid_and_is_written_once(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["import", "web", "--write"]) == 0
    written = (home / "image-factory/images.yaml").read_text()
    assert run(["import", "web", "--write"]) == 0

    assert (home / "image-factory/images.yaml").read_text() == written
    assert written.startswith("# ours\n- name: redis\n  repository: redis\n  tag: '7'\n\n- name: web\n")
    assert yaml.safe_load(written)[1:] == [WEB, POSTGRES]
    capsys.readouterr()
    assert run(["validate", "--strict"]) == 0
    assert capsys.readouterr().out == "3 good images, 0 errors, 0 warnings\n"


def test_a_dry_run_writes_nothing_and_a_program_reads_json(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (home / "image-factory/images.yaml").read_text()

    assert run(["import", "web", "--write", "--dry-run", "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    assert document["entries"] == [WEB, POSTGRES]
    assert [row["outcome"] for row in document["found"]] == ["proposed", "proposed"]
    assert [(each["file"], each["line"]) for each in document["notCarriedOver"]] == [
        ("web/renovate.json5", 2),
        ("web/renovate.json5", 3),
    ]
    assert document["written"] is False
    assert document["problems"] == []
    assert (home / "image-factory/images.yaml").read_text() == before


def test_one_bad_repository_costs_no_other(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clone(
        home / "bad",
        "https://github.com/acme/bad.git",
        {"renovate.json": "{\n  extends: [\n", "Dockerfile": "FROM a\n"},
    )

    assert run(["import", "bad", "web"]) == 3
    shown = capsys.readouterr()
    assert yaml.safe_load(shown.out) == [WEB, POSTGRES]
    assert "error: bad/renovate.json:3: not JSON5 at column 1: a value is missing\n" in shown.err
    assert run(["import", "bad"]) == 2
    assert run(["import", "nowhere"]) == 2
    assert run(["import", "web", "--registry", "https://ghcr.io/x"]) == 2
    assert "not a registry host: 'https://ghcr.io/x'" in capsys.readouterr().err


def test_the_one_configuration_that_is_named_counts(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "web/.github/dependabot.yml").write_text(
        "version: 2\nupdates:\n- package-ecosystem: docker\n  directory: /\n  cooldown: {default-days: 9}\n"
    )

    assert run(["import", "web"]) == 0
    assert "web/.github/dependabot.yml:1: is not read, since renovate.json5 is" in capsys.readouterr().out
    assert run(["import", "web", "--from", "dependabot", "--json"]) == 0
    assert [each.get("rebuildDelay") for each in json.loads(capsys.readouterr().out)["entries"]] == ["9d"]
