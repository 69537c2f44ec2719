"""Kargo takes what stands before all images: the Project, its policies and its receivers of webhooks."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from tests.kargo.judge import Judge

pytest.importorskip("image_factory_synth", reason="image-factory-synth is not installed")

from image_factory.model.cluster import CatalogSettings, Sender
from image_factory.model.enrollment import Enrollment
from image_factory.model.settings import KargoSettings
from image_factory_synth.catalog import Known, catalog
from image_factory_synth.infrastructure import infrastructure
from image_factory_synth.project_records import ProjectConfig, ProjectConfigSpec
from image_factory_synth.receiver_records import Receiver, SecretRef, Sent
from image_factory_synth.records import ObjectMeta
from image_factory_synth.versions import KargoVersion

V11 = KargoVersion(1, 11)
OTHERS = ("ExternalSecret", "ClusterPolicy")
"""Of other projects, whose definitions Kargo does not have."""


def written(**settings: Any) -> list[dict[str, Any]]:
    given = {"stateRepository": "https://git.example.com/acme/state.git", **settings}
    return [resource.document(V11) for resource in infrastructure(KargoSettings.model_validate(given))]


@pytest.mark.parametrize("sender", get_args(Sender))
def test_a_receiver_of_each_sender_is_taken(judge: Judge, sender: str) -> None:
    namespace, *documents = written(webhooks={sender: "hook"})

    assert [judge.validate(each, [namespace]) for each in documents] == [[]] * len(documents)


def test_all_receivers_together_are_taken_with_what_brings_their_secrets(judge: Judge) -> None:
    every = dict.fromkeys(get_args(Sender), "hook")
    documents = written(
        webhooks=every, externalSecrets={"store": "vault"}, kyverno={"sourceNamespace": "platform"}, namespace="factory"
    )

    assert {each["kind"] for each in documents} >= {"ClusterRole", *OTHERS}
    for each in documents:
        if each["kind"] not in OTHERS:
            assert judge.validate(each, documents[:1]) == []


def test_two_receivers_of_one_name_are_refused_and_never_written(judge: Judge) -> None:
    twice = Receiver(name="github", github=Sent(secret=SecretRef(name="hook")))
    config = ProjectConfig(
        metadata=ObjectMeta(name="image-factory-kargo", namespace="image-factory-kargo"),
        spec=ProjectConfigSpec(webhook_receivers=(twice, twice)),
    )

    assert judge.validate(config.document(V11), written()[:1]) != []
    (found,) = (each for each in written(webhooks={"github": "a", "gitlab": "a"}) if each["kind"] == "ProjectConfig")
    names = [receiver["name"] for receiver in found["spec"]["webhookReceivers"]]
    assert len(set(names)) == len(names)


def test_a_config_map_of_the_catalog_is_one_to_kubernetes(judge: Judge) -> None:

    entry = Enrollment.model_validate(
        {"name": "web", "registry": "ghcr.io", "repository": "acme/web", "source": {"repo": "acme/web"}}
    )
    ((_, document),) = catalog(Known(enrollments=(entry,), images={}, bases={}, requests={}), CatalogSettings())

    assert judge.validate(document, written()[:1]) == []
