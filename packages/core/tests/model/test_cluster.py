from __future__ import annotations

import pytest
from pydantic import ValidationError

from image_factory.model.cluster import SecretSettings
from image_factory.model.settings import KargoSettings


def test_a_secrets_key_is_password_where_none_is_given() -> None:
    assert SecretSettings.model_validate({"secret": "robot"}).key == "password"


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({}, id="no name"),
        pytest.param({"secret": "Robot"}, id="a name that Kubernetes refuses"),
        pytest.param({"secret": "robot", "key": ""}, id="an empty key"),
        pytest.param({"secret": "robot", "key": "a/b"}, id="a key that Kubernetes refuses"),
        pytest.param({"secret": "robot", "key": "a\n"}, id="a key of two lines"),
    ],
)
def test_what_names_no_key_of_a_secret_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        SecretSettings.model_validate(values)


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "A=B", "Ä"])
def test_a_variable_has_a_name_that_a_shell_could_read(name: str) -> None:
    with pytest.raises(ValidationError):
        KargoSettings.model_validate({"jobEnvironment": {name: {"secret": "robot"}}})


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"webhooks": {"githup": "hook"}}, id="a sender that Kargo does not know"),
        pytest.param({"registryCredentials": {"https://ghcr.io": "pull"}}, id="a registry by its URL"),
        pytest.param({"externalSecrets": {}}, id="External Secrets without a store"),
        pytest.param({"externalSecrets": {"store": "a", "storeKind": "Vault"}}, id="a store of no known kind"),
        pytest.param({"externalSecrets": {"store": "a", "prefix": "{{ x }}"}}, id="a prefix that is a template"),
        pytest.param({"kyverno": {"sourceNamespace": "A"}}, id="a namespace that Kubernetes refuses"),
    ],
)
def test_a_setting_of_the_cluster_that_cannot_be_used_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        KargoSettings.model_validate(values)
