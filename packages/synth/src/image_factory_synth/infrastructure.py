"""What stands before any image's resources: the namespace and the Kargo Project in it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from image_factory.model.settings import KargoSettings
from image_factory_synth.records import (
    MANAGED_BY,
    PROJECT_LABEL,
    ROLE_LABEL,
    Namespace,
    ObjectMeta,
    Project,
    ProjectConfig,
    ProjectConfigSpec,
    PromotionPolicy,
    Resource,
    StageSelector,
)


def infrastructure(settings: KargoSettings, roles: Sequence[str] = ()) -> tuple[Resource, ...]:
    """Return the Namespace, Project and ProjectConfig, in the order in which a cluster takes them.

    Args:
        roles: those of stages that promote by themselves.

    Kargo makes a Project's namespace itself; ours stands there first, labelled, so that one file
    applies in one go.
    """
    name = settings.namespace
    policies = tuple(
        PromotionPolicy(stage=StageSelector(match_labels={ROLE_LABEL: role}), is_automatic=True) for role in roles
    )
    return (
        Namespace(metadata=ObjectMeta(name=name, labels={PROJECT_LABEL: "true", **MANAGED_BY})),
        Project(metadata=ObjectMeta(name=name, labels=MANAGED_BY)),
        ProjectConfig(
            metadata=ObjectMeta(name=name, namespace=name, labels=MANAGED_BY),
            spec=ProjectConfigSpec(promotion_policies=policies),
        ),
    )
