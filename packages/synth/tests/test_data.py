from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from image_factory.decide.discovery import base_configuration
from image_factory.errors import Conflict
from image_factory.model.enrollment import Enrollment, SelectionStrategy
from image_factory.model.image_state import (
    BaseHistory,
    BaseState,
    ImageConfiguration,
    ImageHistory,
    ImageRuntime,
    ImageState,
)
from image_factory.oci.reference import Reference
from image_factory_synth.data import ANY_TAG, Role, merge

AT = datetime(2026, 3, 1, tzinfo=UTC)


def managed(name: str, **values: Any) -> Enrollment:
    return Enrollment.model_validate(
        {
            "name": name,
            "registry": "ghcr.io",
            "repository": f"acme/{name}",
            "source": {"repo": f"acme/{name}"},
            **values,
        }
    )


def external(name: str, **values: Any) -> Enrollment:
    return Enrollment.model_validate({"name": name, "repository": f"library/{name}", **values})


def state(entry: Enrollment, **runtime: Any) -> ImageState:
    return ImageState(
        configuration=ImageConfiguration(name=entry.name, enrollment=entry),
        runtime=ImageRuntime(**runtime),
        history=ImageHistory(enrolled_at=AT),
    )


def base(name: str, reference: str) -> BaseState:
    return BaseState(
        configuration=base_configuration(name, Reference.parse(reference)), history=BaseHistory(first_discovered=AT)
    )


def test_an_image_enrolled_a_moment_ago_is_there_without_state() -> None:
    inventory = merge([managed("web"), external("postgres", tag="16-alpine")], [], [])

    assert [(image.name, image.current_version) for image in inventory.managed] == [("web", None)]
    assert [(image.name, image.role, image.repo_url) for image in inventory.watched] == [
        ("postgres", Role.EXTERNAL, "docker.io/library/postgres")
    ]


def test_images_yaml_wins_for_what_is_asked_and_state_for_what_was_seen() -> None:
    old = managed("web", repository="acme/old")

    (image,) = merge([managed("web", repository="acme/new")], [state(old, current_version="1.2.3")], []).managed

    assert (image.repo_url, image.current_version, image.known_since) == ("ghcr.io/acme/new", "1.2.3", AT)


def test_an_image_gone_from_images_yaml_is_gone_although_its_file_lingers() -> None:
    gone = managed("uv")

    assert merge([], [state(gone, current_version="1.0.0")], []).managed == ()


def test_an_external_image_that_became_managed_is_managed_only() -> None:
    inventory = merge([managed("web")], [state(external("web", tag="1"))], [])

    assert (len(inventory.managed), len(inventory.watched)) == (1, 0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param({"allowTags": "^16$", "tag": "17"}, "^16$", id="what is written"),
        pytest.param({"tag": "3.12-slim"}, r"^3\.12-slim$", id="the tag alone, escaped once"),
        pytest.param({"constraint": "^7"}, ANY_TAG, id="any, where a range limits"),
        pytest.param({}, None, id="none"),
    ],
)
def test_the_allowed_tags_of_an_external_image(values: dict[str, Any], expected: str | None) -> None:
    (image,) = merge([external("postgres", **values)], [], []).watched

    assert image.allow_tags == expected


def test_a_base_image_keeps_its_states_fields() -> None:
    (image,) = merge([], [], [base("node-22", "node:22")]).watched

    assert (image.role, image.repo_url, image.allow_tags, image.strategy, image.tag, image.known_since) == (
        Role.BASE,
        "docker.io/library/node",
        "^22$",
        SelectionStrategy.DIGEST,
        "22",
        AT,
    )


def test_parts_are_sorted_whatever_order_they_come_in() -> None:
    entries = [managed("b"), external("d", tag="1"), managed("a"), external("c", tag="1")]

    inventory = merge(entries, [], [base("f", "f:1"), base("e", "e:1")])

    assert [image.name for image in inventory.managed] == ["a", "b"]
    assert [image.name for image in inventory.watched] == ["c", "d", "e", "f"]


def test_one_name_for_two_kinds_is_an_error_that_names_both() -> None:
    with pytest.raises(Conflict) as caught:
        merge(
            [managed("alpine"), external("redis", tag="7")], [], [base("alpine", "alpine:3"), base("redis", "redis:7")]
        )

    assert "'alpine' is managed ghcr.io/acme/alpine and base docker.io/library/alpine:3" in caught.value.message
    assert "'redis' is external docker.io/library/redis and base docker.io/library/redis:7" in caught.value.message


@pytest.mark.parametrize(
    ("asked", "gated"), [({}, False), ({"policy": {}}, True), ({"verification": {"signed": True}}, True)]
)
def test_an_image_that_asks_for_a_verification_or_a_policy_is_gated(asked: dict[str, Any], gated: bool) -> None:
    (image,) = merge([managed("web", **asked)], [], []).managed

    assert image.is_gated == gated
