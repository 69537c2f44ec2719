"""The seam to what runs promotion steps and makes AnalysisRuns, with all expressions: Kargo's own code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.kargo.judge import Judge, Refused
from tests.kargo.simulator.resources import Document

Secrets = Mapping[str, Mapping[str, str]]
"""Name of a Secret of the Project's namespace → key → value."""


@dataclass(frozen=True, slots=True)
class Promoted:
    """What the steps of one promotion came to."""

    phase: str
    """`Succeeded`, `Failed` or `Errored`."""
    message: str = ""
    steps: Sequence[Document] = ()
    outputs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_succeeded(self) -> bool:
        return self.phase == "Succeeded"


@dataclass(frozen=True, slots=True)
class AnalysisRun:
    """What Argo Rollouts is given to do: metrics whose text names arguments, and their values."""

    metrics: Sequence[Document]
    arguments: Mapping[str, str]


class Steps(Protocol):
    """Runs the steps of a stage, and makes the AnalysisRun that verifies what came of them."""

    def verify(
        self, stage: Document, freight: Document, *, others: Sequence[Document], templates: Sequence[Document]
    ) -> AnalysisRun:
        """Return the AnalysisRun that a stage's verification comes to.

        Args:
            others: the Freight of the stage's other origins.

        Raises:
            ValueError: there can be none, such as where an argument is no text.
        """
        ...

    def promote(
        self,
        stage: Document,
        freight: Document,
        *,
        others: Sequence[Document],
        tasks: Sequence[Document],
        secrets: Secrets,
        warehouses: Sequence[Document],
    ) -> Promoted:
        """Run the stage's promotion template with this Freight, from its first step.

        Args:
            others: the Freight of the stage's other origins.
        """
        ...


class JudgedSteps:
    """What `tests.kargo.judge` answers: Kargo's own packages. Credentials are sent over http, since all is loopback."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def verify(
        self, stage: Document, freight: Document, *, others: Sequence[Document], templates: Sequence[Document]
    ) -> AnalysisRun:
        try:
            answer = self._judge.ask("verify", stage=stage, freight=freight, collection=others, templates=templates)
        except Refused as reason:
            raise ValueError(str(reason)) from reason
        return AnalysisRun(answer["run"]["spec"]["metrics"], answer["args"])

    def promote(
        self,
        stage: Document,
        freight: Document,
        *,
        others: Sequence[Document],
        tasks: Sequence[Document],
        secrets: Secrets,
        warehouses: Sequence[Document],
    ) -> Promoted:
        answer = self._judge.promote(
            stage,
            freight,
            collection=others,
            tasks=tasks,
            secrets=secrets,
            warehouses=warehouses,
            credentialsOverHTTP=True,
        )
        return Promoted(answer["phase"], answer.get("message", ""), answer.get("steps", ()), answer.get("outputs", {}))
