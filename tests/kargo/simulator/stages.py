"""How a stage takes Freight: one promotion at a time, verification after it, and promotion by itself.

From pkg/controller/stages/regular_stages.go and pkg/controller/promotions/promotions.go of Kargo
1.11.2. No manifest of ours asks for soaking, health checks or Argo CD, so none is simulated: a stage
whose last promotion succeeded is healthy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tests.kargo.simulator.freight import Freight, available, candidates
from tests.kargo.simulator.jobs import Ran, filled, run_job
from tests.kargo.simulator.resources import Document, Resources, name_of
from tests.kargo.simulator.steps import Promoted, Secrets, Steps

from image_factory.ports import Clock


@dataclass
class Promotion:
    """One promotion of one Freight to one stage."""

    name: str
    stage: str
    freight: Freight
    at: datetime
    by: str | None = None
    """The person who made it; None for the controller."""
    holds: bool = False
    """Whether a person took other Freight than the controller would have."""
    attempts: int = 0
    result: Promoted | None = None

    @property
    def phase(self) -> str:
        return "Pending" if self.result is None else self.result.phase


@dataclass
class Collection:
    """What a stage holds of each origin since a promotion succeeded."""

    freight: Mapping[str, Freight]
    verifications: list[Verification] = field(default_factory=list)

    @property
    def id(self) -> str:
        names = sorted(each.name for each in self.freight.values())
        return hashlib.sha1("|".join(names).encode(), usedforsecurity=False).hexdigest()

    @property
    def is_verified(self) -> bool:
        return bool(self.verifications) and self.verifications[-1].is_succeeded


@dataclass(frozen=True, slots=True)
class Verification:
    """How the verification of what a stage holds ended."""

    at: datetime
    is_succeeded: bool
    message: str = ""
    jobs: Sequence[Ran] = ()


@dataclass
class Stage:
    """A stage's status; its spec lies with the resources."""

    name: str
    promotions: list[Promotion] = field(default_factory=list)
    history: list[Collection] = field(default_factory=list)
    last: Promotion | None = None
    holds: set[str] = field(default_factory=set)
    """Origins that are promoted by people alone, since one did (autoPromotionHolds)."""
    runs: dict[str, Verification] = field(default_factory=dict)
    """The last AnalysisRun of each collection (findExistingAnalysisRun)."""
    must_verify_again: bool = False
    inherited: Mapping[str, Freight] = field(default_factory=dict)
    """The collection of the last promotion, whatever became of it."""

    @property
    def current(self) -> Collection | None:
        return self.history[-1] if self.history else None

    @property
    def is_healthy(self) -> bool:
        return self.last is not None and self.last.phase == "Succeeded"


