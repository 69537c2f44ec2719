from __future__ import annotations

from typing import Any

import pytest

from image_factory.model.settings import KargoSettings
from image_factory_synth.fields import Document, Expression, document
from image_factory_synth.tasks import READ, task_step, tasks
from image_factory_synth.versions import KNOWN, KargoVersion

URL = "https://git.example.com/acme/state.git"
SETTINGS = KargoSettings(state_repository=URL, job_image="ghcr.io/acme/tool:1", namespace="factory")


def made(version: KargoVersion = KNOWN[-1]) -> dict[str, Document]:
    return {one.metadata.name: one.document(version) for one in tasks(SETTINGS)}


def steps(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = made()[name]["spec"]["steps"]
    return found


def test_there_is_no_task_where_no_stage_stands() -> None:
    assert tasks(KargoSettings()) == ()


@pytest.mark.parametrize("version", KNOWN, ids=str)
def test_tasks_are_the_same_for_every_kargo(version: KargoVersion) -> None:
    assert made(version) == made()
    assert {one["metadata"]["namespace"] for one in made().values()} == {"factory"}


def test_a_request_is_read_from_the_commit_that_made_the_freight() -> None:
    clone, read, told = steps("read-rebuild-request")

    # As it stands now: the Freight's commit may hold a request that was started or given up since.
    assert clone["config"]["checkout"] == [{"path": "./state", "branch": "main"}]
    assert clone["retry"] == {"errorThreshold": 3, "timeout": "10m0s"}
    assert read["config"]["path"] == "./state/${{ vars.file }}"
    assert [output["name"] for output in read["config"]["outputs"]] == list(READ)
    assert told["config"] == {"request": "${{ task.outputs.file }}"}


def test_every_variable_that_a_task_reads_is_one_that_it_declares_and_the_other_way_round() -> None:
    for one in made().values():
        declared = {variable["name"] for variable in one["spec"]["vars"]}
        text = str(one["spec"]["steps"])
        assert declared == {part.split(" ")[0].rstrip(")") for part in text.replace("}}", " ").split("vars.")[1:]}


def test_a_step_that_is_a_task_gives_it_its_variables() -> None:
    step = task_step("greet", "say-hello", folder="./a", message=Expression("${{ 1 }}"))

    assert document(step, KNOWN[-1]) == {
        "as": "greet",
        "task": {"kind": "PromotionTask", "name": "say-hello"},
        "vars": [{"name": "folder", "value": "./a"}, {"name": "message", "value": "${{ 1 }}"}],
    }
