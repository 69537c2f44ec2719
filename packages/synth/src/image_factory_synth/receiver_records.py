"""Webhook receivers of a ProjectConfig, as frozen records. Pure.

From Kargo's CRD of a ProjectConfig, 1.9 to 1.11, and from when each of its receivers came.
"""

# ruff: noqa: RUF009 - `written` declares a field, as `dataclasses.field` does

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from image_factory.model.cluster import Sender
from image_factory_synth.fields import RefusedByKargo, written

SENDERS: tuple[Sender, ...] = get_args(Sender)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRef:
    name: str = written("name", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSelector:
    match_labels: dict[str, str] = written("matchLabels", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What an action is for."""

    kind: str = written("kind", required=True, pattern="Warehouse")
    selector: LabelSelector = written("labelSelector", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    action: str = written("action", required=True, pattern="Refresh")
    targets: tuple[Targets, ...] = written("targetSelectionCriteria", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One sender's part of a receiver."""

    secret: SecretRef = written("secretRef", required=True)
    actions: tuple[Action, ...] | None = written("actions", first=(1, 9))


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """A receiver of webhooks: a name, and the part of exactly one sender."""

    name: str = written("name", required=True, pattern="[a-z0-9]([-a-z0-9]*[a-z0-9])?", max_length=63)
    github: Sent | None = written("github", first=(1, 6))
    gitlab: Sent | None = written("gitlab", first=(1, 6))
    gitea: Sent | None = written("gitea", first=(1, 7))
    bitbucket: Sent | None = written("bitbucket", first=(1, 6))
    dockerhub: Sent | None = written("dockerhub", first=(1, 6))
    quay: Sent | None = written("quay", first=(1, 6))
    harbor: Sent | None = written("harbor", first=(1, 8))
    azure: Sent | None = written("azure", first=(1, 7))
    artifactory: Sent | None = written("artifactory", first=(1, 7))
    generic: Sent | None = written("generic", first=(1, 9))

    def check(self) -> None:
        """Refuse a receiver of no sender or of several."""
        given = [sender for sender in SENDERS if getattr(self, sender) is not None]
        if len(given) != 1:
            raise RefusedByKargo(f"a receiver has one sender, not {given}", field="webhookReceivers")
