"""Rendering: outcomes, tables and diffs read the same in a pipe, where nothing is coloured."""

from __future__ import annotations

import json
from pathlib import PurePosixPath

import pytest

from image_factory.errors import Location, NotFound
from image_factory.shell.store import FileChange
from image_factory.usecases.outcome import Done, Failed, Skipped
from image_factory_cli.logs import configure_logs
from image_factory_cli.render import (
    error_to_json,
    outcome_to_json,
    report_problems,
    report_warnings,
    show_diff,
    show_outcomes,
    show_problems,
    show_table,
)

FAILED = Failed("bad", NotFound("no file", hint="add it", location=Location("images.yaml", 3)))


def test_outcomes_show_what_changed_and_what_failed_with_its_hint(capsys: pytest.CaptureFixture[str]) -> None:
    show_outcomes([Done("web", ("built on node-22",)), Skipped("api", "nothing new"), FAILED])

    assert capsys.readouterr().out.splitlines() == [
        "✓ web: built on node-22",
        "✗ bad: images.yaml:3: no file",
        "  hint: add it",
        "1 changed, 1 unchanged, 1 failed",
    ]


def test_nothing_at_all_is_said_too(capsys: pytest.CaptureFixture[str]) -> None:
    show_outcomes([])

    assert capsys.readouterr().out == "nothing to do\n"


def test_outcomes_as_json() -> None:
    assert outcome_to_json(Skipped("api", "same")) == {"name": "api", "outcome": "unchanged", "reason": "same"}
    assert outcome_to_json(FAILED) == {
        "name": "bad",
        "outcome": "failed",
        "error": "no file",
        "hint": "add it",
        "file": "images.yaml",
        "line": 3,
    }


def test_an_error_without_place_or_hint_has_nulls() -> None:
    assert error_to_json(NotFound("gone")) == {"error": "gone", "hint": None, "file": None, "line": None}


def test_a_table_is_aligned_without_rules(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("NAME", "STATE"), [("a-long-name", "due"), ("b", "-")])

    assert capsys.readouterr().out.splitlines() == ["NAME         STATE", "a-long-name  due", "b            -"]


def test_a_diff_is_git_s(capsys: pytest.CaptureFixture[str]) -> None:
    show_diff([FileChange(PurePosixPath("state/a.yaml"), "x: 1\n", "x: 2\n")])

    assert capsys.readouterr().out.splitlines()[-2:] == ["-x: 1", "+x: 2"]


def test_problems_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("text", None)  # whatever a test before has left
    report_problems([FAILED.error], op="analyze", is_quiet=False)

    assert capsys.readouterr() == ("", "error: images.yaml:3: no file\nhint: add it\n")


def test_where_a_program_reads_the_log_problems_and_warnings_are_lines_of_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("json", None)
    try:
        show_problems([FAILED.error])
        report_warnings([FAILED.error], op="rebuild", is_quiet=True, image="web")
    finally:
        configure_logs("text", None)

    error, warning = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (error["level"], error["event"], error["hint"]) == ("error", "images.yaml:3: no file", "add it")
    assert (warning["level"], warning["op"], warning["image"]) == ("warning", "rebuild", "web")


def test_a_warning_is_shown_with_its_hint(capsys: pytest.CaptureFixture[str]) -> None:
    report_warnings([FAILED.error], op="rebuild", is_quiet=False)

    assert capsys.readouterr() == ("", "warning: images.yaml:3: no file\nhint: add it\n")
