"""The cascade of a base from a folder: state, images.yaml, holds and config.yaml in, data out."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from image_factory.errors import NotFound
from image_factory.usecases.analyze import analyze
from image_factory.usecases.observe import observe
from image_factory.usecases.predict import predict_cascade, prediction_to_json

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any


@pytest.fixture
def cascade(world: World) -> World:
    """web on node, and page on web; page is started by a person."""
    world.registry.push_image("library/node", "22", seed="first")
    world.service("web", "FROM node:22\n")
    world.service("page", "FROM ghcr.io/acme/web:1\n")
    world.enroll("web", world.managed("page", autoRebuild=False))
    for act in (analyze, observe):
        bench = world.bench()
        bench.store.apply(act(bench).changes)
    return world


def test_data_for_programs(cascade: World) -> None:
    prediction, problems = predict_cascade(cascade.bench(), "node-22", duration=timedelta(minutes=10))

    data = prediction_to_json(prediction)

    assert problems == ()
    assert data["waves"] == [
        [
            {
                "image": "web",
                "wave": 0,
                "because": ["node-22"],
                "eligibleAt": "2026-03-08T12:00:00Z",
                "windowClosesAt": "2026-03-08T12:30:00Z",
                "buildAt": "2026-03-08T12:30:00Z",
                "finishedAt": "2026-03-08T12:40:00Z",
            }
        ]
    ]
    assert (data["builds"], [one["image"] for one in data["notRebuilt"]]) == (1, ["page"])


def test_what_cannot_be_read_is_said_beside_it(cascade: World) -> None:
    (cascade.root / "state/images/page.yaml").write_text("name: [\n")

    prediction, problems = predict_cascade(cascade.bench(), "node-22")

    assert [one.image for one in prediction.builds] == ["web"]
    assert ["page.yaml" in str(problem) for problem in problems] == [True]


def test_an_unknown_base_is_named(cascade: World) -> None:
    with pytest.raises(NotFound, match="'nope'"):
        predict_cascade(cascade.bench(), "nope")
