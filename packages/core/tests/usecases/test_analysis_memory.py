"""The memory of an analysis: recalled only while nothing that it was made from has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from image_factory.ports import SourceRepository
from image_factory.usecases.analysis_memory import AnalysisMemory, Origin

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any


@pytest.fixture
def origin(world: World) -> Origin:
    world.service("web", "FROM node:22\n")
    world.enroll("web")
    repository = SourceRepository("git", None, str(world.services))
    return Origin(repository, "main", world.bench().plugins.sources["git"].revision(repository, "main"))


def test_what_is_remembered_is_recalled(world: World, origin: Origin) -> None:
    AnalysisMemory(world.bench()).remember(["web"], [origin], [])

    assert AnalysisMemory(world.bench()).recall() == ("web",)


def test_nothing_is_recalled_before_anything_is_remembered(world: World, origin: Origin) -> None:
    assert AnalysisMemory(world.bench()).recall() is None


def test_what_is_forgotten_is_not_recalled(world: World, origin: Origin) -> None:
    memory = AnalysisMemory(world.bench())
    memory.remember(["web"], [origin], [])

    memory.forget()

    assert memory.recall() is None


@pytest.mark.parametrize("damage", ["{", "[]", '{"names": 1}', "\x00", '{"fingerprint": "x", "origins": [{}]}'])
def test_a_damaged_memory_is_none(world: World, origin: Origin, damage: str) -> None:
    AnalysisMemory(world.bench()).remember(["web"], [origin], [])
    (world.root / ".image-factory-cache/analysis.json").write_text(damage)

    assert AnalysisMemory(world.bench()).recall() is None


@pytest.mark.parametrize("change", ["commit", "images.yaml", "read file", "state"])
def test_a_change_of_what_it_was_made_from_is_seen(world: World, origin: Origin, change: str) -> None:
    read = world.checkout / "Dockerfile"
    read.write_text("FROM node:22\n")
    AnalysisMemory(world.bench()).remember(["web"], [origin], [read])

    if change == "commit":
        world.service("web", "FROM node:24\n")
    elif change == "images.yaml":
        world.enroll("web", "api")
    elif change == "read file":
        read.write_text("FROM node:24\n")
    else:
        (world.root / "state/images").mkdir(parents=True)
        (world.root / "state/images/web.yaml").write_text("name: web\n")

    assert AnalysisMemory(world.bench()).recall() is None


def test_a_repository_that_does_not_answer_makes_the_next_run_look(world: World, origin: Origin) -> None:
    gone = Origin(SourceRepository("git", None, str(world.services / "gone")), "main", origin.commit)
    AnalysisMemory(world.bench()).remember(["web"], [gone], [])

    assert AnalysisMemory(world.bench()).recall() is None
