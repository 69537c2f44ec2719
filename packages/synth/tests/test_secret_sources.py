from __future__ import annotations

import re
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_factory.errors import Conflict, InvalidSettings
from image_factory.model.settings import KargoSettings
from image_factory_synth.fields import Document
from image_factory_synth.secret_sources import needed_secrets, secret_sources
from image_factory_synth.versions import KargoVersion

EVERYTHING: dict[str, Any] = {
    "stateRepository": "https://github.com/acme/platform.git",
    "registryCredentials": {"ghcr.io": "pull", "registry.example.com:5000": "pull", "quay.io": "quay-pull"},
    "credentials": {"gitlab": {"secret": "gitlab-trigger", "key": "token"}},
    "jobEnvironment": {
        "GITHUB_TOKEN": {"secret": "github-credentials"},
        "LAB": {"secret": "lab-api", "key": "api-key"},
    },
    "webhooks": {"github": "hooks", "gitlab": "hooks"},
}


def settings(**values: Any) -> KargoSettings:
    return KargoSettings.model_validate({**EVERYTHING, **values})


def written(**values: Any) -> dict[str, Document]:
    documents = [resource.document(KargoVersion(1, 11)) for resource in secret_sources(settings(**values))]
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in documents}


def test_every_secret_is_needed_once_whatever_it_is_used_for() -> None:
    assert [(secret.name, secret.type.value, secret.keys) for secret in needed_secrets(settings())] == [
        ("github-credentials", "git", ("password", "username")),
        ("gitlab-trigger", "generic", ("token",)),
        ("hooks", "generic", ("secret", "secret-token")),
        ("lab-api", "generic", ("api-key",)),
        ("pull", "image", ("password", "username")),
        ("quay-pull", "image", ("password", "username")),
    ]


def test_registry_credentials_are_for_the_repositories_of_their_hosts_and_no_others() -> None:
    (pull,) = (secret.repositories for secret in needed_secrets(settings()) if secret.name == "pull")
    assert pull is not None

    assert all(re.search(pull, url) for url in ("ghcr.io/acme/web", "registry.example.com:5000/a"))
    assert not any(re.search(pull, url) for url in ("ghcrXio/acme/web", "evil.io/ghcr.io/acme/web", "quay.io/a/b"))


def test_further_git_hosts_have_secrets_of_their_own_or_share_one() -> None:
    hosts = {"gitlab.example.com": "gitlab-robot", "git.example.com": "github-credentials"}
    found = {secret.name: secret for secret in needed_secrets(settings(sourceCredentials=hosts))}
    lab, shared = found["gitlab-robot"], found["github-credentials"]
    assert lab.repositories is not None
    assert shared.repositories is not None

    assert lab.type.value == "git"
    assert re.search(lab.repositories, "https://gitlab.example.com/acme/web.git")
    assert not re.search(lab.repositories, "https://gitlabXexample.com/acme/web.git")
    for url in ("https://git.example.com/acme/web.git", "https://github.com/acme/platform.git"):
        assert re.search(shared.repositories, url)
    assert not re.search(shared.repositories, "https://gitlab.example.com/acme/web.git")


HOSTS = st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9](\.[a-z]{2,4}){1,2}(:[1-9][0-9]{1,3})?", fullmatch=True)


@hypothesis.settings(deadline=None, max_examples=50)
@given(
    named=st.dictionaries(HOSTS, st.sampled_from(["one", "two", "three"]), min_size=1, max_size=5),
    other=HOSTS,
    path=st.sampled_from(["acme/web", "a", "a/b/c"]),
)
def test_a_registry_s_credentials_go_to_it_and_to_no_other(named: dict[str, str], other: str, path: str) -> None:
    given_for = KargoSettings.model_validate({"registryCredentials": named}).registry_credentials
    patterns = {
        secret.name: secret.repositories or ""
        for secret in needed_secrets(settings(registryCredentials=named))
        if secret.name in named.values()
    }

    for host, name in given_for.items():
        assert [each for each in patterns if re.search(patterns[each], f"{host}/{path}")] == [name]
    if other not in given_for:
        assert not any(re.search(pattern, f"{other}/{path}") for pattern in patterns.values())
        assert not any(re.search(pattern, f"{other}/{host}/{path}") for pattern in patterns.values() for host in named)


