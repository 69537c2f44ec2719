"""Ids of runs: one format, whatever the run is of."""

from __future__ import annotations

import re

from image_factory.testing.clock import START
from image_factory.usecases.run_id import new_run_id


def test_an_id_says_when_and_is_safe_as_the_name_of_a_file() -> None:
    found = new_run_id(START)

    assert found.startswith("run-20260301T120000Z-")
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}", found)


def test_two_runs_of_one_second_have_two_ids() -> None:
    assert len({new_run_id(START) for _ in range(100)}) == 100
