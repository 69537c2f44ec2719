"""Webhook receivers: how Kargo is told of a push before it looks by itself. Pure.

A receiver stands where a setting names its Secret, and nowhere else: one without its Secret makes
Kargo's ProjectConfig unhealthy. A receiver only has Warehouses look; what they make of it is theirs.
"""

from __future__ import annotations

from collections.abc import Mapping

from image_factory.model.cluster import Sender
from image_factory.model.settings import KargoSettings
from image_factory_synth.data import Role
from image_factory_synth.receiver_records import SENDERS, Action, LabelSelector, Receiver, SecretRef, Sent, Targets
from image_factory_synth.records import REQUESTS_ROLE, ROLE_LABEL

SECRET_KEYS: Mapping[Sender, str] = {
    "github": "secret",
    "gitlab": "secret-token",
    "gitea": "secret",
    "bitbucket": "secret",
    "dockerhub": "secret",
    "quay": "secret",
    "harbor": "auth-header",
    "azure": "secret",
    "artifactory": "secret-token",
    "generic": "secret",
}
"""The key under which Kargo looks for what the sender proves itself by."""
EAGER = (Role.MANAGED.value, REQUESTS_ROLE)
"""What any caller may have looked at: what we publish and what we ask for; never a base, which has its day."""


def receivers(settings: KargoSettings) -> tuple[Receiver, ...]:
    """Return a receiver for each sender whose Secret a setting names."""
    return tuple(
        Receiver(name=sender, **{sender: _sent(sender, settings.webhooks[sender])})
        for sender in SENDERS
        if sender in settings.webhooks
    )


def _sent(sender: Sender, secret: str) -> Sent:
    if sender != "generic":
        return Sent(secret=SecretRef(name=secret))
    targets = tuple(
        Targets(kind="Warehouse", selector=LabelSelector(match_labels={ROLE_LABEL: role})) for role in EAGER
    )
    return Sent(secret=SecretRef(name=secret), actions=(Action(action="Refresh", targets=targets),))
