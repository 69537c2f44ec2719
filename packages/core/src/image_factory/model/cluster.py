"""Settings of what stands around Kargo's resources: Secrets, and what brings them. Pure.

A Secret is only ever named here; what it holds never passes through this program's files.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from image_factory.model.enrollment import Duration, Label, Record
from image_factory.model.field_types import Regex, matching

ENTITY_LABEL = "[a-z0-9]+(-[a-z0-9]+)*"
ENTITY_NAME = "([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]"
REFERENCE = rf"([A-Za-z][A-Za-z0-9]{{0,62}}:)?({ENTITY_LABEL}/)?{ENTITY_NAME}"
"""What refers to an entity of Backstage: `kind:namespace/name`, the first two where they are not understood."""

SecretKeyName = Annotated[
    str,
    AfterValidator(
        matching(re.compile(r"[A-Za-z0-9._-]{1,253}\Z"), "a key of a Secret", "write letters, digits and - _ .")
    ),
    WithJsonSchema({"type": "string", "pattern": r"^[A-Za-z0-9._-]{1,253}$"}),
]
"""A key of a Secret's data, as Kubernetes takes it."""
Environment = Annotated[
    str,
    AfterValidator(
        matching(
            re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z"),
            "a variable",
            "write letters, digits and _, such as GITHUB_TOKEN",
        )
    ),
]
"""The name of a variable of a container's environment."""
RemoteKey = Annotated[
    str,
    AfterValidator(
        matching(re.compile(r"[A-Za-z0-9_./:@+-]{0,253}\Z"), "a key of a store", "write a path such as kargo/github")
    ),
]
"""Where something lies in a store of secrets."""
Sender = Literal[
    "github", "gitlab", "gitea", "bitbucket", "dockerhub", "quay", "harbor", "azure", "artifactory", "generic"
]
"""What can tell Kargo of a push, in Kargo's words; `generic` is anything else that can call a URL."""
LabelKey = Annotated[
    str,
    AfterValidator(
        matching(
            re.compile(
                r"(?:[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?\Z"
            ),
            "a label's key",
            "write one such as example.com/catalog",
        )
    ),
]
LabelValue = Annotated[
    str,
    AfterValidator(
        matching(
            re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?\Z"),
            "a label's value",
            "write at most 63 letters, digits and inner - _ .",
        )
    ),
]
EntityReference = Annotated[
    str,
    AfterValidator(
        matching(
            re.compile(rf"{REFERENCE}\Z"),
            "a reference to an entity",
            "write one such as platform or group:default/platform",
        )
    ),
]


class SecretSettings(Record):
    """One key of a Secret in the Project's namespace."""

    secret: Label = Field(examples=["github-credentials"])
    """The Secret's name."""
    key: SecretKeyName = Field(default="password", examples=["password"])
    """The key in it."""


class ExternalSecretsSettings(Record):
    """The External Secrets Operator's store that brings the Secrets."""

    store: Label = Field(examples=["platform"])
    """The name of the store."""
    store_kind: Literal["SecretStore", "ClusterSecretStore"] = Field(
        default="ClusterSecretStore", examples=["SecretStore"]
    )
    """Its kind."""
    prefix: RemoteKey = Field(default="", examples=["kargo/"])
    """What stands before a Secret's name in the store."""
    remote_keys: dict[Label, RemoteKey] = Field(default_factory=dict, examples=["{github-credentials: robots/github}"])
    """Where single Secrets lie in the store, where it is not `prefix` and their name."""
    refresh_interval: Duration = Field(default=timedelta(hours=1), examples=["1h"])
    """How often the store is asked."""
    git_repositories: Regex | None = Field(default=None, examples=["^https://github\\.com/acme/.+$"])
    """The clone URLs that `gitCredentials` are for; where it is not given, those of the state repository's host."""


class KyvernoSettings(Record):
    """The namespace from which Kyverno copies the Secrets."""

    source_namespace: Label = Field(examples=["platform-secrets"])
    """Where they lie, under the same names, with Kargo's labels."""
    cluster_role: bool = Field(default=True, examples=["false"])
    """Whether to write the ClusterRole that lets Kyverno copy Secrets; `false` where it may already."""


class CatalogSettings(Record):
    """Backstage entities of all images, as ConfigMaps beside Kargo's resources."""

    enabled: bool = Field(default=False, examples=["true"])
    """Whether synth writes them."""
    namespace: Label = Field(default="backstage", examples=["backstage"])
    """The namespace that they lie in, which must be there."""
    labels: dict[LabelKey, LabelValue] = Field(
        default_factory=lambda: {"eda.io/backstage-catalog": "true"}, examples=['{example.com/catalog: "true"}']
    )
    """The labels by which the portal finds them; `eda.io/backstage-catalog: "true"` where none are given."""
    owner: EntityReference = Field(default="unknown", examples=["platform"])
    """The owner of images whose enrollment names none."""
    lifecycle: Label = Field(default="production", examples=["experimental"])
    """The lifecycle of images whose enrollment names none."""
