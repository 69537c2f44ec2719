"""`init`: a folder that can be gone on with at once, and nothing overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_factory_cli.group import run


def test_a_new_folder_can_be_enrolled_into_and_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IMAGE_FACTORY_DIR", raising=False)

    assert run(["init"]) == 0
    assert run(["enroll", "postgres", "--repository", "library/postgres", "--tag", "16-alpine"]) == 0
    assert run(["validate", "--strict"]) == 0

    out = capsys.readouterr().out
    assert "made image-factory/images.yaml" in out
    assert "1 good image, 0 errors, 0 warnings" in out


def test_a_dry_run_says_what_would_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", str(tmp_path / "new"), "--dry-run"]) == 0

    assert f"would make {tmp_path / 'new' / 'images.yaml'}" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "images.yaml").touch()

    assert run(["init", str(tmp_path)]) == 2

    error, hint = capsys.readouterr().err.splitlines()
    assert error == f"error: {tmp_path / 'images.yaml'} exists already"
    assert hint.startswith("hint: ")
