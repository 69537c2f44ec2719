"""Kargo's Stage as frozen records: what it takes Freight from, its steps, and its verification.

From Kargo's CRD of a Stage, 1.9 to 1.11. A step's configuration is plain data with expressions of ours. Pure.
"""

# ruff: noqa: RUF009 - `written` declares a field, as `dataclasses.field` does

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from image_factory_synth.fields import Expression, RefusedByKargo, written
from image_factory_synth.records import KARGO, Resource
from image_factory_synth.versions import KargoVersion

_RESERVED = re.compile(r"(step|task)-\d+")


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
class Retry:
    error_threshold: int = written("errorThreshold", required=True, minimum=1)
    timeout: timedelta = written("timeout", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One promotion step."""

    alias: str | None = written("as", pattern="[a-z][a-z0-9-]*")
    uses: str = written("uses", required=True)
    condition: Expression | None = written("if", first=(1, 3))
    retry: Retry | None = written("retry")
    config: dict[str, Any] | None = written("config")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepsSpec:
    steps: tuple[Step, ...] = written("steps", required=True)


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
        if not self.spec.promotion_template.spec.steps:
            raise RefusedByKargo("a Stage without steps verifies nothing", field="steps")
        aliases = [step.alias for step in self.spec.promotion_template.spec.steps if step.alias]
        if len(set(aliases)) < len(aliases) or any(_RESERVED.fullmatch(alias) for alias in aliases):
            raise RefusedByKargo(f"steps need aliases of their own: {aliases}", field="as")
