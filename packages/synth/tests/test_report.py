from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from image_factory.errors import InvalidState, Location, NotFound
from image_factory.usecases.outcome import Failed, Skipped
from image_factory_synth.report import exit_code, report, unchanged
from image_factory_synth.schedule import Budget, Traffic
from image_factory_synth.synthesize import Synthesis
from image_factory_synth.versions import KargoVersion
from image_factory_synth.warehouses import Note

HUB = Budget(400, "plugin dockerhub")
CLEAN = Synthesis(
    output=Path("dist/x.yaml"),
    version=KargoVersion(1, 11),
    old=None,
    new="a\n",
    added=("Warehouse/a",),
    changed=(),
    removed=(),
    resources=1,
    rendered=1,
    failures=(),
    refused=(),
    broken={},
    skipped=(),
    pinned=(),
    notes=(),
    places={"a": Location("images.yaml", 7)},
    traffic=(Traffic("docker.io", 2, 2, HUB),),
)


def test_a_clean_run_has_no_problem_and_ends_with_0() -> None:
    found = report(CLEAN, written=True)

    assert (found["written"], found["added"], found["problems"]) == (True, ["Warehouse/a"], [])
    assert found["registries"] == [
        {
            "registry": "docker.io",
            "warehouses": 2,
            "requestsPerDay": 2,
            "budget": 400,
            "budgetFrom": "plugin dockerhub",
            "excess": 0,
        }
    ]
    assert (exit_code(found, strict=False), exit_code(found, strict=True)) == (0, 0)


@pytest.mark.parametrize(
    ("synthesis", "kind", "codes"),
    [
        (replace(CLEAN, failures=(NotFound("x"),)), "failed", (3, 3)),
        (replace(CLEAN, broken={"a": InvalidState("x", location=Location("a.yaml", 3))}), "unreadable", (0, 3)),
        (replace(CLEAN, refused=(Failed("a", NotFound("x")),)), "failed", (3, 3)),
        (replace(CLEAN, skipped=(Skipped("a", "no repoURL"),)), "skipped", (0, 3)),
        (replace(CLEAN, notes=(Note("a", "x"),)), "noted", (0, 0)),
        (replace(CLEAN, traffic=(Traffic("docker.io", 9, 500, HUB),)), "excess", (0, 0)),
    ],
    ids=["failed", "unreadable", "refused", "skipped", "noted", "excess"],
)
def test_each_problem_is_reported_and_counts_as_it_should(
    synthesis: Synthesis, kind: str, codes: tuple[int, int]
) -> None:
    found = report(synthesis, written=True)

    assert [problem["kind"] for problem in found["problems"]] == [kind]
    assert (exit_code(found, strict=False), exit_code(found, strict=True)) == codes


def test_an_excess_names_the_registry_and_by_how_much() -> None:
    (problem,) = report(replace(CLEAN, traffic=(Traffic("docker.io", 9, 500, HUB),)), written=True)["problems"]

    assert problem["message"] == "docker.io: 500 requests a day, 100 more than its 400 (so says plugin dockerhub)"


def test_an_unchanged_run_repeats_the_problems_and_no_change() -> None:
    last = report(replace(CLEAN, broken={"a": InvalidState("x")}), written=True)

    again = unchanged(last)

    assert again["problems"] == last["problems"]
    assert (again["written"], again["rendered"], again["added"]) == (False, 0, [])


def test_what_an_enrollment_causes_has_its_place() -> None:
    (noted,) = report(replace(CLEAN, notes=(Note("a", "x"),)), written=True)["problems"]

    assert (noted["file"], noted["line"]) == ("images.yaml", 7)
