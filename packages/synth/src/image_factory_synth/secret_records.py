"""What brings Secrets into a namespace, as frozen records: ExternalSecret, and Kyverno's policy that copies.

From the CRDs of External Secrets (external-secrets.io/v1, from 0.16 on) and of Kyverno (kyverno.io/v1,
from 1.11 on). Only fields that are used, none of which can hold a secret. Pure.
"""

# ruff: noqa: RUF009 - `written` declares a field, as `dataclasses.field` does

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from image_factory_synth.fields import RefusedByKargo, written
from image_factory_synth.job_records import PolicyRule
from image_factory_synth.records import Resource
from image_factory_synth.versions import KargoVersion

_SECRET_KEY = "[-._a-zA-Z0-9]+"  # noqa: S105 - a pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRef:
    """The store that is asked."""

    name: str = written("name", required=True)
    kind: str = written("kind", required=True, pattern="(Cluster)?SecretStore")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteRef:
    """One value in the store."""

    key: str = written("key", required=True)
    property: str = written("property", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalValue:
    """A key of the Secret, and what it is filled from."""

    secret_key: str = written("secretKey", required=True, pattern=_SECRET_KEY, max_length=253)
    remote: RemoteRef = written("remoteRef", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateMeta:
    labels: dict[str, str] | None = written("labels")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretTemplate:
    """What the Secret is made of: its labels, what is known of it, and places for what is not."""

    engine_version: str = written("engineVersion", required=True, pattern="v2")
    type: str | None = written("type")
    metadata: TemplateMeta | None = written("metadata")
    data: dict[str, str] = written("data", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretTarget:
    """The Secret that is made. It stays where the store loses its value, so that an outage stops nothing."""

    name: str = written("name", required=True)
    creation_policy: str = written("creationPolicy", required=True, pattern="Owner")
    deletion_policy: str = written("deletionPolicy", required=True, pattern="Retain")
    template: SecretTemplate = written("template", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalSecretSpec:
    refresh_interval: timedelta = written("refreshInterval", required=True)
    store: StoreRef = written("secretStoreRef", required=True)
    target: SecretTarget = written("target", required=True)
    data: tuple[ExternalValue, ...] = written("data", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalSecret(Resource):
    """external-secrets.io/v1 ExternalSecret."""

    api_version: ClassVar[str] = "external-secrets.io/v1"
    kind: ClassVar[str] = "ExternalSecret"
    spec: ExternalSecretSpec = written("spec", required=True)

    def check(self, version: KargoVersion) -> None:
        template = self.spec.target.template.data
        unfilled = {value.secret_key for value in self.spec.data} - template.keys()
        if unfilled:
            # A template that writes any key writes all that the Secret gets.
            raise RefusedByKargo(f"the template leaves out {sorted(unfilled)}", field="template")


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedResources:
    kinds: tuple[str, ...] = written("kinds", required=True)
    names: tuple[str, ...] = written("names", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    resources: MatchedResources = written("resources", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What a rule looks out for."""

    any_of: tuple[Filter, ...] = written("any", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clone:
    """What is copied."""

    namespace: str = written("namespace", required=True)
    name: str = written("name", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generate:
    """The copy; it follows what it was copied from, and is made for what stood there before the rule, too."""

    existing: bool = written("generateExisting", required=True)
    synchronize: bool = written("synchronize", required=True)
    api_version: str = written("apiVersion", required=True)
    kind: str = written("kind", required=True)
    name: str = written("name", required=True)
    namespace: str = written("namespace", required=True)
    clone: Clone = written("clone", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateRule:
    name: str = written("name", required=True, max_length=63)
    match: Match = written("match", required=True)
    generate: Generate = written("generate", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPolicySpec:
    rules: tuple[GenerateRule, ...] = written("rules", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPolicy(Resource):
    """kyverno.io/v1 ClusterPolicy; cluster-scoped, since a Policy copies within its namespace alone."""

    api_version: ClassVar[str] = "kyverno.io/v1"
    kind: ClassVar[str] = "ClusterPolicy"
    spec: ClusterPolicySpec = written("spec", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRole(Resource):
    """rbac.authorization.k8s.io/v1 ClusterRole."""

    api_version: ClassVar[str] = "rbac.authorization.k8s.io/v1"
    kind: ClassVar[str] = "ClusterRole"
    rules: tuple[PolicyRule, ...] = written("rules", required=True)
