"""What brings the Secrets that settings name: manifests for External Secrets or for Kyverno. Pure.

Both are asked for by a setting, and hold names, labels and repositories only: the values come from a
store, or from another namespace.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from image_factory.errors import Conflict, InvalidSettings
from image_factory.model.cluster import ExternalSecretsSettings, KyvernoSettings
from image_factory.model.settings import KargoSettings
from image_factory_synth.credentials import PASSWORD
from image_factory_synth.job_records import PolicyRule
from image_factory_synth.receivers import SECRET_KEYS
from image_factory_synth.records import MANAGED_BY, ObjectMeta, Resource, short_name
from image_factory_synth.secret_records import (
    Clone,
    ClusterPolicy,
    ClusterPolicySpec,
    ClusterRole,
    ExternalSecret,
    ExternalSecretSpec,
    ExternalValue,
    Filter,
    Generate,
    GenerateRule,
    Match,
    MatchedResources,
    RemoteRef,
    SecretTarget,
    SecretTemplate,
    StoreRef,
    TemplateMeta,
)

CREDENTIAL_LABEL = "kargo.akuity.io/cred-type"
PULL_KEY = ".dockerconfigjson"
PULL_TYPE = "kubernetes.io/dockerconfigjson"
"""What Kubernetes takes to pull a job's own image."""
USERNAME = "username"
_MEMBER = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_COPIERS = {f"rbac.kyverno.io/aggregate-to-{each}-controller": "true" for each in ("admission", "background")}
"""Labels by which Kyverno's own ClusterRoles take a rule in."""


class CredentialType(StrEnum):
    """What Kargo takes a Secret for, in its words."""

    GIT = "git"
    IMAGE = "image"
    GENERIC = "generic"
    PULL = "pull"
    """None of Kargo's: the kubelet's."""


@dataclass(frozen=True, slots=True)
class NeededSecret:
    """A Secret that something of ours reads."""

    name: str
    type: CredentialType
    keys: tuple[str, ...]
    """Sorted."""
    repositories: str | None = None
    """A pattern of the repositories that Kargo uses it for."""


def needed_secrets(settings: KargoSettings) -> tuple[NeededSecret, ...]:
    """Return every Secret that settings name, sorted, each once whatever it is used for.

    Raises:
        Conflict: one is to be of two types, which its one label cannot say.
    """
    found: dict[str, list[NeededSecret]] = {}
    for secret in _uses(settings):
        found.setdefault(secret.name, []).append(secret)
    return tuple(_joined(name, uses) for name, uses in sorted(found.items()))


def secret_sources(settings: KargoSettings) -> tuple[Resource, ...]:
    """Return what brings the Secrets; nothing where no setting says who is to.

    Raises:
        Conflict: as `needed_secrets`.
        InvalidSettings: it cannot be told which repositories git's credentials are for.
    """
    resources: list[Resource] = []
    if settings.external_secrets is not None:
        resources += [_external(secret, settings, settings.external_secrets) for secret in needed_secrets(settings)]
    if settings.kyverno is not None:
        resources += _kyverno(settings, settings.kyverno)
    return tuple(resources)


def _uses(settings: KargoSettings) -> Iterator[NeededSecret]:
    yield NeededSecret(settings.git_credentials, CredentialType.GIT, (PASSWORD, USERNAME), _git_repositories(settings))
    for name, hosts in _by_secret(settings.source_credentials):
        yield NeededSecret(name, CredentialType.GIT, (PASSWORD, USERNAME), f"^https://{hosts}/.+$")
    for name, hosts in _by_secret(settings.registry_credentials):
        yield NeededSecret(name, CredentialType.IMAGE, (PASSWORD, USERNAME), f"^{hosts}/.+$")
    for named in (*settings.credentials.values(), *settings.job_environment.values()):
        yield NeededSecret(named.secret, CredentialType.GENERIC, (named.key,))
    for name in settings.jobs.pull_secrets:
        yield NeededSecret(name, CredentialType.PULL, (PULL_KEY,))
    for sender, name in settings.webhooks.items():
        yield NeededSecret(name, CredentialType.GENERIC, (SECRET_KEYS[sender],))


