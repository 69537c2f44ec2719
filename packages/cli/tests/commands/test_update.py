"""`image-factory update apply`: a one-line diff, by enrolled name or repository, with a folder or without."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_factory_cli.group import run

pytest.importorskip("image_factory_yaml", reason="the plugin yaml is not installed")

POD = "# ours\nspec:\n  image: ghcr.io/acme/web:1 # front\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pod.yaml").write_text(POD)
    return tmp_path / "pod.yaml"


def apply(*words: str, image: str = "ghcr.io/acme/web") -> int:
    return run(["update", "apply", "--path", "pod.yaml", "--type", "yaml-update", "--image", image, *words])


def test_one_line_changes(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert apply("--tag", "2") == 0
    assert file.read_text() == POD.replace(":1", ":2")
    assert capsys.readouterr().out == "updated pod.yaml\n"

    assert apply("--tag", "2") == 0
    assert capsys.readouterr().out == "nothing to do: pod.yaml names it already\n"


def test_a_dry_run_shows_the_change_and_makes_none(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert apply("--tag", "2", "--key", "spec.image", "--dry-run") == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")] == [
        "-  image: ghcr.io/acme/web:1 # front",
        "+  image: ghcr.io/acme/web:2 # front",
    ]
    assert file.read_text() == POD


def test_an_enrolled_image_is_known_by_its_name(file: Path) -> None:
    (file.parent / "images.yaml").write_text(
        "- name: web\n  registry: ghcr.io\n  repository: acme/web\n  source: {repo: acme/web}\n"
    )

    assert apply("--digest", f"sha256:{'a' * 64}", image="web") == 0
    assert file.read_text() == POD.replace(":1", f"@sha256:{'a' * 64}")


@pytest.mark.parametrize(
    ("words", "image", "problem"),
    [
        (["--tag", "2"], "web", "no image is called 'web'"),
        (["--tag", "2"], "ghcr.io/acme/api", "does not name ghcr.io/acme/api"),
        ([], "ghcr.io/acme/web", "neither a tag nor a digest"),
        (["--tag", "a b"], "ghcr.io/acme/web", "not a tag"),
        (["--digest", "sha256:1"], "ghcr.io/acme/web", "not a digest"),
        (["--tag", "2", "--key", "spec.tag"], "ghcr.io/acme/web", "nothing stands at spec.tag"),
        (["--tag", "2", "--type", "never"], "ghcr.io/acme/web", "no file updater plugin is called 'never'"),
    ],
)
def test_what_cannot_be_done_is_one_error_and_leaves_the_file(
    file: Path, words: list[str], image: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert apply(*words, image=image) == 2

    error = capsys.readouterr().err
    assert problem in error
    assert "hint: " in error
    assert file.read_text() == POD
