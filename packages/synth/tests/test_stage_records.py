from __future__ import annotations

from dataclasses import replace

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
    Step,
    StepsSpec,
    VerificationArgument,
)
from image_factory_synth.versions import KargoVersion

V11 = KargoVersion(1, 11)
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


@pytest.mark.parametrize(
    "refused",
    [
        pytest.param(stage(), id="no step, so nothing would be verified"),
        pytest.param(stage(Step(uses="http"), freight=()), id="no Freight"),
        pytest.param(stage(Step(uses="http"), freight=(FREIGHT, FREIGHT)), id="one origin twice"),
        pytest.param(stage(Step(uses="http", alias="a"), Step(uses="copy", alias="a")), id="one alias twice"),
        pytest.param(stage(Step(uses="http", alias="step-1")), id="an alias that Kargo gives itself"),
    ],
)
def test_what_kargo_refuses_is_refused(refused: Stage) -> None:
    with pytest.raises(RefusedByKargo):
        refused.document(V11)


@pytest.mark.parametrize("value", ["{{args.imageName}}", 'a"b', "a\\b", ""])
def test_an_argument_that_could_end_a_word_of_the_job_is_refused(value: str) -> None:
    argument = VerificationArgument(name="a", value="plain")

    assert document(argument, V11) == {"name": "a", "value": "plain"}
    with pytest.raises(RefusedByKargo):
        document(replace(argument, value=value), V11)
