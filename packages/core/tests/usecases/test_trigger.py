"""What a provider is called with for a request: the request's own digests, under the workflow's names."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from image_factory.errors import RemoteNotFound, Unavailable
from image_factory.model.request import PinnedDigest, RebuildCause, RebuildRequest
from image_factory.ports import SecretHeader, TriggerCall
from image_factory.testing.builds import Builds
from image_factory.usecases.analyze import analyze
from image_factory.usecases.trigger import call_to_json, new_request_id, prepare_build
from image_factory.usecases.workflow import managed_enrollment

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DIGEST = f"sha256:{'d' * 64}"


@pytest.fixture
def builds(world: Any) -> Builds:
    """A managed image on one base, analyzed."""
    builds = Builds()
    world.plugins = {"builds": builds.plugin()}
    world.service("web", "FROM alpine:3.22\n")
    world.enroll("web")
    bench = world.bench()
    bench.store.apply(analyze(bench).changes)
    return builds


def prepared(world: Any, *, is_rehearsal: bool = False, **fields: Any) -> Any:
    bench = world.bench()
    pinned = PinnedDigest(reference="docker.io/library/alpine:3.22", digest=DIGEST, role="final")
    request = RebuildRequest(
        name="web", request_id="r1", requested_at=NOW, reason="due", digests=(pinned,),
        causes=(RebuildCause(base="alpine-3-22", to=DIGEST),), **fields,
    )  # fmt: skip
    state = bench.store.images().records["web"]
    return prepare_build(bench, request, managed_enrollment(bench, "web"), state, is_rehearsal=is_rehearsal)


def test_the_build_is_told_the_request_s_id_digests_and_what_moved(world: Any, builds: Builds) -> None:
    asked = prepared(world, version_bump="minor").request

    assert asked.request_id == asked.inputs["request_id"] == "r1"
    assert json.loads(asked.inputs["base_images"]) == [
        {"reference": "docker.io/library/alpine:3.22", "digest": DIGEST, "role": "final"}
    ]
    assert asked.inputs["base_image"] == "docker.io/library/alpine:3.22"
    assert (asked.inputs["version_bump"], asked.inputs["image"]) == ("minor", "web")


@pytest.mark.parametrize(
    ("triggered_by", "told"),
    [
        pytest.param("policy", "image-factory", id="by policy"),
        pytest.param("cli", "image-factory rebuild", id="by a person"),
        pytest.param("emergency", "image-factory emergency", id="in an emergency"),
    ],
)
def test_the_build_is_told_who_wanted_it(world: Any, builds: Builds, triggered_by: str, told: str) -> None:
    assert prepared(world, triggered_by=triggered_by).request.inputs["triggered_by"] == told


def test_an_undeclared_input_is_left_out_and_named(world: Any, builds: Builds) -> None:
    builds.declared = frozenset({"request_id", "base_images"})

    found = prepared(world)

    assert set(found.request.inputs) == {"request_id", "base_images"}
    assert ["'version_bump'" in str(each) or "'triggered_by'" in str(each) for each in found.warnings] == [True] * 2


def test_an_input_takes_the_name_that_the_enrollment_gives_it(world: Any, builds: Builds) -> None:
    world.enroll(world.managed("web", source={"inputs": {"request_id": "ID", "base_images": "BASES"}}))
    builds.declared = frozenset({"ID", "BASES"})

    assert set(prepared(world).request.inputs) == {"ID", "BASES"}


def test_the_workflow_is_the_image_s_name_where_none_is_given(world: Any, builds: Builds) -> None:
    assert prepared(world).request.workflow == "web.yml"


def test_where_the_declared_inputs_cannot_be_read_a_rehearsal_goes_on(world: Any, builds: Builds) -> None:
    builds.fail("declared_inputs", Unavailable("no answer"), times=2)

    (warning,) = prepared(world, is_rehearsal=True).warnings

    assert "so all are shown: no answer" in str(warning)
    with pytest.raises(Unavailable):
        prepared(world)


def test_a_workflow_that_is_missing_comes_with_the_command_that_writes_it(world: Any, builds: Builds) -> None:
    builds.fail("declared_inputs", RemoteNotFound("no web.yml"))

    with pytest.raises(RemoteNotFound) as caught:
        prepared(world)

    assert "image-factory workflow web" in caught.value.hint


def test_a_request_id_is_new_each_time_and_names_the_image() -> None:
    assert new_request_id("web", NOW).startswith("web-20260301T120000Z-")
    assert len({new_request_id("web", NOW) for _ in range(100)}) == 100


def test_a_call_is_shown_with_its_secret_redacted_wherever_it_goes() -> None:
    in_body = TriggerCall("POST", "https://x", {}, {"ref": "main"}, None, "token", (201,))
    in_header = TriggerCall("POST", "https://x", {}, {}, SecretHeader("Authorization", "Bearer "), None, (204,))

    assert call_to_json(in_body)["json"] == {"ref": "main", "token": "••••••"}
    assert call_to_json(in_header)["headers"] == {"Authorization": "Bearer ••••••"}
