"""What stands before any image's resources: the namespace and the Kargo Project in it. Pure."""

from __future__ import annotations

from image_factory.model.settings import KargoSettings
from image_factory_synth.project_records import (
    Namespace,
    Project,
    ProjectConfig,
    ProjectConfigSpec,
    PromotionPolicy,
    StageSelector,
)
from image_factory_synth.receiver_records import Receiver
from image_factory_synth.records import AUTOMATIC, MANAGED_BY, PROJECT_LABEL, PROMOTION_LABEL, ObjectMeta, Resource


def infrastructure(settings: KargoSettings) -> tuple[Resource, ...]:
    """Return the Namespace, the Project with its configuration, and what brings Secrets, as a cluster takes them.

    Stages that promote by themselves say so in a label, so that the policy can name none that does not exist.
    Kargo makes a Project's namespace itself; ours stands there first, labelled, so that one file
    applies in one go.
    """
    name = settings.namespace
    automatic = PromotionPolicy(stage=StageSelector(match_labels={PROMOTION_LABEL: AUTOMATIC}), is_automatic=True)
    policies = () if settings.state_repository is None else (automatic,)
    return (
        Namespace(metadata=ObjectMeta(name=name, labels={PROJECT_LABEL: "true", **MANAGED_BY})),
        Project(metadata=ObjectMeta(name=name, labels=MANAGED_BY)),
        ProjectConfig(
            metadata=ObjectMeta(name=name, namespace=name, labels=MANAGED_BY),
            spec=ProjectConfigSpec(promotion_policies=policies, webhook_receivers=_receivers(settings)),
        ),
        *_secret_sources(settings),
    )


def _receivers(settings: KargoSettings) -> tuple[Receiver, ...]:
    if not settings.webhooks:
        return ()
    from image_factory_synth.receivers import receivers

    return receivers(settings)


def _secret_sources(settings: KargoSettings) -> tuple[Resource, ...]:
    if settings.external_secrets is None and settings.kyverno is None:
        return ()
    from image_factory_synth.secret_sources import secret_sources  # most have neither

    return secret_sources(settings)
