"""Row 94: what we write has Kargo ask no more of Docker Hub than it takes, simulated over days against its limit.

Kargo looks at once at what is applied, and again an interval after each look; each look is one GET of a manifest,
and for a digest that is new one more for each platform. The registry is a real one on loopback, which counts as
Docker Hub does; its clock is ours.
"""

from __future__ import annotations

import heapq
import json
from datetime import timedelta
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

pytest.importorskip("image_factory_synth", reason="image-factory-synth is not installed")

from image_factory.model.settings import KargoSettings
from image_factory.testing.clock import FixedClock
from image_factory.testing.registry_server import Quota, RegistryServer
from image_factory_synth.data import Inventory, ManagedImage, Role, WatchedImage
from image_factory_synth.schedule import Budget, traffic
from image_factory_synth.versions import KNOWN
from image_factory_synth.warehouses import Planned, plan_warehouses

DAY = timedelta(days=1)
PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x")
HUB = Budget(400, "plugin dockerhub")
"""100 in six hours, as the plugin says of who is not logged in."""


def planned(bases: int, managed: int) -> Planned:
    """Plan a folder whose base images, and some of whose own, lie on Docker Hub."""
    watched = tuple(
        WatchedImage(
            name=f"base-{number}",
            role=Role.BASE,
            repo_url=f"docker.io/library/base{number}",
            allow_tags="^22$",
            tag="22",
        )
        for number in range(bases)
    )
    own = tuple(ManagedImage(name=f"own-{number}", repo_url=f"docker.io/acme/own{number}") for number in range(managed))
    return plan_warehouses(Inventory(own, watched), KargoSettings(), KNOWN[-1])


class Kargo:
    """What of Kargo asks a registry."""

    def __init__(self, server: RegistryServer, clock: FixedClock, plan: Planned) -> None:
        self._server = server
        self._clock = clock
        self._start = clock.now()
        self._known: set[str] = set()
        self._of = {
            name: (warehouse["spec"]["subscriptions"][0]["image"], plan.intervals[name])
            for name, warehouse in plan.warehouses
        }
        self._due = [(timedelta(), name) for name in sorted(self._of)]
        self.asked = 0
        self.refused = 0

    def run(self, until: timedelta) -> None:
        """Look at whatever is due, up to then."""
        while self._due and self._due[0][0] < until:
            at, name = heapq.heappop(self._due)
            self._clock.advance(self._start + at - self._clock.now())
            image, interval = self._of[name]
            self._look(image["repoURL"].removeprefix("docker.io/"), image["constraint"])
            heapq.heappush(self._due, (at + interval, name))

    def _look(self, repository: str, tag: str) -> None:
        index, digest = self._get(repository, tag)
        if digest and digest not in self._known:
            self._known.add(digest)
            for each in json.loads(index)["manifests"]:
                self._get(repository, each["digest"])

    def _get(self, repository: str, reference: str) -> tuple[bytes, str]:
        self.asked += 1
        accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"
        asked = Request(f"{self._server.url}/v2/{repository}/manifests/{reference}", headers={"Accept": accept})
        try:
            with urlopen(asked, timeout=10) as answer:
                return answer.read(), str(answer.headers["Docker-Content-Digest"])
        except HTTPError as error:
            if error.code != 429:
                raise
            self.refused += 1
            return b"", ""


def filled(server: RegistryServer, plan: Planned, seed: str) -> None:
    for name, warehouse in plan.warehouses:
        image = warehouse["spec"]["subscriptions"][0]["image"]
        repository = image["repoURL"].removeprefix("docker.io/")
        # Most images are of one platform's interest and stay; every eighth moves each day.
        if seed == "0" or int(name.rpartition("-")[2]) % 8 == 0:
            server.push_image(repository, image["constraint"], platforms=PLATFORMS, seed=f"{name} {seed}", index=True)


def simulated(plan: Planned, days: int, quota: Quota) -> tuple[Kargo, list[int]]:
    """Let days pass, the limit from the second on; return Kargo, and how many requests each day saw.

    On the first day all is new, and Kargo gets all of it at once, whatever intervals say: that is more than Docker
    Hub takes of somebody unknown from some twenty base images on, and Kargo tries again until it has them.
    """
    clock = FixedClock()
    with RegistryServer(quota=quota, clock=clock) as server:
        kargo = Kargo(server, clock, plan)
        server.quota = None
        filled(server, plan, "0")
        seen: list[int] = []
        for day in range(days):
            if day:
                server.quota = quota
                filled(server, plan, str(day))
            before = kargo.asked
            kargo.run((day + 1) * DAY)
            seen.append(kargo.asked - before)
        return kargo, seen


def test_days_of_checks_of_a_realistic_set_meet_no_refusal() -> None:
    plan = planned(bases=40, managed=1)

    kargo, seen = simulated(plan, 4, Quota())

    assert min(seen[1:]) >= 24 + 40 - 2
    assert kargo.refused == 0


def test_what_a_day_really_sees_is_within_what_is_told() -> None:
    plan = planned(bases=40, managed=1)
    (told,) = traffic(plan.checks, plan.intervals, {"docker.io": HUB})

    clock = FixedClock()
    with RegistryServer(clock=clock) as server:
        filled(server, plan, "0")
        kargo = Kargo(server, clock, plan)
        kargo.run(DAY)
        looks = sum(request.path.rpartition("/")[2] in ("22", "latest") for request in server.requests)

    assert looks == told.requests_per_day <= HUB.per_day
    assert told.excess == 0


def test_what_is_told_to_be_too_much_is_refused() -> None:
    plan = planned(bases=10, managed=20)
    (told,) = traffic(plan.checks, plan.intervals, {"docker.io": HUB})

    kargo, _ = simulated(plan, 2, Quota())

    assert told.excess > 0
    assert kargo.refused > 0
