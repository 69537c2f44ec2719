"""Kargo's Stage and PromotionTask as frozen records: what a Stage takes Freight from, steps, verification.

From Kargo's CRDs of both, 1.9 to 1.11. A step's configuration is plain data with expressions of ours. Pure.
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
class StepVariable:
    """A variable that a task's steps read as `vars.<name>`; Kargo takes an empty value for a missing one."""

    name: str = written("name", required=True, pattern=r"[a-zA-Z_]\w*")
    value: str | Expression | None = written("value", pattern=r"(?s).+")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskName:
    kind: str = written("kind", required=True, pattern="PromotionTask")
    name: str = written("name", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One promotion step: something that Kargo does (`uses`), or all steps of a task."""

    alias: str | None = written("as", pattern="[a-z][a-z0-9-]*")
    uses: str | None = written("uses")
    task: TaskName | None = written("task", first=(1, 2))
    condition: Expression | None = written("if", first=(1, 3))
    continue_on_error: bool | None = written("continueOnError", first=(1, 5))
    retry: Retry | None = written("retry")
    variables: tuple[StepVariable, ...] | None = written("vars", first=(1, 1))
    config: dict[str, Any] | None = written("config")

    def check(self) -> None:
        """Refuse what Kargo's CRDs refuse by a rule over several fields."""
        if (self.uses is None) == (self.task is None):
            raise RefusedByKargo("a step uses something or is a task", field="uses")
        if self.task is not None and (self.condition, self.continue_on_error, self.retry, self.config) != (None,) * 4:
            raise RefusedByKargo(
                f"the step of the task {self.task.name} has a condition, a retry or a configuration",
                field="task",
                hint="a task's own steps may have them",
            )


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
        _check_steps(self.spec.promotion_template.spec.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionTaskSpec:
    variables: tuple[StepVariable, ...] | None = written("vars")
    """What a step that is this task has to give; one with a value need not be given."""
    steps: tuple[Step, ...] = written("steps", required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionTask(Resource):
    """Steps that Stages share; since Kargo 1.2."""

    api_version: ClassVar[str] = KARGO
    kind: ClassVar[str] = "PromotionTask"
    spec: PromotionTaskSpec = written("spec", first=(1, 2), required=True)

    def check(self, version: KargoVersion) -> None:
        _check_steps(self.spec.steps)
        if any(step.task is not None for step in self.spec.steps):
            raise RefusedByKargo("a task has no tasks for steps", field="task")


def _check_steps(steps: tuple[Step, ...]) -> None:
    if not steps:
        raise RefusedByKargo("there is no step, so nothing would be verified", field="steps")
    for step in steps:
        step.check()
    aliases = [step.alias for step in steps if step.alias]
    if len(set(aliases)) < len(aliases) or any(_RESERVED.fullmatch(alias) for alias in aliases):
        raise RefusedByKargo(f"steps need aliases of their own: {aliases}", field="as")
