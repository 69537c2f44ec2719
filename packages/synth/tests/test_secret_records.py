from __future__ import annotations

from datetime import timedelta

import pytest

from image_factory_synth.fields import RefusedByKargo
from image_factory_synth.records import ObjectMeta
from image_factory_synth.secret_records import (
    ExternalSecret,
    ExternalSecretSpec,
    ExternalValue,
    RemoteRef,
    SecretTarget,
    SecretTemplate,
    StoreRef,
)
from image_factory_synth.versions import KargoVersion


def external(key: str, places: dict[str, str]) -> ExternalSecret:
    template = SecretTemplate(engine_version="v2", data=places)
    return ExternalSecret(
        metadata=ObjectMeta(name="a", namespace="b"),
        spec=ExternalSecretSpec(
            refresh_interval=timedelta(hours=1),
            store=StoreRef(name="vault", kind="SecretStore"),
            target=SecretTarget(name="a", creation_policy="Owner", deletion_policy="Retain", template=template),
            data=(ExternalValue(secret_key=key, remote=RemoteRef(key="a", property=key)),),
        ),
    )


def test_an_external_secret_is_of_the_version_that_operators_serve() -> None:
    written = external("password", {"password": "{{ .password }}"}).document(KargoVersion(1, 11))

    assert (written["apiVersion"], written["kind"]) == ("external-secrets.io/v1", "ExternalSecret")


def test_a_value_that_the_template_leaves_out_would_be_lost() -> None:
    with pytest.raises(RefusedByKargo, match="password"):
        external("password", {"username": "x"}).document(KargoVersion(1, 11))


def test_a_key_that_kubernetes_refuses_is_refused() -> None:
    with pytest.raises(RefusedByKargo, match="secretKey"):
        external("a b", {"a b": "x"}).document(KargoVersion(1, 11))
