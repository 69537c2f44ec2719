from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from image_factory.model.catalog import BaseImageEntity, EntityMetadata, ManagedImageEntity, entity_ref

SOURCE = {"provider": "github", "repo": "acme/web", "branch": "main", "dockerfile": "Dockerfile"}
POLICY = {"delay": "7d", "delayMode": "aged", "autoRebuild": True, "criticality": "normal"}
MANAGED: dict[str, Any] = {
    "metadata": {"name": "web"},
    "spec": {"lifecycle": "production", "owner": "team-web", "source": SOURCE, "rebuildPolicy": POLICY},
}


def test_an_entity_names_its_version_and_kind() -> None:
    entity = ManagedImageEntity.model_validate(MANAGED)

    assert (entity.api_version, entity.kind, entity.spec.type) == (
        "image-factory.io/v1alpha1",
        "ManagedImage",
        "managed-image",
    )


def test_a_reference_is_in_lower_case_as_backstage_compares_it() -> None:
    assert entity_ref("BaseImage", "Node-22") == "baseimage:default/node-22"


@pytest.mark.parametrize(
    "name",
    ["", "-a", "a-", "a b", "a/b", "a" * 64, "ä"],
    ids=["empty", "a hyphen first", "a hyphen last", "a blank", "a slash", "64 characters", "not ASCII"],
)
def test_a_name_that_backstage_refuses_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        EntityMetadata(name=name)


@pytest.mark.parametrize("key", ["a b", "a/b/c", "Example.com/x", "example.com/", "example..com/x"])
def test_an_annotation_that_backstage_refuses_is_refused(key: str) -> None:
    with pytest.raises(ValidationError):
        EntityMetadata(name="a", annotations={key: "x"})


@pytest.mark.parametrize("ref", ["Team Web", "a:b:c", "group:Default/web", "group:default/", "a" * 64])
def test_what_refers_to_nothing_is_refused(ref: str) -> None:
    upstream = {"registry": "docker.io", "repository": "library/node"}
    with pytest.raises(ValidationError):
        BaseImageEntity.model_validate(
            {"metadata": {"name": "a"}, "spec": {"lifecycle": "production", "owner": ref, "upstream": upstream}}
        )
