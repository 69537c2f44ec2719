"""P7: a base image that is enrolled with a source loses its watching fields and keeps its history.

The image that is managed now has the base images of its own Dockerfile, what was built on the base is
built on it, and the history of the one reference goes on in it.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from image_factory.builtins import builtin_plugins
from image_factory.model.image_state import BaseHistory, BaseRuntime
from image_factory.model.settings import Settings
from image_factory.plugins import load_plugins
from image_factory.shell.http import HttpClient
from image_factory.shell.store import Store
from image_factory.testing.clock import FixedClock
from image_factory.testing.records import base_histories, base_runtimes, unknown_keys
from image_factory.usecases.analyze import analyze
from image_factory.usecases.workbench import Workbench

WATCHING = {"repoURL", "allowTags", "imageSelectionStrategy"}
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TAGS = ("22", "22-bookworm-slim", "latest")
"""Of the base: the first is all that some images use, and all are used by others."""


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a Dockerfile for each number of tags that an image may use."""
    folder = tmp_path_factory.mktemp("services")
    for number in range(1, len(TAGS) + 1):
        lines = [f"FROM node:{tag} AS s{index}\n" for index, tag in enumerate(TAGS[:number])]
        (folder / f"web{number}").write_text("".join(lines))
    (folder / "node").write_text("FROM debian:12 AS a\nFROM alpine:3.20\n")
    identity = ("-c", "user.name=Someone", "-c", "user.email=someone@example.com", "-c", "commit.gpgsign=false")
    for words in (("init", "--quiet", "--initial-branch=main"), ("add", "."), ("commit", "--quiet", "--message", "A")):
        subprocess.run(["git", *identity, *words], cwd=folder, check=True)
    return folder


def entry(name: str, repository: str, services: Path, file: str) -> dict[str, Any]:
    source = {"provider": "git", "repo": str(services), "dockerfile": file}
    return {"name": name, "registry": "docker.io", "repository": repository, "source": source}


def analyzed(root: Path, entries: Sequence[dict[str, Any]]) -> Workbench:
    (root / "images.yaml").write_text(yaml.safe_dump(list(entries)))
    clock, config = FixedClock(NOW), Settings()
    http = HttpClient(config, clock)
    bench = Workbench(
        root,
        config,
        Store(root, config, cache=False),
        clock,
        lambda: load_plugins(config, http, clock, builtins=builtin_plugins(), found=()),
    )
    bench.store.apply(analyze(bench).changes)
    http.close()
    return bench


@settings(max_examples=25, deadline=None)
@given(
    number=st.integers(1, len(TAGS)),
    runtime=base_runtimes,
    history=base_histories,
    unknown=unknown_keys,
    name=st.sampled_from(["node", "node-22", "runtime"]),
)
def test_a_base_that_is_enrolled_with_a_source(
    services: Path, number: int, runtime: BaseRuntime, history: BaseHistory, unknown: dict[str, Any], name: str
) -> None:
    """Broken by: dropping the base's record with its last dependent, a merge that begins its history anew."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        web = entry("web", "acme/web", services, f"web{number}")
        bench = analyzed(root, [web])
        bases = bench.store.bases().records
        given_past = {"runtime": runtime, "history": history, "unknown": unknown}
        bench.store.apply(bench.store.plan(bases=[base.model_copy(update=given_past) for base in bases.values()]))

        bench = analyzed(root, [web, entry(name, "library/node", services, "node")])

        images, after = bench.store.images().records, bench.store.bases().records
        assert images[name].configuration.base_images == ("alpine-3-20", "debian-12")
        assert images["web"].configuration.base_images == (name,)
        for base in bases.values():
            if base.name == name:
                # Its record is the managed image's now, history and all; two would be two resources of one name.
                assert base.name not in after
                continue
            written = yaml.safe_load((root / f"state/base-images/{base.name}.yaml").read_text())
            assert WATCHING & written.keys() == set()
            assert after[base.name].history == history
            assert after[base.name].unknown == unknown
        if number == 1:
            assert images[name].history.update_history == history.update_history
            assert images[name].history.rebuild_history == history.rebuild_history
            assert images[name].runtime.current_digest == runtime.current_digest
