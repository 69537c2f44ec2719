"""`image-factory update`: the step of a run; and `update apply`, by name or repository, with a folder or without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from image_factory_cli.group import run

Folder = Any  # of this package's conftest

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


# --- the step of a run ----------------------------------------------------------------------------------


@pytest.fixture
def consumer(folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bare repository that names the enrolled image `web`, whose version 2 is known."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    work, bare = tmp_path / "work", tmp_path / "deploy.git"
    work.mkdir()
    folder.git("init", "--quiet", "--initial-branch=main", folder=work)
    (work / "pod.yaml").write_text(POD)
    folder.git("add", ".", folder=work)
    folder.git("commit", "--quiet", "--message", "Begin", folder=work)
    folder.git("clone", "--quiet", "--bare", str(work), str(bare), folder=tmp_path)
    folder.service("web", "FROM node:22\n")
    folder.managed("web")
    updates = f"  updates:\n    - repo: {bare}\n      path: pod.yaml\n      type: yaml-update\n"
    folder.write("images.yaml", (folder.root / "images.yaml").read_text() + updates)
    assert folder.run("analyze", "--image", "web", "--tag", "2").code == 0
    return bare


def test_versions_go_to_their_consumers_and_the_record_is_committed(folder: Folder, consumer: Path) -> None:
    ran = folder.run("update")

    assert ran.code == 0
    assert ran.out.splitlines()[0] == f"✓ web: 2 pushed to {consumer}:pod.yaml on main"
    assert ran.out.splitlines()[-1].startswith("committed ")
    assert folder.git("show", "main:pod.yaml", folder=consumer) == POD.replace(":1", ":2")
    assert folder.git("log", "-1", "--format=%s").strip() == "Update consumers of web"
    assert "status: pushed" in (folder.root / "state/images/web.yaml").read_text()


def test_a_job_carries_the_version_from_a_clone_and_pushes_the_record(folder: Folder, consumer: Path) -> None:
    state = consumer.parent / "state.git"
    folder.git("add", ".")
    folder.git("commit", "--quiet", "--message", "Enroll web")
    folder.git("clone", "--quiet", "--bare", str(folder.checkout), str(state))
    inside = str(folder.root.relative_to(folder.checkout))

    def subjects(repository: Path) -> list[str]:
        listed: list[str] = folder.git("log", "--format=%s", "main", folder=repository).splitlines()
        return listed

    def job(kind: str) -> int:
        clone = (f"--git-repo={state}", "--git-branch=main", f"--image-factory-dir={inside}", "--log-format=json")
        code: int = folder.run("update", "--image=web", f"--type={kind}", *clone).code
        return code

    assert job("helm-update-image") == 0
    assert subjects(consumer) == ["Begin"]

    assert job("yaml-update") == 0
    assert subjects(consumer)[1:] == ["Begin"]
    assert subjects(state)[0] == "Update consumers of web"


def test_a_rehearsal_of_the_step_shows_each_file_s_change_and_makes_none(folder: Folder, consumer: Path) -> None:
    before = (folder.root / "state/images/web.yaml").read_text()

    ran = folder.run("update", "web", "--dry-run")

    assert ran.code == 0
    assert ran.out.splitlines()[0] == f"{consumer} main:"
    assert "+  image: ghcr.io/acme/web:2 # front" in ran.out
    assert folder.git("show", "main:pod.yaml", folder=consumer) == POD
    assert (folder.root / "state/images/web.yaml").read_text() == before


def test_what_became_of_each_image_can_be_read_by_a_program(folder: Folder, consumer: Path) -> None:
    ran = folder.run("update", "--json")

    assert ran.code == 0
    assert ran.json["outcomes"] == [
        {"name": "web", "outcome": "changed", "changes": [f"2 pushed to {consumer}:pod.yaml on main"]}
    ]
    assert ran.json["edits"] == [{"target": f"{consumer} main", "path": "pod.yaml"}]
    assert ran.json["files"] == ["state/images/web.yaml"]
    assert ran.json["commit"] == folder.git("rev-parse", "HEAD").strip()


def test_an_entry_that_cannot_be_done_is_the_exit_code(folder: Folder, consumer: Path) -> None:
    text = (folder.root / "images.yaml").read_text()
    folder.write("images.yaml", text + "      key: spec.nope\n")

    ran = folder.run("update")

    assert ran.code == 2, "the one image's own"
    assert f"✗ web: cannot update {consumer}:pod.yaml (spec.nope): " in ran.out
    assert "hint: " in ran.out
    assert "status: failed" in (folder.root / "state/images/web.yaml").read_text()


def test_an_image_may_be_called_like_the_subcommand(folder: Folder, consumer: Path) -> None:
    assert "no image is called 'apply'" in folder.run("update", "consumers", "apply").err
    assert folder.run("update", "nope").code == 2


def test_the_help_of_the_group_and_of_the_step_show_an_example(folder: Folder) -> None:
    assert "[NAME]... [OPTIONS] | apply [OPTIONS]" in " ".join(folder.run("update", "--help").out.split())
    assert "--dry-run" in folder.run("update", "consumers", "--help").out
