"""The GitHub Action, and the examples for GitHub and GitLab: valid, injection-safe, and they run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

ROOT = Path(__file__).resolve().parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
GITHUB = ROOT / "examples/ci/github.yml"
GITLAB = ROOT / "examples/ci/gitlab.yml"


def script(name: str) -> str:
    return str(next(step for step in STEPS if step.get("name") == name)["run"])


def run(name: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run one of the action's scripts as the runner does."""
    bin_folder = str(Path(sys.executable).parent)
    environ = {"PATH": f"{bin_folder}:{os.environ['PATH']}", "HOME": str(folder), **variables}
    words = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script(name)]
    return subprocess.run(words, cwd=folder, env=environ, capture_output=True, text=True, check=False)


def test_no_script_of_the_action_holds_an_expression() -> None:
    assert [step["run"] for step in STEPS if "${{" in step.get("run", "")] == []


def test_every_input_is_described_and_used() -> None:
    text = (ROOT / "action.yml").read_text()

    assert all(each["description"] for each in ACTION["inputs"].values())
    assert [name for name in ACTION["inputs"] if f"inputs.{name} }}" not in text] == []


def test_the_action_runs_a_command_on_a_folder(tmp_path: Path) -> None:
    (tmp_path / "image-factory").mkdir()
    (tmp_path / "image-factory" / "images.yaml").write_text("[]\n")

    done = run("Run", tmp_path, COMMAND="run", FOLDER="image-factory", PUSH="false", DRY_RUN="true")

    assert (done.returncode, done.stdout) == (0, "nothing to do\n"), done.stderr


@pytest.mark.parametrize("command", ["status; touch owned", "$(touch owned)", "rebuild", "--help"])
def test_the_action_runs_nothing_but_steps(tmp_path: Path, command: str) -> None:
    done = run("Run", tmp_path, COMMAND=command, FOLDER="image-factory", PUSH="true", DRY_RUN="false")

    assert done.returncode == 2
    assert "no such command" in done.stdout
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("plugins", ["github]; touch owned #", "a b", "--index-url=x", ""])
def test_the_action_installs_nothing_but_plugins(tmp_path: Path, plugins: str) -> None:
    done = run("Install", tmp_path, PLUGINS=plugins, SOURCE=str(tmp_path))

    assert done.returncode == 2
    assert not (tmp_path / "owned").exists()


def test_the_github_example_is_a_valid_workflow() -> None:
    tool = shutil.which("actionlint")
    if tool is None:
        pytest.skip("actionlint is not installed: go install github.com/rhysd/actionlint/cmd/actionlint@latest")

    done = subprocess.run([tool, "-no-color", str(GITHUB)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout
    workflow = yaml.safe_load(GITHUB.read_text())
    (job,) = workflow["jobs"].values()
    assert workflow["permissions"] == {"contents": "read"}
    assert job["permissions"] == {"contents": "write"}
    given = job["steps"][-1]["with"]
    assert set(given) <= set(ACTION["inputs"])


def test_the_gitlab_example_is_a_job_that_runs_once_at_a_time() -> None:
    job = yaml.safe_load(GITLAB.read_text())["image-factory"]

    assert job["script"] == ["image-factory run --push"]
    assert job["resource_group"]
    assert re.fullmatch(r"[a-z,]+", job["variables"]["IMAGE_FACTORY_PLUGINS"])


@pytest.mark.parametrize("file", [GITHUB, GITLAB], ids=["github", "gitlab"])
def test_the_examples_name_plugins_that_there_are(file: Path) -> None:
    named = re.search(r"(?:plugins|IMAGE_FACTORY_PLUGINS): ([a-z,]+)", file.read_text())
    there = {folder.name for folder in (ROOT / "plugins").iterdir()}

    assert named is not None
    assert set(named[1].split(",")) <= there


def test_both_keep_when_registries_were_asked() -> None:
    cached = next(step for step in STEPS if step.get("uses", "").startswith("actions/cache@"))

    assert cached["with"]["path"].endswith("/.image-factory-cache")
    assert ".image-factory-cache/" in GITLAB.read_text()


def test_gitlab_s_schema_finds_nothing_in_its_example() -> None:
    pytest.importorskip("check_jsonschema", reason="GitLab's schema is not here: pip install check-jsonschema")
    brought = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "gitlab-ci.json"
    schema = Draft7Validator(json.loads(brought.read_text(encoding="utf-8")))

    assert [error.message for error in schema.iter_errors(yaml.safe_load(GITLAB.read_text()))] == []


def test_the_page_shows_the_examples_as_they_are() -> None:
    page = (ROOT / "docs/how-to/run-from-ci.md").read_text()

    assert GITHUB.read_text() in page
    assert GITLAB.read_text() in page
