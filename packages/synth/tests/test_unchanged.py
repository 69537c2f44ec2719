from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from image_factory_synth.unchanged import LAST, SETTLED, Question, ask, look, recall, remember

REPORT: dict[str, Any] = {"resources": 3}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images.yaml").write_text("[]\n")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "a.yaml").write_text("name: a\n")
    (tmp_path / "out.yaml").write_text("made\n")
    return tmp_path


def asked(folder: Path, **environ: str) -> Question:
    return ask(folder, environ, folder, ["kargo=None"])


def run(folder: Path) -> None:
    snapshot = look([folder / "images.yaml", folder / "config.yaml"], [folder / "state", folder / "missing"])
    remember(asked(folder), snapshot, folder / "out.yaml", REPORT)


def test_a_second_run_about_the_same_files_knows_the_answer(folder: Path) -> None:
    run(folder)

    assert recall(asked(folder)) == REPORT


def test_nothing_is_known_before_the_first_run(folder: Path) -> None:
    assert recall(asked(folder)) is None


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda folder: (folder / "images.yaml").write_text("[ ]\n"), id="a file was changed"),
        pytest.param(lambda folder: (folder / "images.yaml").unlink(), id="a file is gone"),
        pytest.param(lambda folder: (folder / "config.yaml").write_text(""), id="a missing file came"),
        pytest.param(lambda folder: (folder / "state" / "b.yaml").write_text(""), id="a state file came"),
        pytest.param(lambda folder: (folder / "state" / "a.yaml").unlink(), id="a state file is gone"),
        pytest.param(lambda folder: (folder / "missing").mkdir(), id="a missing folder came"),
        pytest.param(lambda folder: (folder / "out.yaml").write_text("edited\n"), id="the output was edited"),
        pytest.param(lambda folder: (folder / "out.yaml").unlink(), id="the output is gone"),
        pytest.param(lambda folder: (folder / LAST).write_text("{}"), id="what was kept is damaged"),
        pytest.param(lambda folder: (folder / LAST).write_bytes(b"\xff"), id="what was kept is no text"),
    ],
)
def test_after_any_change_the_answer_is_worked_out_again(folder: Path, change: Any) -> None:
    run(folder)

    change(folder)

    assert recall(asked(folder)) is None


def test_a_change_of_the_same_length_and_time_is_seen(folder: Path) -> None:
    file = folder / "state" / "a.yaml"
    times = file.stat()
    run(folder)

    file.write_text("name: b\n")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))

    assert recall(asked(folder)) is None


def test_of_settled_files_such_a_change_is_seen_by_its_other_times_alone(folder: Path) -> None:
    file = folder / "state" / "a.yaml"
    times = file.stat()
    looked = look([folder / "images.yaml"], [folder / "state"])
    later = replace(looked, taken_at=looked.taken_at + 2 * SETTLED)
    remember(asked(folder), later, folder / "out.yaml", REPORT)
    assert json.loads((folder / LAST).read_text())["racy"] == {}
    assert recall(asked(folder)) == REPORT

    file.write_text("name: b\n")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))

    assert recall(asked(folder)) is None


def test_a_change_between_looking_and_remembering_is_not_taken_as_seen(folder: Path) -> None:
    snapshot = look([folder / "images.yaml"], [folder / "state"])
    (folder / "images.yaml").write_text("changed meanwhile\n")

    remember(asked(folder), snapshot, folder / "out.yaml", REPORT)

    assert recall(asked(folder)) is None


@pytest.mark.parametrize("environ", [{"IMAGE_FACTORY_KARGO_NAMESPACE": "x"}, {"IMAGES_YAML": "other.yaml"}], ids=str)
def test_another_question_has_no_answer_yet(folder: Path, environ: dict[str, str]) -> None:
    run(folder)

    assert recall(asked(folder, **environ)) is None
    assert recall(ask(folder, {}, folder, ["kargo=1.10"])) is None
    assert recall(asked(folder, UNRELATED="x")) == REPORT


def test_files_changed_a_moment_ago_are_known_by_their_content(folder: Path) -> None:
    run(folder)
    kept = json.loads((folder / LAST).read_text())

    assert sorted(Path(path).name for path in kept["racy"]) == ["a.yaml", "images.yaml"]


def test_the_folder_is_found_as_the_settings_find_it(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "config.yaml").write_text("")

    assert ask(None, {}, tmp_path, []).root == tmp_path / "image-factory"
    assert ask(None, {}, tmp_path / "here", []).root == tmp_path / "here"
    assert ask(None, {"IMAGE_FACTORY_DIR": "x"}, tmp_path / "here", []).root == tmp_path / "here" / "x"
    assert ask(Path("y"), {"IMAGE_FACTORY_DIR": "x"}, tmp_path, []).root == tmp_path / "y"


def test_a_folder_that_cannot_be_written_is_no_error(folder: Path) -> None:
    (folder / LAST.parts[0]).write_text("a file in its place")

    run(folder)

    assert recall(asked(folder)) is None


def test_nothing_but_the_standard_library_is_imported() -> None:
    code = (
        "import sys, image_factory_synth.synth;"
        "print([name for name in ('pydantic', 'yaml', 'cdk8s', 'httpx', 'jsonschema') if name in sys.modules])"
    )

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert shown == "[]\n"
