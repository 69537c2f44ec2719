from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("jsonschema", reason="jsonschema is not installed: pip install 'image-factory-synth[validate]'")

from jsonschema import Draft7Validator

from image_factory.decide.discovery import base_configuration
from image_factory.model.cluster import CatalogSettings
from image_factory.model.enrollment import Enrollment
from image_factory.model.image_state import (
    BaseHistory,
    BaseRuntime,
    BaseState,
    DiscoveryStatus,
    ImageConfiguration,
    ImageHistory,
    ImageRuntime,
    ImageState,
)
from image_factory.model.request import RebuildRequest, RequestStatus
from image_factory.oci.reference import Reference
from image_factory.ports import SourceRepository
from image_factory.usecases.schema import catalog_schemas
from image_factory_synth.catalog import Known, catalog

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OLD, NEW = (f"sha256:{digit * 64}" for digit in "01")
WEB: dict[str, Any] = {
    "name": "web",
    "registry": "ghcr.io",
    "repository": "acme/web",
    "source": {"repo": "acme/web", "dockerfile": "apps/web/Dockerfile"},
    "metadata": {"title": "Web", "description": "The shop's\nfront end", "owner": "team-web", "system": "shop"},
}
REDIS: dict[str, Any] = {"name": "redis", "repository": "library/redis", "tag": "7.2"}
SCHEMAS = {schema["title"]: Draft7Validator(schema) for schema in catalog_schemas().values()}


def enrollment(values: dict[str, Any]) -> Enrollment:
    return Enrollment.model_validate(values)


def state(values: dict[str, Any], bases: tuple[str, ...] = (), **runtime: Any) -> ImageState:
    entry = enrollment(values)
    return ImageState(
        configuration=ImageConfiguration(name=entry.name, enrollment=entry, base_images=bases),
        runtime=ImageRuntime(**runtime),
        history=ImageHistory(enrolled_at=NOW),
    )


def base(name: str, reference: str, *, managed_by: str | None = None, **runtime: Any) -> BaseState:
    configured = base_configuration(name, Reference.parse(reference)).model_copy(update={"managed_by": managed_by})
    return BaseState(
        configuration=configured, runtime=BaseRuntime(**runtime), history=BaseHistory(first_discovered=NOW)
    )


def known(
    *enrolled: dict[str, Any],
    images: tuple[ImageState, ...] = (),
    bases: tuple[BaseState, ...] = (),
    requests: tuple[RebuildRequest, ...] = (),
) -> Known:
    return Known(
        enrollments=tuple(enrollment(each) for each in enrolled),
        images={each.name: each for each in images},
        bases={each.name: each for each in bases},
        requests={each.name: each for each in requests},
    )


class GitHub:
    """A source that a portal has pages for."""

    def catalog_annotations(self, repository: SourceRepository, workflow: str) -> Mapping[str, str]:
        return {"github.com/project-slug": repository.path, "github.com/workflows": workflow}


class Plugins:
    def source_named(self, provider: str) -> Any:
        return GitHub() if provider == "github" else object()


def shown(of: Known, catalog_settings: CatalogSettings | None = None) -> dict[str, dict[str, Any]]:
    """The entities by name, as a portal's provider reads them from the ConfigMaps; each fits its schema."""
    found = {}
    for _, document in catalog(of, catalog_settings or CatalogSettings(), Plugins()):
        assert list(document["data"]) == ["catalog"]
        entity = yaml.safe_load(document["data"]["catalog"])
        assert [error.message for error in SCHEMAS[entity["kind"]].iter_errors(entity)] == []
        found[entity["metadata"]["name"]] = entity
    return found


def annotated(entity: dict[str, Any]) -> dict[str, str]:
    return {key.removeprefix("image-factory.io/"): value for key, value in entity["metadata"]["annotations"].items()}


def test_each_image_is_a_config_map_that_the_portal_finds_by_its_label() -> None:
    documents = [
        document for _, document in catalog(known(WEB, REDIS, bases=(base("node-22", "node:22"),)), CatalogSettings())
    ]

    assert [(one["kind"], one["metadata"]["name"], one["metadata"]["namespace"]) for one in documents] == [
        ("ConfigMap", "image-factory-web", "backstage"),
        ("ConfigMap", "image-factory-redis", "backstage"),
        ("ConfigMap", "image-factory-node-22", "backstage"),
    ]
    assert all(one["metadata"]["labels"]["eda.io/backstage-catalog"] == "true" for one in documents)


