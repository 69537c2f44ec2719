"""`image-factory scan`: YAML to paste, JSON for programs, and where the images are enrolled."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from image_factory_cli.group import run

IMAGES = """\
- name: web
  registry: ghcr.io
  repository: acme/web
  source: {repo: acme/web}
- name: api
  registry: ghcr.io
  repository: acme/api
  source: {repo: acme/api}
- name: redis
  repository: library/redis
  tag: "7"
"""
VALUES = "image:\n  repository: ghcr.io/acme/web\n  tag: '1'\nredis:\n  image: docker.io/library/redis:7\n"

pytest.importorskip("image_factory_helm", reason="the plugin helm is not installed")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "image-factory").mkdir()
    (tmp_path / "image-factory/images.yaml").write_text(IMAGES)
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy/values.yaml").write_text(VALUES)
    (tmp_path / "deploy/main.ts").write_text('image: "ghcr.io/acme/api:1"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_written_can_be_pasted_into_images_yaml(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scan", "deploy", "--repo", "acme/deploy"]) == 0

    out = capsys.readouterr().out
    api, web = yaml.safe_load(out)
    assert api == {"name": "api"}
    assert web == {
        "name": "web",
        "updates": [{"repo": "acme/deploy", "path": "values.yaml", "type": "helm-update-image", "keys": ["image.tag"]}],
    }
    assert "main.ts:1  ghcr.io/acme/api:1  (nothing installed can change it)" in out
    assert "values.yaml:2 image  ghcr.io/acme/web:1\n" in out
    assert "redis" not in out


def test_a_program_reads_json(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    assert run(["scan", "deploy", "--image", "web", "--json"]) == 0

    assert json.loads(capsys.readouterr().out) == {
        "places": [
            {
                "image": "web",
                "file": "values.yaml",
                "line": 2,
                "key": "image",
                "reference": "ghcr.io/acme/web:1",
                "type": "helm-update-image",
            }
        ],
        "updates": [
            {
                "image": "web",
                "repo": None,
                "path": "values.yaml",
                "type": "helm-update-image",
                "keys": ["image.tag"],
            }
        ],
        "problems": [],
    }


@pytest.mark.parametrize("words", [["none"], ["deploy", "--image", "redis"], ["deploy", "--image", "x"]])
def test_what_is_not_there_is_the_user_s_error(
    tree: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["scan", *words]) == 2
    assert "hint:" in capsys.readouterr().err
