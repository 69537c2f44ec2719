"""The embedded engine and the simulated cluster start the same builds, for the same causes, in the same order.

A history is made from a seed: bases that move, builds that end well or badly, emergencies, holds, under
delays, a window and a limit of builds. Both live through it in worlds of
their own, in ticks of ten minutes: `image-factory run` once a tick, and the cluster's CronJob, stages and
Warehouses. Compared is, tick by tick, which images were started to be built, with the digests that the
builds were told, and the causes, reason and outcome that the state tells of each.

What is abstracted from: ids of requests and runs; the digests of images that were built, which hold such an
id, and are compared by image and number; the order of builds within one tick, which the cluster leaves to
when each Warehouse looks; and instants within a tick, since a Job sees a base one minute before the engine.
Bases are looked at once a tick in both, as by a person's refresh: once a day is what both do otherwise.
No base goes back to what it was: Kargo tells of a digest once, so that the cluster learns of it when something
is due for that base (`test_scenarios_watching`), and of a digest that comes for the second time not at all.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.kargo.simulator.cluster import Cluster
from tests.kargo.simulator.steps import Steps
from tests.kargo.world import Build, PublishedImages, World, begun_world

pytest.importorskip("image_factory_github", reason="the plugin github is not installed")
pytest.importorskip("image_factory_gitlab", reason="the plugin gitlab is not installed")
pytest.importorskip("image_factory_synth", reason="synth is not installed")

EXAMPLES = int(os.environ.get("IMAGE_FACTORY_EQUIVALENCE_EXAMPLES", "2"))
FIRST = int(os.environ.get("IMAGE_FACTORY_EQUIVALENCE_FIRST", "1"))
"""The seed of the first history."""
TICK, BEFORE = timedelta(minutes=10), timedelta(minutes=1)
TICKS = 14
HOST = "registry.example.com"
BASES = ("alpine:3.22", "node:22")
IMAGES = {
    "parent": "FROM registry.example.com/alpine:3.22\n",
    "child": "FROM ghcr.io/acme/parent:latest\n",
    "api": "FROM registry.example.com/node:22 AS a\nFROM registry.example.com/alpine:3.22\nCOPY --from=a / /\n",
}


@dataclass(frozen=True)
class Happening:
    """What comes about just before a tick."""

    moves: Sequence[tuple[str, str]] = ()
    """Bases, and what each points at from now on."""
    emergency: str | None = None
    """The base that it is about."""
    held: str | None = None
    released: str | None = None


@dataclass(frozen=True)
class History:
    """All that comes about, and what people decided beforehand."""

    delays: Mapping[str, str]
    window: str
    places: int
    happenings: Mapping[int, Happening]
    failures: frozenset[tuple[str, int]]
    """Which builds of an image fail, by their number."""
    lasts: int
    """Ticks that a build takes."""


def history(seed: int) -> History:
    """Return the history of a seed."""
    chance = random.Random(seed)
    seeds = {base: ["begin"] for base in BASES}
    happenings: dict[int, Happening] = {}
    held: list[str] = []
    for tick in range(1, TICKS):
        moves = []
        for base in BASES:
            if chance.random() < (0.35 if tick < TICKS - 6 else 0.05):
                seeds[base].append(f"{len(seeds[base])}")
                moves.append((base, seeds[base][-1]))
        emergency = chance.choice(BASES) if chance.random() < 0.06 else None
        holds = releases = None
        if held and chance.random() < 0.3:
            releases = held.pop()
        elif not held and chance.random() < 0.1:
            held.append(holds := chance.choice(sorted(IMAGES)))
        happenings[tick] = Happening(moves, emergency, holds, releases)
    failures = {(image, number) for image in IMAGES for number in range(8) if chance.random() < 0.25}
    return History(
        {image: chance.choice(["0s", "20m", "40m"]) for image in IMAGES},
        chance.choice(["0s", "20m"]),
        chance.choice([1, 2, 10]),
        happenings,
        frozenset(failures),
        chance.choice([1, 2]),
    )


Row = tuple[Any, ...]


@dataclass(frozen=True)
class Course:
    """What an engine made of a history."""

    builds: Sequence[Row]
    """Tick, number, image, digests told, causes, reason and outcome of each."""
    requests: Sequence[Mapping[str, Any]]
    """Each that was written, as its build found it."""
    appeared: Mapping[str, datetime]
    """When each digest was published first."""


@dataclass
class Life:
    """One engine's way through a history."""

    world: World
    told: History
    cluster: Cluster | None = None
    """None: the embedded engine."""
    names: dict[str, str] = field(default_factory=dict)
    """Digest → what it is, where that is not the same in both worlds."""
    seen: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    """Image and id of each build → the tick in which it was started, and its number."""
    ended: set[tuple[str, int]] = field(default_factory=set)
    requests: list[Mapping[str, Any]] = field(default_factory=list)
    appeared: dict[str, datetime] = field(default_factory=dict)

    def live(self) -> Course:
        """Go through the history, and return what came of it."""
        # One more than is compared, so that how the last builds were started is known.
        for tick in range(1, TICKS + 2):
            self._come_about(self.told.happenings.get(tick, Happening()))
            self._end_builds(tick)
            self._pass(BEFORE)
            if self.cluster is None:
                self.world.run("run", "--push", "--no-notify", "--jobs=1")
            self._pass(TICK - BEFORE)
            self._see_builds(tick)
        compared = [build for build in self.world.builds if self.seen[build.image, build.id][0] <= TICKS]
        rows = sorted(self._row(build) for build in compared)
        return Course(rows, self.requests, self.appeared)

    def _come_about(self, now: Happening) -> None:
        for base, seed in now.moves:
            digest = self.world.publish(base.partition(":")[0], f"{base} {seed}", base.partition(":")[2])
            self.appeared.setdefault(digest, self.world.clock.now())
        if now.emergency is not None:
            order = ("emergency", "--cve=CVE-2026-1000", f"--base={HOST}/{now.emergency}", "--reason=bad", "--push")
            self.world.run(*order, environment={"GITHUB_ACTOR": "alice"}, may_fail=True)
        if now.held is not None:
            self.world.run("hold", now.held, "--reason=a release", "--push")
        if now.released is not None:
            self.world.run("hold", now.released, "--release", "--push")
        if self.cluster is not None:
            self.cluster.refresh(*self._base_warehouses())

    def _base_warehouses(self) -> Iterator[str]:
        assert self.cluster is not None
        for document in self.cluster.resources.all("Warehouse"):
            if any(HOST in str(each.get("image")) for each in document["spec"]["subscriptions"]):
                yield document["metadata"]["name"]

    def _pass(self, time: timedelta) -> None:
        if self.cluster is None:
            self.world.clock.advance(time)
        else:
            self.cluster.advance(time)

    def _end_builds(self, tick: int) -> None:
        for build in self.world.builds:
            key = (build.image, build.id)
            began, number = self.seen.get(key, (tick, 0))
            if key in self.ended or tick - began < self.told.lasts:
                continue
            self.ended.add(key)
            version = None if (build.image, number) in self.told.failures else f"1.0.{number + 1}"
            digest = self.world.finish(build, version)
            if digest is not None:
                self.names[digest] = f"{build.image} {version}"
                self.appeared[digest] = self.world.clock.now()

    def _see_builds(self, tick: int) -> None:
        for build in self.world.builds:
            key = (build.image, build.id)
            if key not in self.seen:
                self.seen[key] = (tick, sum(image == build.image for image, _ in self.seen))
                self.requests.append(self.world.request(build.image))
                assert self.requests[-1]["requestId"] == build.request_id

    def _row(self, build: Build) -> Row:
        history = self.world.image(build.image)["rebuildHistory"]
        (told,) = [each for each in history if each["requestId"] == build.request_id]
        causes = sorted((each["base"], self._name(each.get("from")), self._name(each["to"])) for each in told["causes"])
        bases = sorted((reference, self._name(digest)) for reference, digest in build.bases.items())
        result = "running" if told["result"] == "started" else told["result"]
        return (*self.seen[build.image, build.id], build.image, bases, causes, told["reason"], result)

    def _name(self, digest: str | None) -> str:
        return self.names.get(digest or "", digest or "")


