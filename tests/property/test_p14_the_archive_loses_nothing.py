"""P14: what is removed lies whole in the archive and nowhere else, and comes back with all its history.

What is another image than it was does not come back, and says why.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from image_factory.model.enrollment import Enrollment
from image_factory.model.image_state import DiscoveryStatus, ImageHistory, ImageRuntime
from image_factory.model.settings import Settings
from image_factory.plugins import PluginTable
from image_factory.shell.store import FileChange, Store
from image_factory.state.archive import read_archived
from image_factory.state.merge import merge_image
from image_factory.testing.clock import FixedClock
from image_factory.testing.records import image_histories, image_runtimes, unknown_keys
from image_factory.usecases.analyze import Analysis, analyze, image_configuration
from image_factory.usecases.cleanup import clean_up, restore
from image_factory.usecases.outcome import Done
from image_factory.usecases.workbench import Workbench

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ENTRY = {"name": "postgres", "registry": "docker.io", "repository": "library/postgres", "tag": "16"}
BUILT = {"name": "postgres", "registry": "docker.io", "repository": "library/postgres", "source": {"repo": "a/b"}}
CONFLICTS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any], str]] = {
    "another repository": (ENTRY, {**ENTRY, "repository": "acme/postgres"}, "is docker.io/acme/postgres now"),
    "another registry": (ENTRY, {**ENTRY, "registry": "quay.io"}, "is quay.io/library/postgres now"),
    "another kind": (BUILT, ENTRY, "it was managed, and is external now"),
}


def no_plugins() -> PluginTable:
    raise AssertionError("an external image needs no plugin to be analyzed")


def bench_of(root: Path, entries: Sequence[Mapping[str, Any]], *, days: int) -> Workbench:
    (root / "images.yaml").write_text(yaml.safe_dump([dict(entry) for entry in entries]))
    config = Settings()
    return Workbench(root, config, Store(root, config, cache=False), FixedClock(NOW + timedelta(days=days)), no_plugins)


def analyzed(root: Path, entries: Sequence[Mapping[str, Any]], *, days: int) -> Analysis:
    bench = bench_of(root, entries, days=days)
    analysis = analyze(bench)
    bench.store.apply(analysis.changes)
    return analysis


def texts(root: Path) -> dict[str, str]:
    state = root / "state"
    return {path.relative_to(state).as_posix(): path.read_bytes().decode() for path in state.rglob("*.yaml")}


def with_past(root: Path, past: Mapping[str, Any], comment: str = "", entry: Mapping[str, Any] = ENTRY) -> str:
    """Enroll the image, give it a past, and return its file's text."""
    analyzed(root, [ENTRY], days=0)
    bench = bench_of(root, [ENTRY], days=0)
    image = bench.store.images().records["postgres"]
    if entry is not ENTRY:
        image = merge_image(image, image_configuration(Enrollment.model_validate(entry)))
    bench.store.apply(bench.store.plan([image.model_copy(update=past)]))
    file = root / "state/images/postgres.yaml"
    file.write_bytes(f"{comment}{file.read_bytes().decode()}".encode())
    return file.read_bytes().decode()


pasts = st.fixed_dictionaries({"runtime": image_runtimes, "history": image_histories, "unknown": unknown_keys})
comments = st.sampled_from(["", "# mine\n", "# mine: ü\n\n"])


@settings(max_examples=40, deadline=None)
@given(past=pasts, comment=comments, by_hand=st.booleans(), times=st.integers(1, 3))
def test_there_and_back_is_the_same(past: dict[str, Any], comment: str, by_hand: bool, times: int) -> None:
    """Broken by: an archive of some fields, a restored record that is written afresh, one that overwrites another."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        text = with_past(root, past, comment)
        history: ImageHistory = past["history"]
        for turn in range(times):
            if by_hand:
                bench = bench_of(root, [], days=turn + 1)
                bench.store.apply(clean_up(bench).changes)
            else:
                analyzed(root, [], days=turn + 1)
            ((path, archived),) = texts(root).items()

            assert path.startswith("_archive/images/postgres/")
            assert read_archived(archived, path).text == text
            assert read_archived(archived, path).at == NOW + timedelta(days=turn + 1)

            if by_hand:
                bench = bench_of(root, [ENTRY], days=turn + 1)
                bench.store.apply(restore(bench, "postgres").changes)
            analyzed(root, [ENTRY], days=turn + 1)

            after = bench_of(root, [ENTRY], days=turn + 1).store.images().records["postgres"]
            assert set(texts(root)) == {"images/postgres.yaml"}
            assert after.history == history
            assert after.unknown == past["unknown"]
            observed: ImageRuntime = past["runtime"]
            # What the analysis itself came to is today's; all that was observed is as it was.
            same = {"discovery_status", "discovery_error", "last_discovery"}
            assert after.runtime.model_dump(exclude=same) == observed.model_dump(exclude=same)
            text = texts(root)["images/postgres.yaml"]


@settings(max_examples=25, deadline=None)
@given(past=pasts, conflict=st.sampled_from(sorted(CONFLICTS)))
def test_another_image_of_its_name_gets_nothing_of_it(past: dict[str, Any], conflict: str) -> None:
    """Broken by: restoring by the name alone."""
    before, now, reason = CONFLICTS[conflict]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with_past(root, past, entry=before)
        analyzed(root, [], days=1)
        archive = texts(root)

        analysis = analyzed(root, [now], days=2)

        image = bench_of(root, [now], days=2).store.images().records["postgres"]
        assert image.history == ImageHistory(enrolled_at=NOW + timedelta(days=2))
        assert image.runtime.current_digest is None
        assert {path: text for path, text in texts(root).items() if path in archive} == archive
        (outcome,) = analysis.outcomes
        assert isinstance(outcome, Done)
        assert any(reason in sentence for sentence in outcome.changes)


@settings(max_examples=25, deadline=None)
@given(past=pasts, stopped=st.integers(0, 4))
def test_a_run_that_is_stopped_halfway_loses_nothing(past: dict[str, Any], stopped: int) -> None:
    """Broken by: removing before the archive is written."""
    analysis = {"discovery_status": DiscoveryStatus.EXTERNAL, "discovery_error": None}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        text = with_past(root, {**past, "runtime": past["runtime"].model_copy(update=analysis)})
        for entries, day in (([], 1), ([ENTRY], 2)):
            bench = bench_of(root, entries, days=day)
            changes: Sequence[FileChange] = analyze(bench).changes
            bench.store.apply(changes[:stopped])

            assert any(saved.startswith(text) for saved in texts(root).values())

            analyzed(root, entries, days=day)
            assert len([path for path in texts(root) if path.startswith("_archive")]) <= 1
            assert texts(root).get("images/postgres.yaml") == (text if entries else None)