def test_namespace_labels_owner_and_lifecycle_are_settings() -> None:
    chosen = CatalogSettings.model_validate(
        {"namespace": "portal", "labels": {"example.com/c": "1"}, "owner": "platform", "lifecycle": "experimental"}
    )
    plain = {**WEB, "metadata": None}

    ((_, document),) = catalog(known(plain), chosen)

    assert document["metadata"]["namespace"] == "portal"
    assert document["metadata"]["labels"]["example.com/c"] == "1"
    assert "eda.io/backstage-catalog" not in document["metadata"]["labels"]
    spec = yaml.safe_load(document["data"]["catalog"])["spec"]
    assert (spec["owner"], spec["lifecycle"]) == ("platform", "experimental")


def test_a_managed_image_says_where_it_is_from_and_when_it_is_rebuilt() -> None:
    entity = shown(known(WEB))["web"]

    assert (entity["apiVersion"], entity["kind"]) == ("image-factory.io/v1alpha1", "ManagedImage")
    assert entity["metadata"]["title"] == "Web"
    assert entity["metadata"]["description"] == "The shop's front end"
    assert entity["spec"] == {
        "type": "managed-image",
        "lifecycle": "production",
        "owner": "team-web",
        "system": "shop",
        "source": {
            "provider": "github",
            "repo": "acme/web",
            "branch": "main",
            "dockerfile": "apps/web/Dockerfile",
            "workflow": "web.yml",
        },
        "rebuildPolicy": {"delay": "7d", "delayMode": "aged", "autoRebuild": True, "criticality": "normal"},
        "dependsOn": [],
        "dependents": [],
    }


def test_all_that_was_observed_of_a_managed_image_is_an_annotation() -> None:
    observed = state(
        WEB,
        ("node-22",),
        current_version="1.2.3",
        current_digest=NEW,
        previous_digest=OLD,
        last_built=NOW,
        last_updated=NOW,
        last_discovery=NOW,
        discovery_status=DiscoveryStatus.SUCCESS,
    )
    node = base("node-22", "node:22", rebuild_eligible_at={"default": NOW, "web": NOW})

    assert annotated(shown(known(WEB, images=(observed,), bases=(node,)))["web"]) == {
        "registry": "ghcr.io",
        "repository": "acme/web",
        "tag": "1.2.3",
        "digest": NEW,
        "previous-digest": OLD,
        "last-built": "2026-01-02T03:04:05Z",
        "last-updated": "2026-01-02T03:04:05Z",
        "rebuild-status": "pending",
        "rebuild-eligible-at": "2026-01-02T03:04:05Z",
        "enrolled-at": "2026-01-02T03:04:05Z",
        "discovery-status": "success",
        "last-discovery": "2026-01-02T03:04:05Z",
        "github.com/project-slug": "acme/web",
        "github.com/workflows": "web.yml",
    }


def test_a_provider_without_pages_in_the_portal_has_no_annotations() -> None:
    entity = shown(known({**WEB, "source": {"provider": "gitlab", "repo": "acme/web"}}))["web"]

    assert not any(key.startswith("github.com") for key in entity["metadata"]["annotations"])
    assert "workflow" not in entity["spec"]["source"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (RequestStatus.NEEDS_APPROVAL, "pending"),
        (RequestStatus.REQUESTED, "pending"),
        (RequestStatus.DISPATCHING, "rebuilding"),
        (RequestStatus.DISPATCHED, "rebuilding"),
        (RequestStatus.FAILED, "failed"),
        (RequestStatus.TIMED_OUT, "failed"),
        (RequestStatus.SUCCEEDED, "up-to-date"),
        (RequestStatus.CANCELLED, "up-to-date"),
    ],
)
def test_how_an_image_stands_follows_from_its_request(status: RequestStatus, expected: str) -> None:
    request = RebuildRequest(name="web", request_id="r", status=status, requested_at=NOW, reason="due")

    assert annotated(shown(known(WEB, requests=(request,)))["web"])["rebuild-status"] == expected


