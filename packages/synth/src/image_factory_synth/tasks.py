"""What stages share: how a request is read. Pure.

A stage that names a task gives it variables; its steps run within the stage's promotion as if they stood there,
and what `compose-output` makes of theirs is the task's own output. Written once for all images.
"""

from __future__ import annotations

from datetime import timedelta

from image_factory.model.settings import KargoSettings
from image_factory_synth.fields import Expression
from image_factory_synth.records import MANAGED_BY, ObjectMeta, Resource
from image_factory_synth.state_repository import StateRepository, state_repository
from image_factory_synth.steps import PromotionTask, PromotionTaskSpec, Retry, Step, StepVariable, TaskName

READ_REQUEST = "read-rebuild-request"
REQUEST = "request"
"""The output of `read-rebuild-request`: a map with the keys of `READ`."""
READ = {
    "status": 'string(get($env, "status") ?? "")',
    "requestId": 'string(get($env, "requestId") ?? "")',
    "versionBump": 'string(get($env, "versionBump") ?? "patch")',
    "triggeredBy": (  # as the embedded engine says it (`image_factory.usecases.trigger`)
        'let by = string(get($env, "triggeredBy") ?? "policy");'
        ' by == "policy" ? "image-factory" : "image-factory " + (by == "cli" ? "rebuild" : by)'
    ),
    # One line, as the embedded engine writes it; `toJSON` of a list would write one line for each of its parts.
    "digests": (
        '"[" + join(map(sortBy(get($env, "digests") ?? [], .reference), '
        '"{\\"reference\\":" + toJSON(.reference) + ",\\"digest\\":" + toJSON(.digest)'
        ' + (get(#, "role") in [nil, ""] ? "" : ",\\"role\\":" + toJSON(.role)) + "}"), ",") + "]"'
    ),
    "baseImage": (
        'let to = get(get(get($env, "causes") ?? [], 0) ?? {}, "to");'
        ' get(find(get($env, "digests") ?? [], .digest == to) ?? {}, "reference") ?? ""'
    ),
    # Kargo copies what steps put out, and ends a promotion over an integer that is not 64 bits wide, as `len` makes.
    "waits": 'float(len(get($env, "waitsFor") ?? []))',
}
"""What is read of a request's file, by expressions over it; a key that is not written in it is no error."""
RETRY = Retry(error_threshold=3, timeout=timedelta(minutes=10))
"""How often a step that speaks to a git host is tried; Kargo tries once where nothing is said."""

_STATE = "./state"


def tasks(settings: KargoSettings) -> tuple[Resource, ...]:
    """Return the tasks that `image_factory_synth.stages` name; none where no stage stands."""
    state = state_repository(settings)
    if state is None:
        return ()
    return (_task(settings, READ_REQUEST, ("file",), _read(state)),)


def task_step(alias: str, name: str, **variables: str | Expression) -> Step:
    """Return the step that is the task `name`, with its variables."""
    return Step(
        alias=alias,
        task=TaskName(kind="PromotionTask", name=name),
        variables=tuple(StepVariable(name=key, value=value) for key, value in variables.items()),
    )


def _task(settings: KargoSettings, name: str, variables: tuple[str, ...], steps: tuple[Step, ...]) -> PromotionTask:
    return PromotionTask(
        metadata=ObjectMeta(name=name, namespace=settings.namespace, labels=MANAGED_BY),
        spec=PromotionTaskSpec(variables=tuple(StepVariable(name=each) for each in variables), steps=steps),
    )


def _read(state: StateRepository) -> tuple[Step, ...]:
    """Return the steps that read a request as it stands now, whichever commit made the Freight.

    A Freight that is promoted late, or once more, would start what was started or given up since.
    """
    outputs = tuple({"name": name, "fromExpression": text} for name, text in READ.items())
    return (
        Step(
            uses="git-clone",
            retry=RETRY,
            config={"repoURL": state.url, "checkout": ({"path": _STATE, "branch": state.branch},)},
        ),
        Step(
            uses="yaml-parse",
            alias="file",
            config={"path": Expression(f"{_STATE}/${{{{ vars.file }}}}"), "outputs": outputs},
        ),
        # A map as a whole keeps its texts texts; one by one, an id such as 12 would become a number.
        Step(uses="compose-output", config={REQUEST: Expression("${{ task.outputs.file }}")}),
    )
