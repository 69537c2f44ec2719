"""The seam to what runs promotion steps and evaluates expressions: Kargo's own code, or nothing."""

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


class Steps(Protocol):
    """Evaluates a value with expressions, and runs the steps of a stage."""

    def evaluate(
        self, value: Any, *, stage: Document, freight: Sequence[Document], variables: Mapping[str, Any]
    ) -> Any:
        """Return what a verification's argument comes to.

        Raises:
            ValueError: it cannot be evaluated.
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
    """What `tests.kargo.judge` answers: Kargo's own packages."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def evaluate(
        self, value: Any, *, stage: Document, freight: Sequence[Document], variables: Mapping[str, Any]
    ) -> Any:
        metadata = stage["metadata"]
        told = {"project": metadata["namespace"], "stage": metadata["name"]}
        requests = stage["spec"]["requestedFreight"]
        try:
            return self._judge.evaluate(value, ctx=told, vars=dict(variables), freight=freight, requests=requests)
        except Refused as reason:
            raise ValueError(str(reason)) from reason

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
        answer = self._judge.ask(
            "promote",
            stage=stage,
            freight=freight,
            collection=others,
            tasks=tasks,
            secrets=secrets,
            warehouses=warehouses,
        )
        return Promoted(answer["phase"], answer.get("message", ""), answer.get("steps", ()), answer.get("outputs", {}))
