"""P18: for every batch with any subset of images that cannot be read, the others are done as if those were absent.

Fails where `usecases.analyze` lets an error of one image end the loop, or where a failing image's
bases are given to another.
"""

from __future__ import annotations

import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from image_factory.builtins import builtin_plugins
from image_factory.model.settings import Settings
from image_factory.plugins import load_plugins
from image_factory.shell.store import Store
from image_factory.testing.clock import FixedClock
from image_factory.usecases.analyze import analyze
from image_factory.usecases.outcome import Failed
from image_factory.usecases.workbench import Workbench

NOW = datetime(2026, 3, 1, tzinfo=UTC)
GOOD = ("FROM node:22\n", "FROM golang:1 AS b\nFROM debian:12\nCOPY --from=b /a /a\n", "FROM scratch\n")
BAD = ("FROM node:${NOPE}\n", "FROM Not/Lower\n", "FROM {{ template }}\n", "\x00\xff", None)


def analyzed(folder: Path, files: dict[str, str | None]) -> tuple[dict[str, str], set[str]]:
    """Analyze these images in a fresh folder; return the state files written, and the names that failed."""
    services, root = folder / "services", folder / "image-factory"
    for place in (services, root):
        place.mkdir(parents=True)
    entries: list[dict[str, Any]] = []
    for name, text in files.items():
        if text is not None:
            (services / name).mkdir()
            (services / name / "Dockerfile").write_text(text)
        source = {"provider": "git", "repo": "services", "dockerfile": f"{name}/Dockerfile"}
        entries.append({"name": name, "registry": "ghcr.io", "repository": f"acme/{name}", "source": source})
    (services / "README").write_text("services\n")
    (root / "images.yaml").write_text(yaml.safe_dump(entries).replace("repo: services", f"repo: {services}"))
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run(["git", *identity, *words], cwd=services, check=True)
    clock, options, nothing = FixedClock(NOW), Settings(), None

    def load() -> Any:
        return load_plugins(options, nothing, clock, builtins=builtin_plugins(), found=())  # type: ignore[arg-type]

    bench = Workbench(root, options, Store(root, options, cache=False), clock, load)
    analysis = analyze(bench)
    bench.plugins.sources["git"].close()  # type: ignore[attr-defined]
    written = {str(change.path): (change.new or "").replace(str(folder), "") for change in analysis.changes}
    return written, {outcome.item for outcome in analysis.outcomes if isinstance(outcome, Failed)}


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.sampled_from(GOOD), min_size=1, max_size=4),
    st.lists(st.sampled_from(BAD), min_size=1, max_size=4),
    st.randoms(use_true_random=False),
)
def test_p18_the_others_are_done_as_if_the_failing_ones_were_absent(
    good: list[str], bad: list[str | None], random: Any
) -> None:
    healthy: dict[str, str | None] = {f"good-{number}": text for number, text in enumerate(good)}
    failing: dict[str, str | None] = {f"bad-{number}": text for number, text in enumerate(bad)}
    mixed = [*healthy.items(), *failing.items()]
    random.shuffle(mixed)

    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        alone, none_failed = analyzed(Path(one), healthy)
        together, failed = analyzed(Path(other), dict(mixed))

    assert none_failed == set()
    assert failed == set(failing)
    assert {path: text for path, text in together.items() if "bad-" not in path} == alone
