"""What a step came to is shown to people, as JSON to programs, and not at all beside a program's log."""

from __future__ import annotations

import json
from pathlib import PurePosixPath

import pytest

from image_factory.errors import InvalidState
from image_factory.shell.store import FileChange
from image_factory.usecases.commit import Committed
from image_factory.usecases.outcome import Done, Skipped
from image_factory_cli.steps import Manner, Shown, show

CHANGE = FileChange(PurePosixPath("state/images/web.yaml"), None, "name: web\n")
OUTCOMES = (Done("web", ("it moved",)), Skipped("api", "nothing new"))


def manner(**fields: bool) -> Manner:
    given = {"commit": True, "push": False, "as_json": False, "verbose": False, "is_quiet": False}
    return Manner(**{**given, **fields})


def test_without_a_commit_the_changes_are_shown_as_a_diff(capsys: pytest.CaptureFixture[str]) -> None:
    show(Shown(OUTCOMES, (CHANGE,)), manner(), op="settle")

    out = capsys.readouterr().out
    assert "+name: web" in out
    assert "web: it moved" in out
    assert "api" not in out


@pytest.mark.parametrize(
    ("committed", "said"),
    [
        (Committed("c" * 40, pushed=True), "committed cccccccccccc and pushed"),
        (Committed("c" * 40), "committed cccccccccccc\n"),
        (Committed(None, "left uncommitted, as asked"), "no commit: left uncommitted, as asked"),
    ],
)
def test_a_commit_or_why_there_is_none_is_said(
    committed: Committed, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show(Shown(OUTCOMES, (CHANGE,), committed), manner(verbose=True), op="settle")

    out = capsys.readouterr().out
    assert said in out
    assert "api: nothing new" in out
    assert "+name: web" not in out


def test_as_json_all_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    problem = InvalidState("no YAML", hint="correct it")

    show(
        Shown(OUTCOMES, (CHANGE,), Committed("c" * 40), [problem], {"requests": []}), manner(as_json=True), op="settle"
    )

    told = json.loads(capsys.readouterr().out)
    assert (told["commit"], told["files"], told["requests"]) == ("c" * 40, ["state/images/web.yaml"], [])
    assert [each["outcome"] for each in told["outcomes"]] == ["changed", "unchanged"]
    assert told["problems"][0]["error"] == "no YAML"


def test_beside_a_program_s_log_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    show(Shown(OUTCOMES, (CHANGE,)), manner(is_quiet=True), op="settle")

    assert capsys.readouterr().out == ""
