"""Explain: what an image waits for, until when and why, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from image_factory.errors import InvalidState, NotFound
from image_factory.usecases.analyze import analyze
from image_factory.usecases.explain import explain
from image_factory.usecases.handover import Handover
from image_factory.usecases.observe import observe
from image_factory.usecases.status import read_status

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any


def step(world: World, act: Any, *arguments: Any) -> None:
    bench = world.bench()
    bench.store.apply(act(bench, *arguments).changes)


def sentences(world: World, name: str) -> str:
    return "\n".join(explain(read_status(world.bench()), name, world.now))


@pytest.fixture
def web(world: World) -> World:
    world.registry.push_image("library/node", "22", seed="first")
    world.service("web", "FROM node:22\n")
    world.enroll("web", {"name": "redis", "repository": "redis", "tag": "7"})
    step(world, analyze)
    step(world, observe)
    return world


def test_an_image_that_waits_for_nothing_says_so(web: World) -> None:
    assert "It is up to date: nothing waits." in sentences(web, "web")


def test_an_image_that_cools_down_says_until_when_and_how_long(web: World) -> None:
    web.registry.push_image("library/node", "22", seed="second")
    web.later(hours=1)
    step(web, observe)
    web.later(days=3, minutes=30)

    text = sentences(web, "web")

    assert "eligible 2026-03-08T13:00:00Z, in 3d23h30m" in text
    assert "It would be rebuilt from 2026-03-08T13:00:00Z on, in 3d23h30m: it is cooling down." in text


def test_a_due_image_says_since_when(web: World) -> None:
    web.registry.push_image("library/node", "22", seed="second")
    step(web, observe)
    web.later(days=8)

    assert "eligible since 2026-03-08T12:00:00Z" in sentences(web, "web")
    assert "A rebuild is due." in sentences(web, "web")


def test_a_failed_discovery_says_why(web: World) -> None:
    web.service("web", "FROM node:${NOPE}\n")
    step(web, analyze)

    assert "could not be read whole: web/Dockerfile:1: unresolved-arg" in sentences(web, "web")


def test_a_handed_over_version_is_told(web: World) -> None:
    step(web, analyze, Handover("web", tag="1.4.0", digest=f"sha256:{'c' * 64}"))

    assert "Its current version is 1.4.0 at sha256:cccccccccccc, built 2026-03-01T12:00:00Z." in sentences(web, "web")


def test_an_external_image_is_watched_not_built(web: World) -> None:
    assert "It is watched, not built." in sentences(web, "redis")


def test_a_base_image_tells_its_moves_and_what_is_built_on_it(web: World) -> None:
    web.registry.push_image("library/node", "22", seed="second")
    step(web, observe)

    text = sentences(web, "node-22")

    assert "node-22 is a base image, docker.io/library/node:22." in text
    assert "Built on it: web." in text
    assert "web: cooling-down, from 2026-03-08T12:00:00Z on." in text


def test_an_unknown_name_is_an_error(web: World) -> None:
    with pytest.raises(NotFound):
        sentences(web, "nope")


def test_a_base_whose_state_cannot_be_read_is_named_and_nothing_is_claimed(web: World) -> None:
    (web.root / "state/base-images/node-22.yaml").write_text("name: [\n")

    said = sentences(web, "web")

    assert "  node-22: cannot be told: " in said
    assert "node-22.yaml:2: unreadable state file" in said
    assert said.endswith(
        "Just now nothing can be said of a rebuild: what it is built with cannot be chosen: "
        "of node-22 there is no state file that can be read."
    )


def test_an_image_whose_state_cannot_be_read_is_not_called_unanalyzed(web: World) -> None:
    (web.root / "state/images/web.yaml").write_text("name: [\n")

    with pytest.raises(InvalidState, match="unreadable state file"):
        sentences(web, "web")


def test_an_image_whose_source_was_never_reached_is_not_called_up_to_date(world: World) -> None:
    world.enroll(world.managed("web", source={"repo": "http://127.0.0.1:9/services.git"}))
    step(world, analyze)

    text = sentences(world, "web")

    assert "nothing can be said of a rebuild" in text
    assert "up to date" not in text
