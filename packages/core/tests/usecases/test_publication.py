"""What a build published is found at its registry with few questions. (How it is chosen: decide/test_settlement.)"""

from __future__ import annotations

from typing import Any

import pytest

from image_factory.decide.settlement import REQUEST_ID_LABEL
from image_factory.errors import RemoteError
from image_factory.model.request import RebuildRequest
from image_factory.testing.image_content import build_image
from image_factory.usecases.publication import MAX_LOOKED_AT, MAX_RESOLVED, find_publication
from image_factory.usecases.workflow import managed_enrollment


@pytest.fixture
def bench(world: Any) -> Any:
    world.enroll("web")
    return world.bench()


def find(bench: Any, world: Any) -> Any:
    request = RebuildRequest(name="web", request_id="r1", requested_at=world.now, reason="due")
    return find_publication(bench, managed_enrollment(bench, "web"), None, request, world.now)


def test_an_image_that_was_never_published_has_nothing(bench: Any, world: Any) -> None:
    assert find(bench, world) is None


def test_an_image_without_a_record_is_known_by_the_label(bench: Any, world: Any) -> None:
    world.registry.push("acme/web", ["9.0.0"], build_image(seed="old"))
    mine = world.registry.push("acme/web", ["0.0.1"], build_image(seed="new", labels={REQUEST_ID_LABEL: "r1"}))

    found = find(bench, world)

    assert (found.digest, found.version) == (str(mine), "0.0.1")


def test_tags_of_one_digest_are_read_once(bench: Any, world: Any) -> None:
    world.registry.push("acme/web", ["1.0.0", "1.0", "1", "latest"], build_image(seed="one"))

    found = find(bench, world)

    assert found.version == "1.0.0"
    assert world.registry.count("GET", "acme/web/blobs") <= 2


def test_the_questions_are_bounded(bench: Any, world: Any) -> None:
    for number in range(MAX_LOOKED_AT + 20):
        world.registry.push("acme/web", [f"build-{number}"], build_image(seed=str(number)))

    find(bench, world)

    assert world.registry.count("HEAD", "acme/web/manifests") <= MAX_RESOLVED
    assert world.registry.count("GET", "acme/web/blobs") <= 2 * MAX_LOOKED_AT


def test_what_is_no_image_has_no_labels_and_stops_nothing(bench: Any, world: Any) -> None:
    subject = world.registry.push("acme/web", ["0.0.1"], build_image(seed="one"))
    world.registry.push_referrer("acme/web", subject, artifact_type="application/vnd.example")

    assert find(bench, world).digest == str(subject)


def test_a_registry_that_refuses_is_an_error(bench: Any, world: Any) -> None:
    world.registry.fail_next(403, times=9)

    with pytest.raises(RemoteError):
        find(bench, world)
