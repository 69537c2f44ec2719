"""Counts in a file: they grow from run to run, and what is not ours is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_factory.errors import UserError
from image_factory.model.metric import LIFECYCLE_TRANSITIONS, count
from image_factory.shell.metrics_file import add_to_metrics_file

MOVED = count(LIFECYCLE_TRANSITIONS, {"from": "base", "to": "managed"})


def test_each_run_adds_to_what_the_file_holds(tmp_path: Path) -> None:
    file = tmp_path / "image-factory.prom"

    add_to_metrics_file(file, [MOVED])
    add_to_metrics_file(file, [MOVED, MOVED])

    assert file.read_text().splitlines()[-1].endswith('{from="base",to="managed"} 3')
    assert file.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["image-factory.prom"]


def test_a_run_without_anything_to_count_leaves_a_file_that_says_so(tmp_path: Path) -> None:
    add_to_metrics_file(tmp_path / "a.prom", [])

    assert (tmp_path / "a.prom").read_text() == ""


def test_a_file_of_something_else_is_an_error_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("buy milk\n")

    with pytest.raises(UserError, match="not a count"):
        add_to_metrics_file(file, [MOVED])

    assert file.read_text() == "buy milk\n"


@pytest.mark.parametrize("name", ["missing/a.prom", "."])
def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        add_to_metrics_file(tmp_path / name, [MOVED])


def test_a_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.prom").write_bytes(b"\xff\xfe")

    with pytest.raises(UserError, match="not UTF-8"):
        add_to_metrics_file(tmp_path / "a.prom", [MOVED])
