from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from image_factory.errors import NotFound
from image_factory.usecases.outcome import Done, Failed
from image_factory.usecases.verify import verify_images

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any

DIGEST = f"sha256:{'1' * 64}"


def test_an_image_passes_that_asks_for_nothing_and_any_other_is_refused(world: World) -> None:
    world.enroll(
        world.managed("web"), world.managed("api", policy={"signed": True}), world.managed("db", verification={})
    )

    web, api, db = verify_images(world.bench())

    assert web == Done("web", ("every digest passes: it asks for no verification and no policy",))
    assert isinstance(api, Failed)
    assert "api asks for policy" in api.error.message
    assert isinstance(db, Failed)


def test_a_digest_of_one_image_is_judged_alone(world: World) -> None:
    world.enroll(world.managed("web"), world.managed("api", policy={}))

    (web,) = verify_images(world.bench(), ["web", "web"], digest=DIGEST)

    assert isinstance(web, Done)
    assert web.changes[0].startswith(DIGEST)


def test_an_image_that_is_not_managed_is_an_error(world: World) -> None:
    world.enroll(world.managed("web"), {"name": "redis", "repository": "library/redis", "tag": "7"})

    with pytest.raises(NotFound, match="'redis'"):
        verify_images(world.bench(), ["redis"])
