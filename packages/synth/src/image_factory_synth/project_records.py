"""The Project, its namespace and its settings as frozen records, with what each version of Kargo takes.

From Kargo's CRDs, 1.9 to 1.11 (docs/reference/kargo-resources.md), as `records`. Pure.
"""

# ruff: noqa: RUF009 - `written` declares a field, as `dataclasses.field` does

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from image_factory_synth.fields import RefusedByKargo, written
from image_factory_synth.receiver_records import Receiver
from image_factory_synth.records import KARGO, Resource
from image_factory_synth.versions import KargoVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace(Resource):
    """core/v1 Namespace."""

    api_version: ClassVar[str] = "v1"
    kind: ClassVar[str] = "Namespace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project(Resource):
    """Cluster-scoped; it has had no spec since Kargo 1.7."""

    api_version: ClassVar[str] = KARGO
    kind: ClassVar[str] = "Project"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSelector:
    """The stages that a policy is for."""

    match_labels: dict[str, str] = written("matchLabels", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionPolicy:
    """Whether stages take new Freight by themselves. The first that matches a stage decides."""

    stage: StageSelector = written("stageSelector", required=True)
    is_automatic: bool = written("autoPromotionEnabled", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectConfigSpec:
    """Which stages promote by themselves; none does that no policy names. And who may tell of a push."""

    promotion_policies: tuple[PromotionPolicy, ...] | None = written("promotionPolicies", first=(1, 7))
    webhook_receivers: tuple[Receiver, ...] | None = written("webhookReceivers", first=(1, 6))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectConfig(Resource):
    """The settings of a Project; since Kargo 1.5. Its name is its namespace's."""

    api_version: ClassVar[str] = KARGO
    kind: ClassVar[str] = "ProjectConfig"
    spec: ProjectConfigSpec = written("spec", first=(1, 5), required=True)

    def check(self, version: KargoVersion) -> None:
        if self.metadata.name != self.metadata.namespace:
            raise RefusedByKargo(
                f"a ProjectConfig named {self.metadata.name!r} in namespace {self.metadata.namespace!r}",
                field="name",
                hint="Kargo takes it only where both are the same",
            )
        for receiver in self.spec.webhook_receivers or ():
            receiver.check()
