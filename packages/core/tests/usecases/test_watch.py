"""What is known of watched references before it is decided which of them are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from image_factory.model.enrollment import Enrollment
from image_factory.model.image_state import ImageConfiguration, ImageState
from image_factory.usecases.analyze import analyze
from image_factory.usecases.watch import plan_watch, watch_key

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any


def test_all_are_due_that_were_never_asked_for(world: World) -> None:
    world.service("web", "FROM node:22\n")
    world.enroll("web")
    bench = world.bench()
    bench.store.apply(analyze(bench).changes)

    watch = plan_watch(bench, bench.store.bases().records, {})

    assert watch.due == {"node-22"}
    assert watch.next_at is None


def test_images_with_one_tag_share_a_question_and_others_have_their_own() -> None:
    def external(**fields: str) -> ImageState:
        enrollment = Enrollment.model_validate({"name": "cache", "repository": "library/redis", **fields})
        return ImageState(configuration=ImageConfiguration(name="cache", enrollment=enrollment))

    assert watch_key(external(tag="7")) == "docker.io/library/redis:7"
    assert watch_key(external(constraint="^7")) == "docker.io/library/redis (cache)"