def test_one_secret_cannot_be_of_two_types() -> None:
    with pytest.raises(Conflict, match="'github-credentials' is named for git and for image"):
        needed_secrets(settings(registryCredentials={"ghcr.io": "github-credentials"}))
    with pytest.raises(Conflict, match="'quay-pull' is named for image and for pull"):
        needed_secrets(settings(jobs={"pullSecrets": ["quay-pull"]}))


def test_nobody_brings_them_unasked() -> None:
    assert secret_sources(settings()) == ()


def test_an_external_secret_has_kargos_label_and_places_for_the_values() -> None:
    found = written(externalSecrets={"store": "vault", "prefix": "kargo/", "remoteKeys": {"pull": "robots/pull"}})

    assert list(found) == [f"ExternalSecret/{secret.name}" for secret in needed_secrets(settings())]
    git, hooks, pull = (found[f"ExternalSecret/{name}"]["spec"] for name in ("github-credentials", "hooks", "pull"))
    assert (git["refreshInterval"], git["secretStoreRef"]) == (
        "1h0m0s",
        {"name": "vault", "kind": "ClusterSecretStore"},
    )
    assert git["target"]["template"]["metadata"]["labels"]["kargo.akuity.io/cred-type"] == "git"
    assert git["target"]["template"]["data"] == {
        "password": "{{ .password }}",
        "username": "{{ .username }}",
        "repoURL": r"^https://github\.com/.+$",
        "repoURLIsRegex": "true",
    }
    assert git["data"][0] == {
        "secretKey": "password",
        "remoteRef": {"key": "kargo/github-credentials", "property": "password"},
    }
    assert hooks["target"]["template"]["data"] == {
        "secret": "{{ .secret }}",
        "secret-token": '{{ index . "secret-token" }}',
    }
    assert {value["remoteRef"]["key"] for value in pull["data"]} == {"robots/pull"}


def test_what_pulls_the_jobs_image_is_of_kubernetes_own_type() -> None:
    found = written(externalSecrets={"store": "vault"}, jobs={"pullSecrets": ["job-pull"]})

    template = found["ExternalSecret/job-pull"]["spec"]["target"]["template"]
    assert template == {
        "engineVersion": "v2",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"labels": {"app.kubernetes.io/managed-by": "image-factory"}},
        "data": {".dockerconfigjson": '{{ index . ".dockerconfigjson" }}'},
    }


def test_what_gits_credentials_are_for_can_be_said() -> None:
    pattern = r"^https://github\.com/acme/.+$"

    found = written(externalSecrets={"store": "vault", "gitRepositories": pattern})

    assert found["ExternalSecret/github-credentials"]["spec"]["target"]["template"]["data"]["repoURL"] == pattern


def test_credentials_for_nobody_knows_what_are_an_error() -> None:
    with pytest.raises(InvalidSettings, match="github-credentials") as caught:
        written(stateRepository=None, externalSecrets={"store": "vault"})

    assert "gitRepositories" in caught.value.hint


def test_kyverno_copies_each_secret_and_may_do_so() -> None:
    found = written(kyverno={"sourceNamespace": "platform"})
    role, policy = found["ClusterRole/image-factory-kargo-secrets"], found["ClusterPolicy/image-factory-kargo-secrets"]

    assert role["metadata"]["labels"]["rbac.kyverno.io/aggregate-to-background-controller"] == "true"
    assert role["rules"] == [
        {
            "apiGroups": [""],
            "resources": ["secrets"],
            "verbs": ["get", "list", "watch", "create", "update", "delete"],
        }
    ]
    rules = policy["spec"]["rules"]
    assert [rule["generate"]["name"] for rule in rules] == [secret.name for secret in needed_secrets(settings())]
    assert rules[0] == {
        "name": "clone-github-credentials",
        "match": {"any": [{"resources": {"kinds": ["Namespace"], "names": ["image-factory-kargo"]}}]},
        "generate": {
            "generateExisting": True,
            "synchronize": True,
            "apiVersion": "v1",
            "kind": "Secret",
            "name": "github-credentials",
            "namespace": "image-factory-kargo",
            "clone": {"namespace": "platform", "name": "github-credentials"},
        },
    }


def test_kyverno_that_may_copy_already_is_given_nothing() -> None:
    assert list(written(kyverno={"sourceNamespace": "platform", "clusterRole": False})) == [
        "ClusterPolicy/image-factory-kargo-secrets"
    ]


def test_kyverno_cannot_copy_a_secret_onto_itself() -> None:
    with pytest.raises(InvalidSettings, match="sourceNamespace"):
        written(kyverno={"sourceNamespace": "image-factory-kargo"})
