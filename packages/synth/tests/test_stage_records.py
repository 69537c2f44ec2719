from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from image_factory_synth.fields import Expression, RefusedByKargo, document
from image_factory_synth.records import ObjectMeta
from image_factory_synth.stage_records import (
    Origin,
    PromotionTemplate,
    RequestedFreight,
    Sources,
    Stage,
    StageSpec,
    VerificationArgument,
)
from image_factory_synth.steps import PromotionTask, PromotionTaskSpec, Retry, Step, StepsSpec, StepVariable, TaskName
from image_factory_synth.versions import KargoVersion

V11 = KargoVersion(1, 11)
TASK = TaskName(kind="PromotionTask", name="read")
FREIGHT = RequestedFreight(origin=Origin(kind="Warehouse", name="web"), sources=Sources(direct=True))


def stage(*steps: Step, freight: tuple[RequestedFreight, ...] = (FREIGHT,)) -> Stage:
    return Stage(
        metadata=ObjectMeta(name="a", namespace="b"),
        spec=StageSpec(requested_freight=freight, promotion_template=PromotionTemplate(spec=StepsSpec(steps=steps))),
    )


def test_a_stage_is_written_as_kargo_reads_it() -> None:
    step = Step(alias="call", uses="http", condition=Expression("${{ success() }}"), config={"url": "https://a.b"})

    assert stage(step).document(V11)["spec"] == {
        "requestedFreight": [{"origin": {"kind": "Warehouse", "name": "web"}, "sources": {"direct": True}}],
        "promotionTemplate": {
            "spec": {
                "steps": [{"as": "call", "uses": "http", "if": "${{ success() }}", "config": {"url": "https://a.b"}}]
            }
        },
    }


def task(*steps: Step) -> PromotionTask:
    return PromotionTask(
        metadata=ObjectMeta(name="read", namespace="b"),
        spec=PromotionTaskSpec(variables=(StepVariable(name="file"),), steps=steps),
    )


@pytest.mark.parametrize(
    "refused",
    [
        pytest.param(stage(), id="no step, so nothing would be verified"),
        pytest.param(stage(Step(uses="http"), freight=()), id="no Freight"),
        pytest.param(stage(Step(uses="helm-update-image")), id="a step that Kargo has no more"),
        pytest.param(task(Step(uses="gha-dispatch-workflow")), id="a step that only others sell"),
        pytest.param(stage(Step(uses="http"), freight=(FREIGHT, FREIGHT)), id="one origin twice"),
        pytest.param(stage(Step(uses="http", alias="a"), Step(uses="copy", alias="a")), id="one alias twice"),
        pytest.param(stage(Step(uses="http", alias="step-1")), id="an alias that Kargo gives itself"),
        pytest.param(stage(Step(uses="http", task=TASK)), id="a step that is a task and uses something"),
        pytest.param(stage(Step(alias="a")), id="a step that is nothing"),
        pytest.param(stage(Step(task=TASK, config={"a": 1})), id="a task's step with a configuration"),
        pytest.param(stage(Step(task=TASK, condition=Expression("${{ true }}"))), id="a task's step with a condition"),
        pytest.param(stage(Step(task=TASK, retry=Retry(error_threshold=2, timeout=timedelta(minutes=1)))), id="retry"),
        pytest.param(stage(Step(task=TASK, continue_on_error=True)), id="a task's step that may fail"),
        pytest.param(stage(Step(task=TASK, variables=(StepVariable(name="a-b", value="c"),))), id="a variable's name"),
        pytest.param(stage(Step(task=TASK, variables=(StepVariable(name="a", value=""),))), id="an empty variable"),
        pytest.param(task(), id="a task without a step"),
        pytest.param(task(Step(task=TASK)), id="a task within a task"),
        pytest.param(task(Step(uses="http", alias="a"), Step(uses="copy", alias="a")), id="one alias twice in a task"),
    ],
)
def test_what_kargo_refuses_is_refused(refused: Stage | PromotionTask) -> None:
    with pytest.raises(RefusedByKargo):
        refused.document(V11)


def test_a_task_and_the_step_that_is_it_are_written_as_kargo_reads_them() -> None:
    step = Step(alias="read", task=TASK, variables=(StepVariable(name="file", value="a.yaml"),))

    assert task(Step(uses="http", config={"url": "https://a.b"})).document(V11)["spec"] == {
        "vars": [{"name": "file"}],
        "steps": [{"uses": "http", "config": {"url": "https://a.b"}}],
    }
    assert stage(step).document(V11)["spec"]["promotionTemplate"]["spec"]["steps"] == [
        {
            "as": "read",
            "task": {"kind": "PromotionTask", "name": "read"},
            "vars": [{"name": "file", "value": "a.yaml"}],
        }
    ]


@pytest.mark.parametrize("value", ["{{args.imageName}}", 'a"b', "a\\b", ""])
def test_an_argument_that_could_end_a_word_of_the_job_is_refused(value: str) -> None:
    argument = VerificationArgument(name="a", value="plain")

    assert document(argument, V11) == {"name": "a", "value": "plain"}
    with pytest.raises(RefusedByKargo):
        document(replace(argument, value=value), V11)


def test_a_step_of_a_later_kargo_is_refused_and_its_first_version_named() -> None:
    late = stage(Step(uses="fail", config={"message": "no"}))

    assert late.document(KargoVersion(1, 10))
    with pytest.raises(RefusedByKargo, match=r"Kargo 1\.9 has no step 'fail'") as refused:
        late.document(KargoVersion(1, 9))
    assert refused.value.hint == "Kargo 1.10 is the first to have it"
