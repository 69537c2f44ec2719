"""Self-service on a GitLab of one's own: enroll by merge request, start a pipeline, find its run, in sub-groups."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from image_factory.testing.gitlab_server import GitLabServer
from image_factory_cli.group import run

pytest.importorskip("image_factory_gitlab", reason="the plugin gitlab is not installed")

TOKEN, TRIGGER = "glpat-plantedSelfService1", "glptt-plantedTriggerT0ken"
OURS = "# ours\n- name: redis # the cache\n  repository: library/redis\n  tag: 7-alpine\n"
PROJECT = "acme/platform/web"


def test_from_a_merge_request_to_a_pipeline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def image_factory(*words: str) -> str:
        capsys.readouterr()
        ended = run([*words, "--image-factory-dir", str(checkout / "image-factory")])
        said = "".join(capsys.readouterr())
        assert ended == 0, said
        assert TOKEN not in said
        assert TRIGGER not in said
        return said

    for variable in ("IMAGE_FACTORY_DIR", "IMAGE_FACTORY_STATE_DIR", "IMAGES_YAML", "CI_SERVER_URL", "CI_JOB_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PLANTED", TOKEN)
    monkeypatch.setenv("PLANTED_TRIGGER", TRIGGER)
    checkout = tmp_path / "checkout"
    with GitLabServer(tmp_path / "gitlab", token=TOKEN, trigger_tokens={PROJECT: TRIGGER}) as gitlab:
        host = {"tokenEnv": "PLANTED", "triggerTokenEnv": "PLANTED_TRIGGER"}
        config = {
            "plugins": {"gitlab": {"hosts": {gitlab.url: host}}},
            "kargo": {"stateRepository": f"{gitlab.url}/acme/state.git"},
        }
        files = {"image-factory/images.yaml": OURS, "image-factory/config.yaml": yaml.safe_dump(config)}
        gitlab.repositories.create("acme/state.git", files)
        gitlab.repositories.create(f"{PROJECT}.git", {"Dockerfile": "FROM alpine:3.22\n"})
        bare = gitlab.repositories.path("acme/state.git")
        subprocess.run(["git", "clone", "--quiet", str(bare), str(checkout)], check=True)

        image_factory(
            *("enroll", "web", "--registry", "registry.example.com", "--repository", PROJECT, "--pr"),
            *("--source-provider", "gitlab", "--source-host", gitlab.url, "--source-repo", PROJECT),
        )
        branch = "image-factory/enroll-web"
        changed = subprocess.run(
            ["git", "diff", "--numstat", "main", branch], cwd=bare, check=True, capture_output=True, text=True
        ).stdout
        assert changed.split()[1:] == ["0", "image-factory/images.yaml"], "only lines are added"
        subprocess.run(["git", "pull", "--quiet", str(bare), branch], cwd=checkout, check=True)

        job = image_factory("workflow", "web")
        gitlab.repositories.commit(f"{PROJECT}.git", {".gitlab-ci.yml": job}, "Build the image")
        image_factory("analyze")
        told = json.loads(image_factory("rebuild", "web", "--dry-run", "--json"))
        assert told["json"]["token"] == "••••••"
        assert told["json"]["variables"]["image"] == "web"

        image_factory("rebuild", "web", "--force", "--no-commit")

        (listed,) = json.loads(image_factory("runs", "web", "--json"))["runs"]
        state = yaml.safe_load((checkout / "image-factory/state/images/web.yaml").read_text())
        (build,) = state["rebuildHistory"]
        assert (build["result"], build["runId"]) == ("started", listed["id"])
