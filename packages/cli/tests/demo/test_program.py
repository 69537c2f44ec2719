import os
from pathlib import Path

import pytest

from image_factory_cli.demo.program import Program, StepFailed, environment


def test_a_command_s_output_is_returned(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM alpine:3.19\n")

    out = Program(tmp_path, tmp_path).run("inspect", "Dockerfile")

    assert "docker.io/library/alpine:3.19" in out


def test_json_is_read(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM alpine:3.19\n")

    assert Program(tmp_path, tmp_path).read("inspect", "Dockerfile")["file"] == "Dockerfile"


def test_a_command_that_fails_ends_the_demo_with_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="image-factory status ended with 2: error: there is no") as failed:
        Program(tmp_path, tmp_path).run("status")

    assert failed.value.hint


def test_the_user_s_credentials_and_folders_stay_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    monkeypatch.setenv("IMAGE_FACTORY_DIR", "/elsewhere")
    monkeypatch.setenv("NO_PROXY", "intern.example.com")

    given = environment(tmp_path)

    assert {"GITHUB_TOKEN", "IMAGE_FACTORY_DIR"}.isdisjoint(given)
    assert given["NO_PROXY"] == "intern.example.com,127.0.0.1"
    assert given["DOCKER_CONFIG"].startswith(str(tmp_path))
    assert given["PATH"] == os.environ["PATH"]
