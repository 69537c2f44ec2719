"""Kargo's Stage as frozen records: what it takes Freight from, its steps (steps.py), its verification.

From Kargo's CRD, 1.9 to 1.11. Pure.
"""

# ruff: noqa: RUF009 - `written` declares a field, as `dataclasses.field` does

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from image_factory_synth.fields import Expression, RefusedByKargo, written
from image_factory_synth.records import KARGO, Resource
from image_factory_synth.steps import StepsSpec, check_steps
from image_factory_synth.versions import KargoVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    kind: str = written("kind", required=True, pattern="Warehouse")
    name: str = written("name", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where Freight comes from: the Warehouse itself, or stages that verified it."""

    direct: bool | None = written("direct")
    stages: tuple[str, ...] | None = written("stages")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedFreight:
    origin: Origin = written("origin", required=True)
    sources: Sources = written("sources", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionTemplate:
    spec: StepsSpec = written("spec", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateName:
    name: str = written("name", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationArgument:
    """A value for the template. Argo puts it into the Job's text: it may hold nothing that ends a word there."""

    name: str = written("name", required=True)
    value: str | Expression = written(
        "value", required=True, pattern=r'[^{}"\\]+', hint='write it without { } " and \\'
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    templates: tuple[TemplateName, ...] = written("analysisTemplates", required=True)
    args: tuple[VerificationArgument, ...] | None = written("args", first=(1, 3))


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSpec:
    requested_freight: tuple[RequestedFreight, ...] = written("requestedFreight", required=True)
    promotion_template: PromotionTemplate = written("promotionTemplate", required=True)
    verification: Verification | None = written("verification")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage(Resource):
    """Takes Freight, performs steps with it and verifies what came of it."""

    api_version: ClassVar[str] = KARGO
    kind: ClassVar[str] = "Stage"
    spec: StageSpec = written("spec", required=True)

    def check(self, version: KargoVersion) -> None:
        origins = [request.origin.name for request in self.spec.requested_freight]
        if not origins or len(set(origins)) < len(origins):
            raise RefusedByKargo(
                f"a Stage takes each origin once, and at least one: {origins}", field="requestedFreight"
            )
        check_steps(self.spec.promotion_template.spec.steps, version)