def _by_secret(credentials: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each Secret with a pattern of its hosts."""
    found: dict[str, list[str]] = {}
    for host, name in sorted(credentials.items()):
        found.setdefault(name, []).append(re.escape(host))
    for name, hosts in found.items():
        yield name, hosts[0] if len(hosts) == 1 else f"({'|'.join(hosts)})"


def _joined(name: str, uses: list[NeededSecret]) -> NeededSecret:
    # A token may lie in any Secret; what Kargo finds by its label may not be labelled otherwise.
    types = {use.type for use in uses if use.type is not CredentialType.GENERIC}
    if len(types) > 1:
        raise Conflict(
            f"the Secret {name!r} is named for {' and for '.join(sorted(types))} credentials",
            hint="give each a Secret of its own: it has one type, and one label by which Kargo finds it",
        )
    keys = tuple(sorted({key for use in uses for key in use.keys}))
    patterns = sorted({use.repositories for use in uses if use.repositories is not None})
    repositories = patterns[0] if len(patterns) == 1 else "|".join(f"({pattern})" for pattern in patterns)
    return NeededSecret(name, next(iter(types), CredentialType.GENERIC), keys, repositories or None)


def _git_repositories(settings: KargoSettings) -> str | None:
    operator = settings.external_secrets
    if operator is not None and operator.git_repositories is not None:
        return operator.git_repositories
    url = urlsplit(settings.state_repository or "")
    return f"^{url.scheme}://{re.escape(url.netloc)}/.+$" if url.scheme in ("http", "https") and url.netloc else None


def _external(secret: NeededSecret, settings: KargoSettings, operator: ExternalSecretsSettings) -> ExternalSecret:
    if secret.type is CredentialType.GIT and secret.repositories is None:
        raise InvalidSettings(
            f"it is not said which repositories the Secret {secret.name!r} is for",
            hint="set kargo.externalSecrets.gitRepositories to a pattern such as ^https://github\\.com/acme/.+$",
        )
    remote = operator.remote_keys.get(secret.name, f"{operator.prefix}{secret.name}")
    data = {key: _place(key) for key in secret.keys}
    if secret.repositories is not None:
        data |= {"repoURL": secret.repositories, "repoURLIsRegex": "true"}
    return ExternalSecret(
        metadata=ObjectMeta(name=secret.name, namespace=settings.namespace, labels=MANAGED_BY),
        spec=ExternalSecretSpec(
            refresh_interval=operator.refresh_interval,
            store=StoreRef(name=operator.store, kind=operator.store_kind),
            target=SecretTarget(
                name=secret.name,
                creation_policy="Owner",
                deletion_policy="Retain",
                template=SecretTemplate(
                    engine_version="v2",
                    type=PULL_TYPE if secret.type is CredentialType.PULL else None,
                    metadata=TemplateMeta(labels=_labels(secret.type)),
                    data=data,
                ),
            ),
            data=tuple(
                ExternalValue(secret_key=key, remote=RemoteRef(key=remote, property=key)) for key in secret.keys
            ),
        ),
    )


def _labels(credential: CredentialType) -> dict[str, str]:
    return MANAGED_BY if credential is CredentialType.PULL else {**MANAGED_BY, CREDENTIAL_LABEL: credential.value}


def _place(key: str) -> str:
    return f"{{{{ .{key} }}}}" if _MEMBER.fullmatch(key) else f'{{{{ index . "{key}" }}}}'


def _kyverno(settings: KargoSettings, copier: KyvernoSettings) -> Iterator[Resource]:
    target, source = settings.namespace, copier.source_namespace
    if source == target:
        raise InvalidSettings(
            f"kargo.kyverno.sourceNamespace is the Project's own namespace: {source!r}",
            hint="name the namespace in which the Secrets lie that are to be copied",
        )
    name = short_name(f"{target}-secrets")
    if copier.cluster_role:
        verbs = ("get", "list", "watch", "create", "update", "delete")
        yield ClusterRole(
            metadata=ObjectMeta(name=name, labels={**MANAGED_BY, **_COPIERS}),
            rules=(PolicyRule(api_groups=("",), resources=("secrets",), verbs=verbs),),
        )
    namespace = Filter(resources=MatchedResources(kinds=("Namespace",), names=(target,)))
    yield ClusterPolicy(
        metadata=ObjectMeta(name=name, labels=MANAGED_BY),
        spec=ClusterPolicySpec(
            rules=tuple(
                GenerateRule(
                    name=short_name(f"clone-{secret.name}"),
                    match=Match(any_of=(namespace,)),
                    generate=Generate(
                        existing=True,
                        synchronize=True,
                        api_version="v1",
                        kind="Secret",
                        name=secret.name,
                        namespace=target,
                        clone=Clone(namespace=source, name=secret.name),
                    ),
                )
                for secret in needed_secrets(settings)
            )
        ),
    )
