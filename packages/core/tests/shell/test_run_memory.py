from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from image_factory.shell.run_memory import (
    SETTLED,
    Question,
    Snapshot,
    ask,
    forget,
    joined,
    look,
    recall,
    recollect,
    remember,
)

REPORT: dict[str, Any] = {"resources": 3, "names": ["ä"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images.yaml").write_text("[]\n")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "a.yaml").write_text("name: a\n")
    (tmp_path / "out.yaml").write_text("made\n")
    return tmp_path


def asked(folder: Path, **environ: str) -> Question:
    return ask("synth", None, environ, folder, ["kargo=None"])


def snapshot(folder: Path, *, is_ours: bool = False) -> Snapshot:
    files = [folder / "images.yaml", folder / "config.yaml"]
    return look(files, [folder / "state", folder / "missing"], is_ours=is_ours)


def run(folder: Path) -> None:
    remember(asked(folder), [snapshot(folder)], REPORT, folder / "out.yaml")


def settle(*files: Path) -> None:
    """Wait until the files' last change is so long ago that the next one shows in their times."""
    last = max(max(file.stat().st_mtime_ns, file.stat().st_ctime_ns) for file in files)
    time.sleep(max(0, last + SETTLED - time.time_ns()) / 1e9 + 0.01)


def change_unseen(file: Path, text: str) -> None:
    """Change a file's content and leave its size and its mtime alone."""
    status = file.stat()
    file.write_text(text)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file.stat().st_size == status.st_size


def kept(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(asked(folder).file.read_text())
    return loaded


def as_if_times_told_nothing(folder: Path) -> None:
    """Make what is remembered hold the files' present times, as if the file system were too coarse to show a change."""
    record = kept(folder)
    for path in record["files"]:
        if record["files"][path]:
            status = os.stat(path)
            record["files"][path] = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    asked(folder).file.write_text(json.dumps(record))


# --- the same question about the same files ---------------------------------------------------------------


def test_a_second_run_about_the_same_files_knows_the_answer(folder: Path) -> None:
    run(folder)

    assert recall(asked(folder)) == REPORT


def test_nothing_is_known_before_the_first_run(folder: Path) -> None:
    assert recall(asked(folder)) is None


def test_an_answer_without_an_output_is_known_too(folder: Path) -> None:
    remember(asked(folder), [snapshot(folder)], REPORT)
    (folder / "out.yaml").unlink()

    assert recall(asked(folder)) == REPORT


def test_what_is_remembered_is_ignored_by_git(folder: Path) -> None:
    run(folder)

    assert asked(folder).file == folder / ".image-factory-cache" / "synth" / "last.json"
    assert (folder / ".image-factory-cache" / ".gitignore").read_text() == "*\n"


def test_what_is_forgotten_is_not_known_and_may_be_forgotten_again(folder: Path) -> None:
    run(folder)

    forget(asked(folder))
    forget(asked(folder))

    assert recall(asked(folder)) is None


# --- which files changed ----------------------------------------------------------------------------------


def test_the_files_that_changed_are_told_with_what_was_reported(folder: Path) -> None:
    run(folder)
    taken_at = kept(folder)["takenAt"]
    for file in (folder / "images.yaml", folder / "state" / "a.yaml"):
        file.write_text("name: b\n")

    found = recollect(asked(folder))

    assert found is not None
    assert set(found.changed) == {str(folder / "images.yaml"), str(folder / "state" / "a.yaml")}
    assert (found.report, found.taken_at) == (REPORT, taken_at)
    assert recall(asked(folder)) is None


def test_a_change_that_times_do_not_show_is_told_too(folder: Path) -> None:
    run(folder)
    change_unseen(folder / "state" / "a.yaml", "name: b\n")
    as_if_times_told_nothing(folder)

    found = recollect(asked(folder))

    assert found is not None
    assert found.changed == (str(folder / "state" / "a.yaml"),)


def test_where_nothing_changed_no_file_is_told(folder: Path) -> None:
    run(folder)

    found = recollect(asked(folder))

    assert found is not None
    assert found.changed == ()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda folder: (folder / "images.yaml").unlink(), id="a file is gone"),
        pytest.param(lambda folder: (folder / "state" / "a.yaml").unlink(), id="a folder lost a file"),
        pytest.param(lambda folder: (folder / "state" / "b.yaml").write_text(""), id="a folder gained a file"),
        pytest.param(lambda folder: (folder / "out.yaml").write_text("other"), id="the output was changed"),
    ],
)
def test_more_than_the_content_of_files_is_not_told_file_by_file(
    folder: Path, change: Callable[[Path], object]
) -> None:
    run(folder)
    change(folder)

    assert recollect(asked(folder)) is None


