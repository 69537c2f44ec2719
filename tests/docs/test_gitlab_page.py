"""The page on GitLab, followed to the letter on a GitLab of our own: its enrollment, job, commands and settings."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from image_factory.testing.gitlab_server import GitLabServer
from image_factory_gitlab.hosts import GitLabSettings

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/build-on-gitlab.md"
TEXT = PAGE.read_text(encoding="utf-8")
ENTRY, JOB = (text for text in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL) if text.startswith(("- name", "inc")))
(SETTINGS,) = (text for text in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL) if text.startswith("plugins"))
COMMANDS = re.findall(r"^\$ (image-factory .*)$", TEXT, re.MULTILINE)
PROJECT = "acme/platform/web"


def test_the_page_is_followed_from_the_enrollment_to_the_run(tmp_path: Path) -> None:
    home = tmp_path / "image-factory"
    home.mkdir()
    with GitLabServer(tmp_path / "gitlab", token="glpat-x", trigger_tokens={PROJECT: "glptt-x"}) as server:
        server.repositories.create(f"{PROJECT}.git", {"Dockerfile": "FROM scratch\n"})
        (home / "images.yaml").write_text(ENTRY.replace("gitlab.example.com", server.url))
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "GITLAB_", "CI"))},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "NO_COLOR": "1",
            "GITLAB_HOST": server.url,
            "GITLAB_TOKEN": "glpat-x",
            "GITLAB_TRIGGER_TOKEN": "glptt-x",
        }
        said = {}
        for command in COMMANDS:
            if "rebuild" in command and "dry" not in command:
                included = yaml.safe_load(JOB)["include"][0]["local"]
                job = (home / "build-web.yml").read_text()
                # The server follows no include: the pipeline's file is what both come to.
                files = {".gitlab-ci.yml": job, included: job}
                server.repositories.commit(f"{PROJECT}.git", files, "Build with Image Factory", branch="main")
            done = subprocess.run(
                command.split(), cwd=home, env=environment, capture_output=True, text=True, timeout=120
            )
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
            said[command] = done.stdout
        (pipeline,) = server.state(PROJECT).pipelines

    assert said["image-factory rebuild web --dry-run"].startswith(
        f"POST {server.url}/api/v4/projects/acme%2Fplatform%2Fweb/trigger/pipeline\n"
    )
    assert pipeline.source == "trigger"
    assert pipeline.variables["request_id"] in (pipeline.name or "")
    assert f"{server.url}/{PROJECT}/-/pipelines/{pipeline.id}" in said["image-factory rebuild web --force"]
    listed = said["image-factory runs web"]
    assert "Build with Image Factory" in listed
    assert pipeline.variables["request_id"] in listed


def test_the_settings_of_the_page_are_settings() -> None:
    parsed = GitLabSettings.model_validate(yaml.safe_load(SETTINGS)["plugins"]["gitlab"])

    assert parsed.hosts["gitlab.example.com"].trigger_tokens == {PROJECT: "WEB_TRIGGER_TOKEN"}


@pytest.mark.parametrize(
    "word", ["GITLAB_TOKEN", "GITLAB_TRIGGER_TOKEN", "GITLAB_HOST", "CI_JOB_TOKEN", "triggerTokens"]
)
def test_what_the_page_names_the_plugin_s_own_page_explains(word: str) -> None:
    assert word in TEXT
    assert word in (PAGE.parents[2] / "plugins/gitlab/README.md").read_text(encoding="utf-8")
