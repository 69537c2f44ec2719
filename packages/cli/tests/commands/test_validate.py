"""`validate`: every error with its line, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from image_factory_cli.group import run

BAD = """\
- name: pg
  repository: library/postgres
  tag: 16-alpine
- repository: acme/web
  tag: x
  criticality: most
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("IMAGE_FACTORY_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "image-factory"
    folder.mkdir()
    (folder / "images.yaml").write_text(BAD)
    return folder


def test_two_named_errors_and_the_good_entry_counts(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate"]) == 2

    shown = capsys.readouterr()
    assert [line for line in shown.err.splitlines() if line.startswith("error:")] == [
        f"error: {root / 'images.yaml'}:4: entry 2: name: missing",
        f"error: {root / 'images.yaml'}:6: entry 2: criticality: 'most' is none of low, normal, high, critical",
    ]
    assert shown.out == "1 good image, 2 errors, 0 warnings\n"


def test_json_holds_file_and_line_of_each(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "--json"]) == 2

    told = json.loads(capsys.readouterr().out)
    assert (told["valid"], told["images"], told["warnings"]) == (False, 1, [])
    assert [problem["line"] for problem in told["problems"]] == [4, 6]
    assert told["problems"][0]["error"] == "entry 2: name: missing"
    assert all(problem["file"].endswith("images.yaml") and problem["hint"] for problem in told["problems"])


def test_a_misspelt_key_is_a_warning_and_an_error_where_strict(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "images.yaml").write_text("- name: pg\n  repository: library/postgres\n  tag: x\n  criticalty: high\n")

    assert run(["validate"]) == 0
    assert run(["validate", "--strict"]) == 2

    shown = capsys.readouterr()
    assert "pg: criticalty: unknown key 'criticalty'\nhint: did you mean 'criticality'?" in shown.err
    assert shown.out.splitlines()[0] == "1 good image, 0 errors, 1 warning"


def test_a_provider_that_is_not_installed_names_the_extra(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "images.yaml").write_text(
        "- name: web\n  registry: ghcr.io\n  repository: a/b\n  source: {repo: a/b, provider: gitlab}\n"
    )
    (root / "config.yaml").write_text("disabledPlugins: [gitlab]\n")

    assert run(["validate"]) == 2

    assert "hint: pip install 'image-factory[gitlab]'" in capsys.readouterr().err


def test_an_empty_folder_is_one_line_of_error_and_one_of_hint_and_stays_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("IMAGE_FACTORY_DIR", raising=False)
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)

    assert run(["validate"]) == 2

    error, hint = capsys.readouterr().err.splitlines()
    assert "images.yaml" in error
    assert "image-factory init" in hint
    assert list(empty.iterdir()) == []


def test_with_a_program_s_log_each_problem_is_a_line_of_it(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "images.yaml").write_text(BAD)

    code = run(["validate", "--log-format", "json"])

    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert all(json.loads(line)["op"] == "validate" for line in err.splitlines())
    assert any("criticality" in json.loads(line)["event"] for line in err.splitlines())
