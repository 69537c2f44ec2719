"""P15, its other half: an emergency passes every delay, and no verification.

An image that asks for a verification or a policy is rebuilt at once like any other, and its new version is
carried to none of its consumers while nobody vouches for it: neither by the run that settles the build nor by
any later one, whatever the order, the exemptions and the policies of the others say.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from image_factory.builtins import builtin_plugins
from image_factory.decide.authorization import Identity, IdentityKind
from image_factory.decide.orders import parse_order
from image_factory.errors import VerificationError
from image_factory.model.settings import Settings
from image_factory.plugins import PluginTable, load_plugins
from image_factory.ports import RunStatus
from image_factory.shell.http import HttpClient
from image_factory.shell.store import Store
from image_factory.testing.clock import FixedClock
from image_factory.testing.engine_world import EnginePlugin, EngineWorld
from image_factory.testing.quick_folder import quick_folder
from image_factory.usecases.emergency import order_emergency
from image_factory.usecases.observe import observe
from image_factory.usecases.outcome import Failed
from image_factory.usecases.run import Manner, Ran, run
from image_factory.usecases.workbench import Workbench

image_factory_yaml = pytest.importorskip("image_factory_yaml", reason="the plugin yaml is not installed")

IMAGES = ("api", "web", "worker")
ALICE = Identity("alice", IdentityKind.OIDC)
GATES = st.sampled_from(
    [
        {},
        {"verification": {"signature": True}},
        {"policy": {"findings": "none-critical"}},
        {"verification": {}, "policy": {}},
    ]
)
"""What an image asks for before its consumers get it; asking for anything is asking, be it empty."""


@dataclass
class Shop:
    """Images on one base, each named by a consumer's file of its own."""

    folder: Path
    gates: dict[str, dict[str, Any]]
    delay: int
    world: EngineWorld = field(default_factory=lambda: EngineWorld(FixedClock()))

    def begin(self) -> None:
        self.world.publish("library/node", "1", "node 0")
        entries = []
        for image, gate in self.gates.items():
            self.world.dockerfiles[f"acme/{image}"] = "FROM node:1\n"
            self.world.publish(f"acme/{image}", "1.0.0", f"{image} 0")
            self.world.files[f"{image}.yaml"] = f"image: ghcr.io/acme/{image}:1.0.0\n"
            update = {"repo": "acme/deploy", "path": f"{image}.yaml", "type": "yaml-update", "mode": "pr"}
            source = {"provider": "fake", "repo": f"acme/{image}"}
            entry = {"name": image, "registry": "ghcr.io", "repository": f"acme/{image}", "source": source}
            entries.append({**entry, "rebuildDelay": f"{self.delay}d", "updates": [update], **gate})
        (self.folder / "images.yaml").write_text(yaml.safe_dump(entries))
        emergency = {"actors": ["alice"], "trustedIdentities": ["oidc"]}
        (self.folder / "config.yaml").write_text(yaml.safe_dump({"emergency": emergency}))

    @contextlib.contextmanager
    def bench(self) -> Iterator[Workbench]:
        config = Settings.model_validate({"watch": {"privateInterval": "0", "longestInterval": "0"}})
        with HttpClient(config, self.world.clock) as http:

            def load() -> PluginTable:
                plugins = {**builtin_plugins(), "engine": EnginePlugin(self.world), "yaml": image_factory_yaml}
                return load_plugins(config, http, self.world.clock, builtins=plugins, found=())

            yield Workbench(self.folder, config, Store(self.folder, config), self.world.clock, load)

    def run(self) -> Ran:
        with self.bench() as bench:
            return run(bench, Manner(jobs=1))

    def merge(self) -> None:
        for branch in list(self.world.pulls):
            self.world.merge(branch)


@settings(max_examples=12, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(
    gates=st.fixed_dictionaries(dict.fromkeys(IMAGES, GATES)),
    is_exempt=st.booleans(),
    delay=st.integers(0, 60),
    by_name=st.booleans(),
    anyway=st.booleans(),
    later=st.lists(st.sampled_from([1, 11, 60, 3 * 24 * 60]), min_size=2, max_size=3),
)
def test_no_consumer_gets_what_nobody_vouches_for(
    gates: dict[str, dict[str, Any]], is_exempt: bool, delay: int, by_name: bool, anyway: bool, later: list[int]
) -> None:
    exemption = {"policy": "findings", "owner": "alice", "reason": "no fix", "expiry": "2030-01-01"}
    if is_exempt:
        gates = {image: {**gate, "exemptions": [exemption]} for image, gate in gates.items()}
    guarded = {image for image, gate in gates.items() if {"verification", "policy"} & gate.keys()}
    with quick_folder() as folder:
        shop = Shop(folder, gates, delay)
        shop.begin()
        shop.run()
        shop.world.clock.advance(timedelta(hours=1))
        shop.world.publish("library/node", "1", "node fixed")
        target: dict[str, Any] = {"images": list(IMAGES)} if by_name else {"base": "node:1"}
        with shop.bench() as bench:
            bench.store.apply(observe(bench).changes)
            order = parse_order(cve="CVE-2026-12345", reason="exploited", anyway=anyway, **target)
            ordered = order_emergency(bench, order, ALICE)
            bench.store.apply(ordered.changes)
        assert {request.name for request in ordered.requests} == set(IMAGES)

        shop.run()
        assert {build.image for build in shop.world.builds} == set(IMAGES), "it is at once, whatever is to be proven"
        for build in shop.world.builds:
            shop.world.finish(build, RunStatus.SUCCEEDED)
        for minutes in later:
            shop.world.clock.advance(timedelta(minutes=minutes))
            ran = shop.run()
            proposed = {edit.path for proposal in shop.world.pulls.values() for edit in proposal.edits}
            assert proposed.isdisjoint({f"{image}.yaml" for image in guarded})
            shop.merge()
            refused = {
                outcome.item
                for outcome in ran.outcomes
                if isinstance(outcome, Failed) and isinstance(outcome.error, VerificationError)
            }
            assert {image for image in guarded if any(image in item for item in refused)} == guarded

        for image in IMAGES:
            version = "1.0.0" if image in guarded else "1.0.1"
            assert shop.world.files[f"{image}.yaml"] == f"image: ghcr.io/acme/{image}:{version}\n"
            with shop.bench() as bench:
                assert bench.store.images().records[image].runtime.current_version == "1.0.1", (
                    "it is built all the same"
                )
