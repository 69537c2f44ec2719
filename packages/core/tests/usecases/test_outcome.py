"""Exit codes by outcome (requirements, "Command line")."""

from __future__ import annotations

import pytest

from image_factory.errors import NotFound, PluginError, Unavailable
from image_factory.usecases.outcome import Done, Failed, Outcome, Skipped, exit_code

BAD = Failed("bad", NotFound("no Dockerfile"))
DOWN = Failed("a", Unavailable("no answer"))


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        pytest.param([], 0, id="nothing to do"),
        pytest.param([Done("a"), Skipped("b", "same")], 0, id="all done"),
        pytest.param([Done("a"), BAD], 3, id="some failed, the others done"),
        pytest.param([BAD, BAD], 3, id="several, all failed"),
        pytest.param([DOWN, DOWN], 5, id="all, for something outside"),
        pytest.param([DOWN, BAD], 3, id="one for something outside, one for what the user wrote"),
        pytest.param([DOWN, DOWN, Skipped("b", "same")], 3, id="all but one, for something outside"),
        pytest.param([BAD], 2, id="the only one, for what the user wrote"),
        pytest.param([DOWN], 5, id="the only one, for something outside"),
        pytest.param([Failed("a", PluginError("boom"))], 3, id="the only one, for a plugin's defect"),
    ],
)
def test_exit_code(outcomes: list[Outcome], expected: int) -> None:
    assert exit_code(outcomes) == expected
