"""Settings of one image-factory folder: config.yaml's shape, with every default. Pure.

Flags win over the environment, the environment over config.yaml, config.yaml over these defaults;
`image_factory.shell.settings` joins them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import Field

from image_factory.model.enrollment import Duration, Label, Record


class RegistrySettings(Record):
    """What differs for one registry host."""

    endpoint: str | None = None
    """A mirror or proxy to ask in its place, such as https://mirror.example.com/hub; the identity stays."""
    plain_http: bool = False
    """Whether to speak http; loopback hosts may always."""
    ca_file: str | None = None
    token_realms: tuple[str, ...] = ()
    """Further hosts that may be sent this registry's credentials for a token."""
    requests_per_day: int | None = Field(default=None, ge=0)


class CommitSettings(Record):
    """Who commits state, and whether it is pushed."""

    name: str = "Image Factory Bot"
    email: str = "image-factory-bot@users.noreply.github.com"
    push: bool = False
    remote: str = "origin"
    branch: str | None = None


class KargoSettings(Record):
    """What synth needs to know of the cluster."""

    version: str = "1.11"
    namespace: Label = "image-factory-kargo"
    service_account: Label = "image-factory"
    base_interval: Duration = timedelta(hours=24)
    managed_interval: Duration = timedelta(minutes=5)
    git_credentials: Label = "github-credentials"
    state_repository: str | None = None
    """The clone URL of the repository that holds this folder; None leaves its subscriptions out."""
    state_branch: str = "main"


class Settings(Record):
    """All settings, joined."""

    images_file: str = "images.yaml"
    state_dir: str = "state"
    dist_dir: str = "dist"
    registries: dict[str, RegistrySettings] = Field(default_factory=dict)
    disabled_plugins: tuple[str, ...] = ()
    coordination_window: Duration = timedelta(minutes=30)
    commit: CommitSettings = CommitSettings()
    kargo: KargoSettings = KargoSettings()
    plugins: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """One free map a plugin, under the plugin's name; the plugin checks it."""
