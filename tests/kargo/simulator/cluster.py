"""The cluster as a whole: time, Warehouses that look when it is their turn, CronJobs and webhooks.

Warehouses: pkg/controller/warehouses/warehouses.go of Kargo 1.11.2; receivers:
pkg/webhook/external/refresh.go and github.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.kargo.simulator.discovery import (
    DiscoveryFailed,
    Registries,
    Repositories,
    commits,
    head,
    images,
    matches_paths,
    touched,
)
from tests.kargo.simulator.freight import Commit, Freight, Image
from tests.kargo.simulator.jobs import Ran, next_tick, run_job
from tests.kargo.simulator.resources import Document, Resources, duration, name_of
from tests.kargo.simulator.stages import StageController
from tests.kargo.simulator.steps import Secrets, Steps

from image_factory.testing.clock import FixedClock

FLOOR = timedelta(minutes=5)
"""No Warehouse looks more often (MIN_WAREHOUSE_RECONCILIATION_INTERVAL of Kargo's chart)."""
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(milliseconds=5), timedelta(seconds=1000)
"""After a failure, doubled each time (controller-runtime's rate limiter)."""


@dataclass
class Warehouse:
    """A Warehouse's status."""

    name: str
    generation: int = 0
    due: datetime | None = None
    """When it looks next; None: at once."""
    failures: int = 0
    problem: str = ""
    """Why it makes no Freight."""
    looks: int = 0
    heads: dict[int, tuple[str, list[Commit]]] = field(default_factory=dict)
    """Of each git subscription: where its branch stood, and what was found there."""


@dataclass
class Cluster:
    """A cluster with Kargo and Argo Rollouts, to which manifests are applied."""

    clock: FixedClock
    steps: Steps
    registries: Registries
    repositories: Repositories
    secrets: Secrets
    path: str
    resources: Resources = field(default_factory=Resources)
    warehouses: dict[str, Warehouse] = field(default_factory=dict)
    jobs: list[Ran] = field(default_factory=list)
    """All that ran, in order."""
    ticks: dict[str, datetime] = field(default_factory=dict)
    """When each CronJob ran last."""
    suspended: set[str] = field(default_factory=set)
    is_down: bool = False
    """Whether Kargo's controllers are away: Jobs run, and nothing looks or promotes."""
    told: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """Of each git subscription: the commit that receivers were last told of."""

    def __post_init__(self) -> None:
        self.stages = StageController(self.resources, self.clock, self.steps, self.secrets, self.path, ran=self._ran)

    @property
    def freight(self) -> Mapping[str, Freight]:
        return self.stages.freight

    def freight_of(self, warehouse: str) -> list[Freight]:
        """Return what a Warehouse made, oldest first."""
        made = [each for each in self.freight.values() if each.warehouse == warehouse]
        return sorted(made, key=lambda each: each.discovered_at)

    def apply(self, text: str) -> None:
        """Apply manifests, and let all happen that happens at once."""
        self.resources.apply(text)
        for name in [name for name in self.warehouses if self.resources.find("Warehouse", name) is None]:
            del self.warehouses[name]
        self._happen()

    def advance(self, time: timedelta) -> None:
        """Let time pass, and all happen that is due on the way."""
        until = self.clock.now() + time
        while True:
            self._happen()
            following = self._next()
            if following > until:
                break
            self._stand_at(following)
        self._stand_at(until)

    def skip(self, time: timedelta) -> None:
        """Let time pass with no CronJob run, where what they would come to is known: nothing."""
        kept, self.suspended = self.suspended, {name_of(each) for each in self.resources.all("CronJob")}
        try:
            self.advance(time)
        finally:
            self.suspended = kept

    def refresh(self, *warehouses: str) -> None:
        """Let Warehouses look now (the annotation kargo.akuity.io/refresh)."""
        for name in warehouses:
            self.resources.get("Warehouse", name)
            self.warehouses[name].due = None
        self._happen()

    # --- what happens -------------------------------------------------------------------------------

    def _happen(self) -> None:
        """Do all that is due at this instant: Warehouses, then stages, then CronJobs, and what comes of them."""
        self._look()
        for cron in self.resources.all("CronJob"):
            name = name_of(cron)
            last = self.ticks.setdefault(name, self.clock.now())
            while (tick := next_tick(cron["spec"]["schedule"], last)) <= self.clock.now():
                self.ticks[name] = last = tick
                if name not in self.suspended:
                    job = cron["spec"]["jobTemplate"]
                    self._ran(run_job(job, clock=self.clock, secrets=self.secrets, path=self.path))
        self._look()
        while self._deliver():
            self._look()

    def _deliver(self) -> bool:
        """Tell the receivers of all that was pushed meanwhile; return whether a Warehouse looks for it."""
        config = self.resources.find("ProjectConfig", self.resources.project())
        receivers = [] if config is None else (config.get("spec") or {}).get("webhookReceivers") or []
        if not any("github" in each or "gitlab" in each for each in receivers):
            return False
        found = []
        for warehouse in self.resources.all("Warehouse"):
            for subscription in warehouse["spec"]["subscriptions"]:
                if "git" in subscription and self._is_pushed(name_of(warehouse), subscription["git"]):
                    found.append(name_of(warehouse))
        for name in found:
            self.warehouses[name].due = None
        return bool(found)

    def _is_pushed(self, warehouse: str, subscription: Document) -> bool:
        """Return whether what was pushed since the last look at this concerns a Warehouse (shouldRefresh)."""
        key = (warehouse, subscription["repoURL"], subscription.get("branch", "main"))
        known, tip = self.told.get(key), head(subscription, self.repositories)
        self.told[key] = tip
        if known is None or known == tip:
            return False
        include, exclude = subscription.get("includePaths") or (), subscription.get("excludePaths") or ()
        return matches_paths(include, exclude, touched(self.repositories(subscription["repoURL"]), known, tip))

    def _look(self) -> None:
        for document in () if self.is_down else self.resources.all("Warehouse"):
            warehouse = self.warehouses.setdefault(name_of(document), Warehouse(name_of(document)))
            generation = self.resources.generations["Warehouse", warehouse.name]
            is_new = generation > warehouse.generation
            if is_new or warehouse.due is None or warehouse.due <= self.clock.now():
                self._discover(document, warehouse, is_new=is_new)
                warehouse.generation = generation
        if not self.is_down:
            self.stages.settle()

    def _discover(self, document: Document, warehouse: Warehouse, *, is_new: bool) -> None:
        now = self.clock.now()
        warehouse.looks += 1
        if is_new:
            warehouse.heads.clear()
        try:
            found = self._found(document, warehouse)
        except DiscoveryFailed as error:
            pause = min(_FIRST_PAUSE * 2**warehouse.failures, _LONGEST_PAUSE)
            warehouse.failures, warehouse.problem, warehouse.due = warehouse.failures + 1, str(error), now + pause
            return
        warehouse.failures, warehouse.due = 0, now + max(duration(document["spec"]["interval"]), FLOOR)
        # One subscription without a result, and there is no Freight of the others either.
        missing = [str(url) for url, artifacts in found if not artifacts]
        warehouse.problem = f"nothing found at {', '.join(missing)}" if missing else ""
        if missing or document["spec"].get("freightCreationPolicy", "Automatic") != "Automatic":
            return
        newest = [artifacts[0] for _, artifacts in found]
        pictures = [each for each in newest if isinstance(each, Image)]
        changes = [each for each in newest if isinstance(each, Commit)]
        made = Freight(warehouse.name, pictures, changes, now)
        # What is there already stays as old as it is (AlreadyExists).
        self.stages.freight.setdefault(made.name, made)

    def _found(self, document: Document, warehouse: Warehouse) -> list[tuple[str, list[Image] | list[Commit]]]:
        found: list[tuple[str, list[Image] | list[Commit]]] = []
        for at, subscription in enumerate(document["spec"]["subscriptions"]):
            ((kind, told),) = subscription.items()
            if kind == "image":
                found.append((told["repoURL"], images(told, self.registries)))
                continue
            tip = head(told, self.repositories)
            if warehouse.heads.get(at, ("",))[0] != tip:
                warehouse.heads[at] = (tip, commits(told, self.repositories))
            found.append((told["repoURL"], warehouse.heads[at][1]))
        return found

    def _next(self) -> datetime:
        """Return when something is due again."""
        looks = () if self.is_down else self.warehouses.values()
        due = [each.due for each in looks if each.due is not None]
        for cron in self.resources.all("CronJob"):
            due.append(next_tick(cron["spec"]["schedule"], self.ticks[name_of(cron)]))
        return min(due)

    def _stand_at(self, at: datetime) -> None:
        if at > self.clock.now():
            self.clock.advance(at - self.clock.now())

    def _ran(self, ran: Ran) -> None:
        self.jobs.append(ran)
