"""The whole engine against a world with faults at every call: nothing is lost, and nothing is done twice.

A simple model is the judge: what the CI really started, what the registry really held, what was really
told. The state's own word is never taken for it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from datetime import timedelta

import pytest
import yaml
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from image_factory.builtins import builtin_plugins
from image_factory.errors import ImageFactoryError
from image_factory.model.event import EventKind
from image_factory.model.settings import Settings
from image_factory.plugins import PluginTable, load_plugins
from image_factory.ports import RunStatus
from image_factory.shell.http import HttpClient
from image_factory.testing.clock import FixedClock
from image_factory.testing.engine_world import EnginePlugin, EngineWorld, FaultyStore, Killed, Kind, Started
from image_factory.testing.quick_folder import quick_folder
from image_factory.usecases.run import Manner, Ran, run
from image_factory.usecases.workbench import Workbench

image_factory_yaml = pytest.importorskip("image_factory_yaml", reason="the plugin yaml is not installed")

BASES = ("node", "alpine")
IMAGES = {"parent": ("node",), "web": ("parent", "alpine"), "api": ("node", "alpine")}
"""Images and what each is built on."""
DELAYS = {"parent": timedelta(days=1), "web": timedelta(days=3), "api": timedelta(0)}
STEPS = int(os.environ.get("IMAGE_FACTORY_MODEL_STEPS", "30"))
EXAMPLES = int(os.environ.get("IMAGE_FACTORY_MODEL_EXAMPLES", "20"))
"""Six hundred steps as a matter of course; thousands by these variables."""


class Engine(RuleBasedStateMachine):
    """Bases move, time passes, builds end, runs are made and broken off."""

    @initialize()
    def begin(self) -> None:
        logging.disable(logging.CRITICAL)
        self.room = contextlib.ExitStack()
        self.folder = self.room.enter_context(quick_folder("image-factory-model-"))
        self.clock = FixedClock()
        self.world = EngineWorld(self.clock)
        self.moves = 0
        self.faulted = False
        for base in BASES:
            self.world.publish(f"library/{base}", "1", f"{base} 0")
        self.world.files["web.yaml"] = "# the shop\nimage: ghcr.io/acme/web:1.0.0 # front\n"
        entries: list[dict[str, object]] = []
        for image, bases in IMAGES.items():
            lines = [f"FROM {_reference(base)} AS stage{at}" for at, base in enumerate(bases)]
            copies = [f"COPY --from=stage{at} / /" for at in range(len(bases) - 1)]
            self.world.dockerfiles[f"acme/{image}"] = "\n".join([*lines, *copies, ""])
            self.world.publish(f"acme/{image}", "1.0.0", f"{image} 0")
            entries.append(
                {
                    "name": image,
                    "registry": "ghcr.io",
                    "repository": f"acme/{image}",
                    "source": {"provider": "fake", "repo": f"acme/{image}"},
                    "rebuildDelay": f"{int(DELAYS[image].total_seconds())}s" if DELAYS[image] else "0",
                }
            )
        entries[1]["updates"] = [{"repo": "acme/deploy", "path": "web.yaml", "type": "yaml-update", "mode": "pr"}]
        (self.folder / "images.yaml").write_text(yaml.safe_dump(entries))
        assert self.run_whole().steps
        self.world.told.clear()

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.settle_all()
            self.room.close()
        logging.disable(logging.NOTSET)

    def bench(self) -> Workbench:
        config = Settings.model_validate({"watch": {"privateInterval": "0", "longestInterval": "0"}})

        def load() -> PluginTable:
            plugins = {**builtin_plugins(), "engine": EnginePlugin(self.world), "yaml": image_factory_yaml}
            return load_plugins(config, HttpClient(config, self.clock), self.clock, builtins=plugins, found=())

        store = FaultyStore(self.world.faults, self.folder, config)
        return Workbench(self.folder, config, store, self.clock, load)

    def run_whole(self) -> Ran:
        self.world.faults.left = -1
        return run(self.bench(), Manner(jobs=1))

    # --- what happens -----------------------------------------------------------------------------------------

    @rule(base=st.sampled_from(BASES))
    def move(self, base: str) -> None:
        self.moves += 1
        self.world.publish(f"library/{base}", "1", f"{base} {self.moves}")

    @rule(time=st.sampled_from([timedelta(minutes=11), timedelta(hours=1), timedelta(days=1), timedelta(days=2)]))
    def wait(self, time: timedelta) -> None:
        for build in self.world.builds:
            # One that takes longer than a build may is the business of test_settle.
            if build.run.status is RunStatus.RUNNING and self.clock.now() + time - build.at > timedelta(hours=5):
                self.world.finish(build, RunStatus.SUCCEEDED)
        self.clock.advance(time)

    @rule()
    def run_once(self) -> None:
        self.run_whole()

    @rule(calls=st.integers(0, 40), kind=st.sampled_from(Kind))
    def run_with_a_fault(self, calls: int, kind: Kind) -> None:
        self.world.faults.arm(calls, kind)
        self.faulted = True
        with contextlib.suppress(Killed, ImageFactoryError):
            run(self.bench(), Manner(jobs=1))
        self.world.faults.left = -1

    @precondition(lambda self: any(each.run.status is RunStatus.RUNNING for each in self.world.builds))
    @rule(data=st.data(), succeeds=st.sampled_from([True, True, True, False]))
    def end_a_build(self, data: st.DataObject, succeeds: bool) -> None:
        running = [each for each in self.world.builds if each.run.status is RunStatus.RUNNING]
        build = running[data.draw(st.integers(0, len(running) - 1))]
        self.world.finish(build, RunStatus.SUCCEEDED if succeeds else RunStatus.FAILED)

    @precondition(lambda self: bool(self.world.pulls))
    @rule()
    def merge_a_change(self) -> None:
        self.world.merge(next(iter(self.world.pulls)))

    # --- what always holds ------------------------------------------------------------------------------------

    @invariant()
    def no_request_is_started_twice(self) -> None:
        if hasattr(self, "world"):
            ids = [each.run.title for each in self.world.builds]
            assert len(ids) == len(set(ids)), ids

    @invariant()
    def no_build_takes_a_digest_before_its_time(self) -> None:
        for build in self.world.builds if hasattr(self, "world") else ():
            for base, digest in _bases(build):
                appeared = next(at for at, each in self.world.moved_at[f"library/{base}"] if str(each) == digest)
                is_first = self.world.moved_at[f"library/{base}"][0][1]
                assert str(is_first) == digest or build.at - appeared >= DELAYS[build.image], (build, base)

    @invariant()
    def nothing_that_was_built_is_built_again(self) -> None:
        if not hasattr(self, "world"):
            return
        done: dict[str, list[str]] = {}
        for build in self.world.builds:
            inputs = build.inputs["base_images"]
            assert inputs not in done.get(build.image, []), f"{build.image} was built twice with {inputs}"
            if build.run.status is RunStatus.SUCCEEDED:
                done.setdefault(build.image, []).append(inputs)

    @invariant()
    def no_change_is_proposed_twice(self) -> None:
        if hasattr(self, "world"):
            assert len(self.world.pulls) <= 1, list(self.world.pulls)
            assert len(self.world.opened) <= 1 + len(self.world.merged), self.world.opened

    # --- and in the end ---------------------------------------------------------------------------------------

    def settle_all(self) -> None:
        """Let the world rest, and all be done; then hold what was recorded to what happened."""
        quiet = 0
        for _ in range(80):
            for build in self.world.builds:
                if build.run.status is RunStatus.RUNNING:
                    self.world.finish(build, RunStatus.SUCCEEDED)
            for branch in list(self.world.pulls):
                self.world.merge(branch)
            self.clock.advance(timedelta(hours=7))
            before = self.written()
            self.run_whole()
            quiet = quiet + 1 if self.written() == before else 0
            if quiet == 16:  # longer than any delay
                break
        assert quiet == 16, "it goes on for ever"
        bench = self.bench()
        states, requests = bench.store.images().records, bench.store.requests().records
        for image, bases in IMAGES.items():
            told = {build.request_id: build.result for build in states[image].history.rebuild_history}
            happened = {each.run.title: str(each.run.status) for each in self.world.builds if each.image == image}
            missing = {title: status for title, status in happened.items() if told.get(title) != status}
            assert not missing, f"{image}: {missing} of {told}"
            newest = self.world.tags[f"acme/{image}"]
            if happened and "succeeded" in happened.values():
                assert states[image].runtime.current_digest == str(list(newest.values())[-1])
            assert image not in requests or not requests[image].status.is_open, requests[image]
            holds = self._held(image)
            for base in bases:
                if base != "parent":
                    current = self.world.tags[f"library/{base}"]["1"]
                    first = self.world.moved_at[f"library/{base}"][0][1]
                    assert str(current) == holds.get(base, str(first)), f"{image} lacks the newest {base}"
        newest_web = list(self.world.tags["acme/web"])[-1]
        wanted = f"# the shop\nimage: ghcr.io/acme/web:{newest_web} # front\n"
        assert self.world.files["web.yaml"] == wanted or newest_web == "1.0.0"
        self._hold_notices()
        assert list((self.folder / "state" / "outbox").glob("*")) == []

    def written(self) -> dict[str, bytes]:
        """Return every file of the state, as it is."""
        files = sorted((self.folder / "state").rglob("*.yaml"))
        return {str(file): file.read_bytes() for file in files}

    def _held(self, image: str) -> dict[str, str]:
        held: dict[str, str] = {}
        for build in self.world.builds:
            if build.image == image and build.run.status is RunStatus.SUCCEEDED:
                held |= dict(_bases(build))
        return held

    def _hold_notices(self) -> None:
        """Each end of a build was told: once where nothing was broken off, and at least once in any case."""
        for build in self.world.builds:
            wanted = (
                EventKind.REBUILD_SUCCEEDED if build.run.status is RunStatus.SUCCEEDED else EventKind.REBUILD_FAILED
            )
            told = [event for event in self.world.told if event.kind is wanted and event.image == build.image]
            assert told, f"nobody was told of {build.run.title}"
        if not self.faulted:
            distinct = {(event.kind, event.image, event.at, *event.facts.items()) for event in self.world.told}
            assert len(distinct) == len(self.world.told)


def _reference(base: str) -> str:
    return "ghcr.io/acme/parent:latest" if base == "parent" else f"{base}:1"


def _bases(build: Started) -> list[tuple[str, str]]:
    """Return the bases that a build was told, and their digests."""
    pairs = [(each["reference"], each["digest"]) for each in json.loads(build.inputs["base_images"])]
    return [
        (reference.removeprefix("docker.io/library/").partition(":")[0], digest)
        for reference, digest in pairs
        if reference.startswith("docker.io/library/")
    ]


TestEngine = Engine.TestCase
TestEngine.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # A failing course is shown as it was found: making it shorter would take longer than reading it.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