@dataclass
class StageController:
    """Reconciles stages. What it starts runs to its end at once: time passes only between reconciliations."""

    resources: Resources
    clock: Clock
    steps: Steps
    secrets: Secrets
    path: str
    freight: dict[str, Freight] = field(default_factory=dict)
    """All there is, by name."""
    stages: dict[str, Stage] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    """How often the controller is to be restarted at the end of a promotion of this stage, before it is recorded."""
    ran: Callable[[Ran], None] = lambda _: None
    """Told of each Job."""

    def stage(self, name: str) -> Stage:
        self.resources.get("Stage", name)
        return self.stages.setdefault(name, Stage(name))

    def promote(self, name: str, freight: Freight, *, by: str) -> Promotion:
        """Promote as a person does, by the command line or in the browser (pkg/webhook/kubernetes/promotion).

        Raises:
            PermissionError: that Freight is not available to the stage.
        """
        document, stage = self.resources.get("Stage", name), self.stage(name)
        there = available(document, name, self.freight.values())
        if freight not in there:
            raise PermissionError(f"Freight {freight.name} is not available to {name}")
        candidate = candidates(document, there).get(freight.warehouse)
        is_held = self.resources.is_promoted_by_itself(document) and candidate is not freight
        return self._created(stage, freight, by=by, holds=is_held)

    def approve(self, name: str, freight: Freight) -> None:
        """Make Freight available to a stage, whatever it lacks."""
        freight.approved_for.add(name)

    def reverify(self, name: str) -> None:
        """Ask for another verification of what the stage holds (the annotation kargo.akuity.io/reverify)."""
        self.stage(name).must_verify_again = True

    def settle(self) -> None:
        """Reconcile all stages until nothing more happens."""
        for name in [name for name in self.stages if self.resources.find("Stage", name) is None]:
            self._removed(name)
        # As many rounds as it takes from the first stage to the last: each round does something new.
        has_done = True
        while has_done:
            done = [self._reconcile(each) for each in self.resources.all("Stage")]
            has_done = any(done)

    def _removed(self, name: str) -> None:
        """A stage that is gone verifies nothing any more (handleDelete)."""
        del self.stages[name]
        for each in self.freight.values():
            each.verified_in.pop(name, None)
            each.approved_for.discard(name)
            each.currently_in.discard(name)

    def _reconcile(self, document: Document) -> bool:
        """Do what one pass of the controller does, in its order; return whether it did anything."""
        stage = self.stage(name_of(document))
        return any(
            [
                self._run_next(document, stage),
                self._verify(document, stage),
                self._mark_verified(stage),
                self._promote_by_itself(document, stage),
            ]
        )

    def _run_next(self, document: Document, stage: Stage) -> bool:
        """Run the oldest promotion that waits, unless what the stage holds is yet to be verified (syncPromotions)."""
        waiting = [each for each in stage.promotions if each.result is None]
        current = stage.current
        if not waiting or (current is not None and stage.is_healthy and not current.verifications):
            return False
        promotion = waiting[0]
        origins = [request["origin"]["name"] for request in document["spec"]["requestedFreight"]]
        kept = {
            origin: each
            for origin, each in stage.inherited.items()
            if origin in origins and origin != promotion.freight.warehouse
        }
        collection = {**kept, promotion.freight.warehouse: promotion.freight}
        self._run(document, promotion, kept.values())
        stage.last, stage.inherited = promotion, collection
        self._hold(document, stage, promotion)
        if promotion.phase == "Succeeded":
            if current is not None and current.freight == collection and current.verifications:
                stage.must_verify_again = True
            else:
                stage.history.append(Collection(collection))
            for each in self.freight.values():
                each.currently_in.discard(stage.name)
            for each in collection.values():
                each.currently_in.add(stage.name)
        return True

    def _run(self, document: Document, promotion: Promotion, others: Iterable[Freight]) -> None:
        """Run a promotion's steps; a restarted controller begins with the first again (promotions.go, promote)."""
        project = self.resources.project()
        is_restarted = True
        while is_restarted:
            promotion.attempts += 1
            promotion.result = self.steps.promote(
                document,
                promotion.freight.document(project),
                others=[each.document(project) for each in others],
                tasks=list(self.resources.all("PromotionTask")),
                secrets=self.secrets,
                warehouses=list(self.resources.all("Warehouse")),
            )
            is_restarted = self.restarts.get(promotion.stage, 0) > 0
            if is_restarted:
                self.restarts[promotion.stage] -= 1

    def _hold(self, document: Document, stage: Stage, promotion: Promotion) -> None:
        if not self.resources.is_promoted_by_itself(document):
            stage.holds.clear()
        elif promotion.holds:
            stage.holds.add(promotion.freight.warehouse)
        elif promotion.by is not None:
            stage.holds.discard(promotion.freight.warehouse)

    def _verify(self, document: Document, stage: Stage) -> bool:
        """Verify what the stage holds, once (verifyStageFreight, startVerification)."""
        current = stage.current
        if current is None or not stage.is_healthy or (current.verifications and not stage.must_verify_again):
            return False
        wanted = document["spec"].get("verification")
        if not wanted:
            found = Verification(self.clock.now(), is_succeeded=True)
        elif current.id in stage.runs and not stage.must_verify_again:
            found = stage.runs[current.id]
        else:
            found = self._analyze(document, wanted, current)
            stage.runs[current.id] = found
        stage.must_verify_again = False
        current.verifications.append(found)
        return True

    def _analyze(self, document: Document, wanted: Document, current: Collection) -> Verification:
        """Run the Jobs of the AnalysisRun to their ends."""
        now, project = self.clock.now(), self.resources.project()
        target, *others = [each.document(project) for each in current.freight.values()]
        templates = [self.resources.find("AnalysisTemplate", each["name"]) for each in wanted["analysisTemplates"]]
        jobs: list[Ran] = []
        try:
            run = self.steps.verify(document, target, others=others, templates=[each for each in templates if each])
        except ValueError as error:
            return Verification(now, is_succeeded=False, message=str(error))
        for metric in filled(run.metrics, run.arguments):
            jobs.append(run_job(metric["provider"]["job"], clock=self.clock, secrets=self.secrets, path=self.path))
            self.ran(jobs[-1])
        failed = [each for each in jobs if not each.is_succeeded]
        return Verification(now, not failed, failed[0].said if failed else "", jobs)

    def _mark_verified(self, stage: Stage) -> bool:
        current = stage.current
        if current is None or not stage.is_healthy or not current.is_verified:
            return False
        unmarked = [each for each in current.freight.values() if stage.name not in each.verified_in]
        for each in unmarked:
            each.verified_in[stage.name] = self.clock.now()
        return bool(unmarked)

    def _promote_by_itself(self, document: Document, stage: Stage) -> bool:
        """Make a promotion for the newest Freight of each origin that is new to the stage (autoPromoteFreight)."""
        if not self.resources.is_promoted_by_itself(document):
            return False
        for request in document["spec"]["requestedFreight"]:
            # A Warehouse that is not there stops the promotions of every origin.
            self.resources.get("Warehouse", request["origin"]["name"])
        made = False
        there = available(document, stage.name, self.freight.values())
        for origin, candidate in candidates(document, there).items():
            known = [each for each in stage.promotions if each.freight is candidate]
            is_current = stage.current is not None and stage.current.freight.get(origin) is candidate
            is_waiting = any(each.result is None for each in known)
            # One that failed is not tried again, since it would be for ever.
            has_failed = bool(known) and known[-1].phase not in ("Succeeded", "Pending")
            if origin in stage.holds or is_current or is_waiting or has_failed:
                continue
            self._created(stage, candidate)
            made = True
        return made

    def _created(self, stage: Stage, freight: Freight, *, by: str | None = None, holds: bool = False) -> Promotion:
        name = f"{stage.name}.{len(stage.promotions):06}.{freight.name[:7]}"
        promotion = Promotion(name, stage.name, freight, self.clock.now(), by, holds)
        stage.promotions.append(promotion)
        return promotion