# --- changes -----------------------------------------------------------------------------------------------


def link_to_nothing(folder: Path) -> None:
    (folder / "state" / "link.yaml").symlink_to(folder / "nowhere")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda folder: (folder / "images.yaml").write_text("[ ]\n"), id="a file was changed"),
        pytest.param(lambda folder: (folder / "images.yaml").unlink(), id="a file is gone"),
        pytest.param(lambda folder: (folder / "config.yaml").write_text(""), id="a missing file came"),
        pytest.param(lambda folder: (folder / "state" / "b.yaml").write_text(""), id="a folder gained a file"),
        pytest.param(lambda folder: (folder / "state" / "a.yaml").unlink(), id="a folder lost a file"),
        pytest.param(lambda folder: (folder / "state" / "a.yaml").write_text("b\n"), id="a folder's file was changed"),
        pytest.param(link_to_nothing, id="a folder gained a link to nothing"),
        pytest.param(lambda folder: (folder / "missing").mkdir(), id="a missing folder came"),
        pytest.param(lambda folder: (folder / "missing").write_text(""), id="a file came in place of a missing folder"),
        pytest.param(lambda folder: (folder / "out.yaml").write_text("hand\n"), id="the output was changed by hand"),
        pytest.param(lambda folder: (folder / "out.yaml").unlink(), id="the output is gone"),
    ],
)
def test_after_any_change_the_answer_is_worked_out_again(folder: Path, change: Callable[[Path], object]) -> None:
    run(folder)

    change(folder)

    assert recall(asked(folder)) is None


def test_a_link_to_nothing_hides_no_change_of_the_other_files(folder: Path) -> None:
    for name in "bcdef":
        (folder / "state" / f"{name}.yaml").write_text("x\n")
        (folder / "state" / f"{name}-link.yaml").symlink_to(folder / "nowhere")
    run(folder)
    assert recall(asked(folder)) == REPORT

    for name in "abcdef":
        change_unseen(folder / "state" / f"{name}.yaml", "name: b\n" if name == "a" else "y\n")
        assert recall(asked(folder)) is None, name
        run(folder)


def test_a_file_put_in_anothers_place_is_another_file(folder: Path) -> None:
    file = folder / "state" / "a.yaml"
    (folder / "new").write_text("name: b\n")
    status = file.stat()
    os.utime(folder / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
    run(folder)

    (folder / "new").rename(file)

    assert recall(asked(folder)) is None


@pytest.mark.parametrize("name", ["images.yaml", "state/a.yaml"])
def test_a_change_that_neither_size_nor_times_show_is_seen_in_a_file_changed_a_moment_before(
    folder: Path, name: str
) -> None:
    file = folder / name
    run(folder)
    assert str(file) in kept(folder)["racy"]

    change_unseen(file, "[]\t" if name == "images.yaml" else "name: b\n")
    as_if_times_told_nothing(folder)

    assert recall(asked(folder)) is None


def test_what_was_changed_between_looking_and_reading_is_not_taken_for_what_was_read(folder: Path) -> None:
    before = snapshot(folder)
    change_unseen(folder / "state" / "a.yaml", "name: b\n")
    # As though the times were too coarse to show it: so it counts as what was looked at.
    coarse = Snapshot(before.taken_at, snapshot(folder).files, before.alone, before.folders, before.racy)

    remember(asked(folder), [coarse], REPORT)

    assert recall(asked(folder)) is None


def test_a_change_between_looking_and_remembering_is_not_taken_as_seen(folder: Path) -> None:
    before = snapshot(folder)
    (folder / "images.yaml").write_text("changed meanwhile\n")

    remember(asked(folder), [before], REPORT, folder / "out.yaml")

    assert not asked(folder).file.exists()


# --- files that have settled ---------------------------------------------------------------------------------


def test_files_that_have_settled_are_known_by_their_times_and_are_not_read(folder: Path) -> None:
    run(folder)
    assert recall(asked(folder)) == REPORT
    assert sorted(Path(path).name for path in kept(folder)["racy"]) == ["a.yaml", "images.yaml"]
    settle(folder / "images.yaml", folder / "state" / "a.yaml")

    assert recall(asked(folder)) == REPORT
    assert kept(folder)["racy"] == {}
    assert recall(asked(folder)) == REPORT

    change_unseen(folder / "state" / "a.yaml", "name: b\n")
    assert recall(asked(folder)) is None


def test_files_that_only_we_write_are_never_read(folder: Path) -> None:
    remember(asked(folder), [snapshot(folder, is_ours=True)], REPORT)

    assert kept(folder)["racy"] == {}
    assert recall(asked(folder)) == REPORT


def test_a_folder_within_a_folder_is_no_error(folder: Path) -> None:
    (folder / "state" / "inner").mkdir()

    run(folder)

    # It was made a moment ago and cannot be hashed: so it counts as changed until its times can tell.
    assert recall(asked(folder)) is None


# --- what is kept ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"{", b"[]", b"{}", b"null", b'{"format": 1}', b'{"format": 2, "question": null}'],
    ids=repr,
)
def test_a_damaged_memory_is_none(folder: Path, content: bytes) -> None:
    run(folder)

    asked(folder).file.write_bytes(content)

    assert recall(asked(folder)) is None