def test_relations_stand_on_both_sides() -> None:
    api = {**WEB, "name": "api", "repository": "acme/api"}
    found = shown(
        known(
            WEB,
            api,
            images=(state(WEB, ("node-22",)), state(api, ("acme-web",))),
            bases=(base("node-22", "node:22"), base("acme-web", "ghcr.io/acme/web:1", managed_by="web")),
        )
    )

    assert found["web"]["spec"]["dependsOn"] == ["baseimage:default/node-22"]
    assert found["node-22"]["spec"]["dependents"] == ["managedimage:default/web"]
    assert found["api"]["spec"]["dependsOn"] == ["managedimage:default/web"]
    assert found["web"]["spec"]["dependents"] == ["managedimage:default/api"]
    assert "acme-web" not in found, "what a managed image publishes is that image"


def test_what_is_gone_from_images_yaml_is_gone_from_the_catalog() -> None:
    found = shown(known(images=(state(WEB, ("node-22",)),), bases=(base("node-22", "node:22"),)))

    assert list(found) == ["node-22"]
    assert found["node-22"]["spec"]["dependents"] == []


def test_a_base_image_says_where_it_comes_from_and_what_was_seen_of_it() -> None:
    node = base(
        "node-22",
        "node:22",
        current_digest=NEW,
        previous_digest=OLD,
        last_updated=NOW,
        rebuild_eligible_at={"default": NOW},
    )

    entity = shown(known(bases=(node,)))["node-22"]

    assert entity["kind"] == "BaseImage"
    assert entity["spec"] == {
        "type": "base-image",
        "lifecycle": "production",
        "owner": "upstream",
        "upstream": {"registry": "docker.io", "repository": "library/node", "tag": "22"},
        "dependents": [],
    }
    assert annotated(entity) == {
        "registry": "docker.io",
        "repository": "library/node",
        "tag": "22",
        "digest": NEW,
        "previous-digest": OLD,
        "last-updated": "2026-01-02T03:04:05Z",
        "rebuild-eligible-at": "2026-01-02T03:04:05Z",
        "enrolled-at": "2026-01-02T03:04:05Z",
        "discovery-status": "success",
    }


def test_an_external_image_is_a_base_image_that_is_upstreams() -> None:
    entity = shown(known(REDIS))["redis"]

    assert (entity["kind"], entity["spec"]["owner"]) == ("BaseImage", "upstream")
    assert entity["spec"]["upstream"] == {"registry": "docker.io", "repository": "library/redis", "tag": "7.2"}
    assert annotated(entity)["discovery-status"] == "pending"


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        ("Team Web", "Team-Web"),
        ("group:default/web", "group:default/web"),
        ("web@example.com", "web-example.com"),
        ("!!!", "unknown"),
        ("ÄÖ", "unknown"),
        ("a" * 80, "a" * 63),
    ],
)
def test_an_owner_that_backstage_would_refuse_becomes_one_that_it_takes(owner: str, expected: str) -> None:
    assert shown(known({**WEB, "metadata": {"owner": owner}}))["web"]["spec"]["owner"] == expected


# What Backstage's own policies ask of an entity (catalog-model: FieldFormatEntityPolicy, KubernetesValidatorFunctions).
NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]", re.ASCII)
TEXT = st.text(max_size=90).filter(lambda text: "${" not in text and all(c.isprintable() or c in "\n\t" for c in text))


@settings(deadline=None, max_examples=60)
@given(
    name=st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True),
    title=TEXT,
    description=TEXT,
    owner=TEXT,
    system=TEXT,
    lifecycle=TEXT,
)
def test_whatever_people_write_backstage_takes_it(name: str, **about: str) -> None:
    entity = shown(known({**WEB, "name": name, "metadata": about}))[name]

    assert NAME.fullmatch(entity["metadata"]["name"])
    assert len(entity["metadata"]["name"]) <= 63
    for key, value in entity["metadata"]["annotations"].items():
        prefix, _, suffix = key.rpartition("/")
        assert re.fullmatch(r"[a-z0-9]+([.-][a-z0-9]+)*", prefix)
        assert NAME.fullmatch(suffix)
        assert len(suffix) <= 63
        assert isinstance(value, str)
    for field in ("title", "description"):
        assert "\n" not in entity["metadata"].get(field, "")
        assert entity["metadata"].get(field) == (" ".join(about[field].split()) or None)
