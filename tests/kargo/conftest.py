"""What the tests on Kargo's semantics share: the judge, one process for all tests of a run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.kargo.judge import CannotJudge, Judge, program


@pytest.fixture(scope="session")
def judge() -> Iterator[Judge]:
    """Kargo's own code, or a skip that says why it is not to be had here."""
    try:
        found = program()
    except CannotJudge as reason:
        pytest.skip(str(reason))
    with Judge(found) as judge:
        yield judge