@pytest.mark.parametrize("value", [7, "x", ["x"]], ids=repr)
@pytest.mark.parametrize("key", ["format", "question", "files", "folders", "racy", "output"])
def test_a_memory_with_another_kind_of_value_is_none(folder: Path, key: str, value: object) -> None:
    run(folder)

    asked(folder).file.write_text(json.dumps({**kept(folder), key: value}))

    assert recall(asked(folder)) is None


def test_a_folder_that_cannot_be_written_is_no_error(folder: Path) -> None:
    (folder / ".image-factory-cache").write_text("a file in its place")

    run(folder)

    assert recall(asked(folder)) is None


# --- the question --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("environ", [{"IMAGE_FACTORY_KARGO_NAMESPACE": "x"}, {"IMAGES_YAML": "other.yaml"}], ids=str)
def test_another_question_has_no_answer_yet(folder: Path, environ: dict[str, str]) -> None:
    run(folder)

    assert recall(asked(folder, **environ)) is None
    assert recall(ask("synth", None, {}, folder, ["kargo=1.10"])) is None
    assert recall(ask("analyze", None, {}, folder, ["kargo=None"])) is None
    assert recall(asked(folder, UNRELATED="x")) == REPORT


def test_commands_do_not_forget_for_each_other(folder: Path) -> None:
    other = ask("analyze", None, {}, folder)
    run(folder)
    remember(other, [snapshot(folder)], {"names": []})

    assert (recall(asked(folder)), recall(other)) == (REPORT, {"names": []})


def test_the_working_directory_is_a_part_of_the_question(folder: Path) -> None:
    # Paths of flags and of the environment start from there.
    assert ask("synth", folder, {}, folder).words != ask("synth", folder, {}, folder.parent).words


def test_other_code_answers_anew(folder: Path, tmp_path: Path) -> None:
    code = tmp_path / "package"
    code.mkdir()
    (code / "render.py").write_text("x = 1\n")

    def question() -> Question:
        return ask("synth", None, {}, folder, packages=[str(code)])

    remember(question(), [snapshot(folder)], REPORT)
    assert recall(question()) == REPORT
    assert recall(asked(folder)) is None

    (code / "render.py").write_text("x = 2\n")
    assert recall(question()) is None


def test_code_that_comes_or_goes_answers_anew_and_what_is_no_code_does_not(folder: Path, tmp_path: Path) -> None:
    code = tmp_path / "package"
    code.mkdir()

    def words() -> tuple[str, ...]:
        return ask("synth", None, {}, folder, packages=[str(code)]).words

    before = words()
    (code / "notes.txt").write_text("")
    assert words() == before

    (code / "new.py").write_text("")
    assert words() != before


def test_what_is_installed_is_a_part_of_the_question(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "site-packages"
    installed.mkdir()
    # Where Python finds packages is the interpreter's, not an argument's.
    monkeypatch.syspath_prepend(os.fspath(installed))
    before = asked(folder).words

    (installed / "image_factory_other").mkdir()

    assert asked(folder).words != before


# --- several snapshots -----------------------------------------------------------------------------------------


def test_joined_snapshots_hold_all_files_and_count_from_the_first(folder: Path) -> None:
    first = look([folder / "images.yaml"])
    second = look(folders=[folder / "state"], is_ours=True)

    both = joined(second, first)

    assert both.taken_at == first.taken_at
    assert both.files == {**first.files, **second.files}
    assert both.folders == second.folders
    assert list(both.racy) == [str(folder / "images.yaml")]


def test_none_joined_hold_nothing() -> None:
    assert (joined().files, joined().folders, joined().racy) == ({}, (), {})


def test_a_change_in_any_of_several_snapshots_is_seen(folder: Path) -> None:
    def again() -> None:
        remember(asked(folder), [look([folder / "images.yaml"]), look(folders=[folder / "state"])], REPORT)

    again()
    assert recall(asked(folder)) == REPORT
    (folder / "images.yaml").write_text("[ ]\n")
    assert recall(asked(folder)) is None

    again()
    (folder / "state" / "b.yaml").write_text("")
    assert recall(asked(folder)) is None
