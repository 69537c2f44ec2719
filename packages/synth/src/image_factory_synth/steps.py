"""Steps of a promotion, and the PromotionTasks that share them, as frozen records.

From Kargo's CRDs of Stage and PromotionTask, 1.9 to 1.11. A step's configuration is plain data with expressions
of ours. Pure.
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
        check_steps(self.spec.steps)
        if any(step.task is not None for step in self.spec.steps):
            raise RefusedByKargo("a task has no tasks for steps", field="task")


def check_steps(steps: tuple[Step, ...]) -> None:
    """Refuse steps that Kargo would not run as they are meant."""
    if not steps:
        raise RefusedByKargo("there is no step, so nothing would be verified", field="steps")
    for step in steps:
        step.check()
    aliases = [step.alias for step in steps if step.alias]
    if len(set(aliases)) < len(aliases) or any(_RESERVED.fullmatch(alias) for alias in aliases):
        raise RefusedByKargo(f"steps need aliases of their own: {aliases}", field="as")
