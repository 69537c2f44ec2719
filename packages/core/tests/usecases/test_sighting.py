"""Asking registries: all are asked, each answer stands by its own question, and one that fails stops no other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from image_factory.errors import PluginError, Unavailable
from image_factory.oci.reference import Digest
from image_factory.ports import ImageMetadata
from image_factory.usecases.sighting import Answer, Sighting, ask_all, metadata_block

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any

DIGEST = f"sha256:{'a' * 64}"


def answered(answer: Answer | Exception) -> Callable[[], Answer]:
    def ask() -> Answer:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ask


@pytest.mark.parametrize("jobs", [1, 8, 100])
def test_each_answer_is_that_of_its_question_however_many_are_asked_at_once(world: World, jobs: int) -> None:
    questions = {f"base-{number}": answered(Sighting(str(number), DIGEST)) for number in range(40)}

    answers = ask_all(world.bench(), questions, jobs)

    assert answers == {f"base-{number}": Sighting(str(number), DIGEST) for number in range(40)}


def test_one_that_fails_stops_no_other_and_a_plugin_s_defect_is_said_to_be_one(world: World) -> None:
    down = Unavailable("no answer")
    questions = {
        "down": answered(down),
        "broken": answered(ZeroDivisionError("x")),
        "well": answered(Sighting("1", DIGEST)),
    }

    answers = ask_all(world.bench(), questions, 2)

    assert answers["down"] is down
    assert answers["well"] == Sighting("1", DIGEST)
    assert isinstance(answers["broken"], PluginError)
    assert "broken: ZeroDivisionError: x" in answers["broken"].message


def test_nothing_to_ask_is_nothing_answered(world: World) -> None:
    assert ask_all(world.bench(), {}, 8) == {}


def test_a_metadata_block_holds_what_is_known_in_its_fixed_order() -> None:
    created = datetime(2026, 1, 1, tzinfo=UTC)
    metadata = ImageMetadata(
        digest=Digest.parse(DIGEST),
        architecture="amd64",
        os="linux",
        size=None,
        created=created,
        labels={"b": "2", "a": "1"},
        platforms={"linux/arm64": Digest.parse(DIGEST), "linux/amd64": Digest.parse(DIGEST)},
    )

    block = metadata_block(metadata)

    assert list(block) == ["architecture", "os", "created", "labels", "platforms"]
    assert list(block["labels"]) == ["a", "b"]  # type: ignore[call-overload]
    assert block["platforms"] == {"linux/amd64": DIGEST, "linux/arm64": DIGEST}
