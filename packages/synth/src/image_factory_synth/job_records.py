"""What runs in the cluster, as frozen records: jobs, and who they run as.

From Kubernetes' API reference (batch/v1, core/v1, rbac.authorization.k8s.io/v1). Only fields that are used. Pure.
"""

# ruff: noqa: RUF009 - `written` declares a field, as `dataclasses.field` does

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from image_factory_synth.fields import RefusedByKargo, written
from image_factory_synth.records import Resource, SecretKey
from image_factory_synth.versions import KargoVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccount(Resource):
    """core/v1 ServiceAccount."""

    api_version: ClassVar[str] = "v1"
    kind: ClassVar[str] = "ServiceAccount"
    automount_token: bool = written("automountServiceAccountToken", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRule:
    """What may be done with which objects."""

    api_groups: tuple[str, ...] = written("apiGroups", required=True)
    resources: tuple[str, ...] = written("resources", required=True)
    resource_names: tuple[str, ...] | None = written("resourceNames")
    verbs: tuple[str, ...] = written("verbs", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Role(Resource):
    """rbac.authorization.k8s.io/v1 Role."""

    api_version: ClassVar[str] = "rbac.authorization.k8s.io/v1"
    kind: ClassVar[str] = "Role"
    rules: tuple[PolicyRule, ...] = written("rules", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleRef:
    api_group: str = written("apiGroup", required=True)
    kind: str = written("kind", required=True)
    name: str = written("name", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    kind: str = written("kind", required=True)
    name: str = written("name", required=True)
    namespace: str = written("namespace", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleBinding(Resource):
    """rbac.authorization.k8s.io/v1 RoleBinding."""

    api_version: ClassVar[str] = "rbac.authorization.k8s.io/v1"
    kind: ClassVar[str] = "RoleBinding"
    role_ref: RoleRef = written("roleRef", required=True)
    subjects: tuple[Subject, ...] = written("subjects", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretName:
    """A Secret of the same namespace."""

    name: str = written("name", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableSource:
    secret: SecretKey = written("secretKeyRef", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable of a container's environment."""

    name: str = written("name", required=True)
    value_from: VariableSource = written("valueFrom", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    requests: dict[str, str] = written("requests", required=True)
    limits: dict[str, str] = written("limits", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    drop: tuple[str, ...] = written("drop", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSecurity:
    allow_privilege_escalation: bool = written("allowPrivilegeEscalation", required=True)
    read_only_root_filesystem: bool = written("readOnlyRootFilesystem", required=True)
    capabilities: Capabilities = written("capabilities", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    name: str = written("name", required=True)
    path: str = written("mountPath", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container that runs its image's entry point; it has no `command`, so that no shell can be put there."""

    name: str = written("name", required=True)
    image: str = written("image", required=True)
    args: tuple[str, ...] = written("args", required=True)
    environment: tuple[Variable, ...] = written("env", required=True)
    resources: Resources = written("resources", required=True)
    security: ContainerSecurity = written("securityContext", required=True)
    mounts: tuple[Mount, ...] = written("volumeMounts", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeccompProfile:
    type: str = written("type", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSecurity:
    run_as_non_root: bool = written("runAsNonRoot", required=True)
    run_as_user: int = written("runAsUser", required=True, minimum=1)
    run_as_group: int = written("runAsGroup", required=True, minimum=1)
    seccomp: SeccompProfile = written("seccompProfile", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmptyFolder:
    size_limit: str = written("sizeLimit", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    name: str = written("name", required=True)
    empty: EmptyFolder = written("emptyDir", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSpec:
    service_account: str = written("serviceAccountName", required=True)
    automount_token: bool = written("automountServiceAccountToken", required=True)
    restart_policy: str = written("restartPolicy", required=True, pattern="Never|OnFailure")
    pull_secrets: tuple[SecretName, ...] | None = written("imagePullSecrets")
    security: PodSecurity = written("securityContext", required=True)
    containers: tuple[Container, ...] = written("containers", required=True)
    volumes: tuple[Volume, ...] = written("volumes", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodMeta:
    labels: dict[str, str] = written("labels", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodTemplate:
    metadata: PodMeta = written("metadata", required=True)
    spec: PodSpec = written("spec", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """batch/v1 JobSpec; all lengths of time in seconds."""

    active_deadline: int = written("activeDeadlineSeconds", required=True, minimum=1)
    backoff_limit: int = written("backoffLimit", required=True, minimum=0)
    ttl_after_finished: int = written("ttlSecondsAfterFinished", required=True, minimum=0)
    template: PodTemplate = written("template", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTemplate:
    spec: JobSpec = written("spec", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class CronJobSpec:
    schedule: str = written("schedule", required=True, pattern=r"[0-9*/,-]+( [0-9*/,-]+){4}")
    time_zone: str = written("timeZone", required=True)
    concurrency_policy: str = written("concurrencyPolicy", required=True, pattern="Allow|Forbid|Replace")
    starting_deadline: int = written("startingDeadlineSeconds", required=True, minimum=10)
    successful_history: int = written("successfulJobsHistoryLimit", required=True, minimum=0)
    failed_history: int = written("failedJobsHistoryLimit", required=True, minimum=0)
    job: JobTemplate = written("jobTemplate", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class CronJob(Resource):
    """batch/v1 CronJob."""

    api_version: ClassVar[str] = "batch/v1"
    kind: ClassVar[str] = "CronJob"
    spec: CronJobSpec = written("spec", required=True)

    def check(self, version: KargoVersion) -> None:
        if len(self.metadata.name) > 52:
            raise RefusedByKargo(
                f"a CronJob's name of more than 52 characters: {self.metadata.name}",
                field="name",
                hint="Kubernetes adds 11 characters for each Job",
            )
