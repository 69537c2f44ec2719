"""What the tests on Kargo's semantics share: the judge, one process for all tests of a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.kargo.judge import CannotJudge, Judge, program
from tests.kargo.simulator.steps import JudgedSteps, Steps
from tests.kargo.world import World, begun_world


@pytest.fixture(scope="session")
def judge() -> Iterator[Judge]:
    """Kargo's own code, or a skip that says why it is not to be had here."""
    try:
        found = program()
    except CannotJudge as reason:
        pytest.skip(str(reason))
    with Judge(found) as judge:
        yield judge


@pytest.fixture(scope="session")
def steps(judge: Judge) -> Steps:
    """What runs the promotion steps of a simulated cluster, whose manifests cdk8s writes; a skip without Node."""
    node = pytest.importorskip("image_factory_synth.node", reason="synth is not installed")
    try:
        node.find_node()
    except node.NoNode as none:
        pytest.skip(f"{none.message}: {none.hint}")
    return JudgedSteps(judge)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A GitHub, a GitLab and a registry, with a state repository in which nothing is enrolled yet."""
    with begun_world(tmp_path) as world:
        yield world
