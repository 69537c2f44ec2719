"""Steps of a promotion, and the PromotionTasks that share them, as frozen records.

From Kargo's CRDs of Stage and PromotionTask, 1.9 to 1.11. A step's configuration is plain data with expressions
of ours. Pure.
"""

# ruff: noqa: RUF009 - `written` declares a field, as `dataclasses.field` does

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, ClassVar

from image_factory_synth.fields import Expression, RefusedByKargo, written
from image_factory_synth.records import KARGO, Resource
from image_factory_synth.versions import KargoVersion

_RESERVED = re.compile(r"(step|task)-\d+")
_OPEN_SOURCE: Mapping[KargoVersion, str] = {
    KargoVersion(1, 9): (
        "argocd-update compose-output copy delete git-clear git-clone git-commit git-merge-pr git-open-pr git-push"
        " git-wait-for-pr helm-template helm-update-chart http http-download json-parse json-update kustomize-build"
        " kustomize-set-image oci-download set-metadata untar yaml-merge yaml-parse yaml-update"
    ),
    KargoVersion(1, 10): "argocd-wait fail git-tag github-push oci-push set-freight-alias toml-parse toml-update",
    KargoVersion(1, 11): "file-write",
}
"""The steps of open-source Kargo, by the first version that has them; a promotion with any other fails."""
_INSTEAD: Mapping[str, str] = {
    "helm-update-image": "write it as yaml-update: Kargo 1.2 was the last to have it",
    "gha-dispatch-workflow": "write it as http: only Akuity's platform has it",
    "send-message": "write it as http: only Akuity's platform has it",
}


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
        check_steps(self.spec.steps, version)
        if any(step.task is not None for step in self.spec.steps):
            raise RefusedByKargo("a task has no tasks for steps", field="task")


def check_steps(steps: tuple[Step, ...], version: KargoVersion) -> None:
    """Refuse steps that Kargo would not run as they are meant."""
    if not steps:
        raise RefusedByKargo("there is no step, so nothing would be verified", field="steps")
    for step in steps:
        step.check()
        if step.uses is not None and not has_step(step.uses, version):
            message, hint = no_step(step.uses, version)
            raise RefusedByKargo(message, field="uses", hint=hint)
    aliases = [step.alias for step in steps if step.alias]
    if len(set(aliases)) < len(aliases) or any(_RESERVED.fullmatch(alias) for alias in aliases):
        raise RefusedByKargo(f"steps need aliases of their own: {aliases}", field="as")


@lru_cache(maxsize=256)
def has_step(name: str, version: KargoVersion) -> bool:
    """Whether open-source Kargo of that version has a step of that name."""
    return any(first <= version and name in names.split() for first, names in _OPEN_SOURCE.items())


def no_step(name: str, version: KargoVersion) -> tuple[str, str]:
    """Return what to say of a step that there is not, and a hint."""
    later = next((first for first, names in _OPEN_SOURCE.items() if name in names.split()), None)
    hint = f"Kargo {later} is the first to have it" if later else "is it spelled as Kargo spells it?"
    return f"Kargo {version} has no step {name!r}", _INSTEAD.get(name, hint)