@contextmanager
def begun(folder: Path, told: History, engine: str) -> Iterator[World]:
    """Give a world in which all is enrolled and nothing is known yet."""
    folder.mkdir()
    with begun_world(folder) as world:
        registries = {**world.config["registries"], HOST: {"endpoint": world.registry.url}}
        world.configure(
            engine=engine,
            registries=registries,
            coordinationWindow=told.window,
            maxConcurrentRebuilds=told.places,
            retryDelay="10m",
            watch={"privateInterval": "0", "longestInterval": "0"},
        )
        for base in BASES:
            repository, _, tag = base.partition(":")
            world.publish(repository, f"{base} begin", tag)
        world.enroll(*(world.managed(name, text, rebuildDelay=told.delays[name]) for name, text in IMAGES.items()))
        yield world


def embedded(folder: Path, told: History) -> Course:
    with begun(folder, told, "embedded") as world:
        world.run("run", "--push", "--no-notify", "--jobs=1")
        # What lay at the registry before is told by analysis in the cluster, and by the last build here.
        for name in IMAGES:
            digest = PublishedImages(world.registry).digest(f"ghcr.io/acme/{name}", "latest")
            world.run("analyze", f"--image={name}", "--tag=latest", f"--digest={digest}", "--push", "--no-notify")
        world.clock.advance(TICK - BEFORE)
        return Life(world, told).live()


def clustered(folder: Path, told: History, steps: Steps) -> Course:
    with begun(folder, told, "kargo") as world:
        cluster = world.cluster(steps)
        cluster.apply(world.manifests())
        cluster.advance(TICK - BEFORE)
        return Life(world, told, cluster).live()


@pytest.fixture(scope="module", params=range(FIRST, FIRST + EXAMPLES))
def courses(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, steps: Steps
) -> tuple[History, Course, Course]:
    """A history, and what the embedded engine and the cluster made of it."""
    told, folder = history(request.param), tmp_path_factory.mktemp("courses")
    return told, embedded(folder / "embedded", told), clustered(folder / "cluster", told, steps)


def test_both_engines_start_the_same_builds(courses: tuple[History, Course, Course]) -> None:
    _, engine, cluster = courses

    assert cluster.builds == engine.builds
    assert engine.builds, "a history of which nothing is built says nothing"


def test_neither_engine_requests_before_a_cause_is_eligible_or_twice(courses: tuple[History, Course, Course]) -> None:
    told, *both = courses

    for course in both:
        for request in course.requests:
            requested, delay = datetime.fromisoformat(request["requestedAt"]), told.delays[request["name"]]
            # What a parent is rebuilt as is not there yet when its child is requested with it, to wait for it.
            ages = [requested - course.appeared[each["to"]] for each in request["causes"] if each["base"] != "parent"]
            wanted = timedelta(minutes=0 if request["reason"] == "emergency" else int(delay[:-1]))
            assert all(age >= wanted for age in ages), f"{request} after {ages}"
        for image in IMAGES:
            done = [str(row[3]) for row in course.builds if row[2] == image and row[-1] != "failed"]
            assert len(done) == len(set(done)), f"{image} was built twice with the same"
