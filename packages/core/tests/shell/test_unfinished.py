"""The note of what a run has not finished: whole, harmless where it is broken, and nobody's while its run goes on."""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePosixPath

import pytest

from image_factory.shell.unfinished import Unfinished, forget_unfinished, note_unfinished, read_unfinished

WORK = Unfinished((PurePosixPath("state/images/web.yaml"),), "Analyze web", ("web: new",), True)
NOTE = Path(".image-factory-cache/unfinished.json")


def test_what_is_noted_is_read_until_it_is_forgotten(tmp_path: Path) -> None:
    note_unfinished(tmp_path, WORK)

    assert read_unfinished(tmp_path) == WORK
    forget_unfinished(tmp_path)
    forget_unfinished(tmp_path)
    assert read_unfinished(tmp_path) is None


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("[]", id="a list"),
        pytest.param('{"process": 0}', id="half"),
        pytest.param(
            '{"process": 0, "paths": ["../../etc/passwd"], "subject": "", "body": [], "push": false}', id="leads out"
        ),
        pytest.param(
            '{"process": 0, "paths": ["/etc/passwd"], "subject": "", "body": [], "push": false}', id="absolute"
        ),
    ],
)
def test_a_note_that_cannot_be_right_is_none(tmp_path: Path, text: str) -> None:
    note_unfinished(tmp_path, WORK)
    (tmp_path / NOTE).write_text(text)

    assert read_unfinished(tmp_path) is None


def test_the_work_of_a_run_that_goes_on_is_its_own(tmp_path: Path) -> None:
    note_unfinished(tmp_path, WORK)
    data = json.loads((tmp_path / NOTE).read_text())
    (tmp_path / NOTE).write_text(json.dumps(data | {"process": os.getppid(), "born": None}))

    assert read_unfinished(tmp_path) is None


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not tell when a process began")
def test_a_process_that_was_given_an_ended_run_s_number_is_not_that_run(tmp_path: Path) -> None:
    note_unfinished(tmp_path, WORK)
    data = json.loads((tmp_path / NOTE).read_text())
    (tmp_path / NOTE).write_text(json.dumps(data | {"process": os.getppid(), "born": "1"}))
    reused = read_unfinished(tmp_path)
    born = Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[19]
    (tmp_path / NOTE).write_text(json.dumps(data | {"process": os.getppid(), "born": born}))

    assert (reused, read_unfinished(tmp_path)) == (WORK, None)


def test_two_runs_are_one_commit_with_the_later_one_s_first_line() -> None:
    later = Unfinished((PurePosixPath("state/images/api.yaml"),), "Analyze api", ("api: new",))

    assert WORK.joined(later) == Unfinished(
        (PurePosixPath("state/images/api.yaml"), PurePosixPath("state/images/web.yaml")),
        "Analyze api",
        ("web: new", "api: new"),
        True,
    )
    assert WORK.joined(Unfinished(subject="Analyze images")) == WORK
