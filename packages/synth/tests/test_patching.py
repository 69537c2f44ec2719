"""A run that plans single images anew writes and reports what a whole run does, whatever was edited before it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from image_factory.decide.discovery import base_configuration
from image_factory.model.enrollment import Enrollment
from image_factory.model.image_state import (
    BaseHistory,
    BaseState,
    ImageConfiguration,
    ImageHistory,
    ImageRuntime,
    ImageState,
)
from image_factory.oci.reference import Reference
from image_factory.state.codec import dump

pytest.importorskip("image_factory_cli", reason="image_factory_cli is not installed")
pytest.importorskip("image_factory_github", reason="image_factory_github is not installed")

from image_factory_cli.folder import workbench
from image_factory_synth.charts import Chart
from image_factory_synth.schedule import Budget
from image_factory_synth.synth import Run, synth

AT = datetime(2026, 1, 1, tzinfo=UTC)
OUTPUT = "image-factory.k8s.yaml"
CONFIG = "kargo: {stateRepository: https://github.com/acme/p.git, jobImage: ghcr.io/acme/tool:1}\n"
ENTRIES: list[dict[str, Any]] = [
    {"name": "web", "registry": "ghcr.io", "repository": "acme/web", "source": {"repo": "acme/web"}},
    {
        "name": "built",
        "registry": "ghcr.io",
        "repository": "acme/built",
        "source": {"repo": "acme/built", "branch": "1.10", "dockerfile": "apps/on/Dockerfile"},
        "updates": [{"type": "yaml-update", "repo": "acme/deploy", "path": "v.yaml", "key": "image.tag"}],
    },
    {"name": "shop", "registry": "ghcr.io", "repository": "acme/shöp".replace("ö", "o"), "autoRebuild": False},
    {"name": "infrastructure", "repository": "library/redis", "tag": "7-alpine"},
    {"name": "traefik", "repository": "library/traefik", "constraint": "^3.1"},
]


class Plain:
    """A renderer without Node; it counts the charts that it was given."""

    name = "plain"

    def __init__(self) -> None:
        self.rendered: list[str] = []
        self._texts: list[str] = []

    def add(self, charts: Sequence[Chart]) -> None:
        self.rendered += [chart.name for chart in charts]
        self._texts += ["---\n".join(map(_yaml, chart.documents)) for chart in charts]

    def finish(self) -> list[str]:
        texts, self._texts = self._texts, []
        return texts


def _yaml(document: Any) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


class Folder:
    """An image-factory folder that is edited."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.entries = [dict(entry) for entry in ENTRIES]
        for part in ("images", "base-images"):
            (root / "state" / part).mkdir(parents=True)
        (root / "config.yaml").write_text(CONFIG)
        self.enroll()
        for number in range(3):
            self.find_base(number, "22")

    def enroll(self) -> None:
        (self.root / "images.yaml").write_text(yaml.safe_dump(self.entries, sort_keys=False))

    def find_base(self, number: int, tag: str, seconds: int = 0) -> None:
        state = BaseState(
            configuration=base_configuration(
                f"base-{number}", Reference.parse(f"docker.io/library/base{number}:{tag}")
            ),
            history=BaseHistory(first_discovered=AT + timedelta(seconds=seconds)),
        )
        (self.root / "state" / "base-images" / f"base-{number}.yaml").write_text(dump(state))

    def publish(self, number: int, version: str | None, seconds: int = 0) -> None:
        entry = Enrollment.model_validate(ENTRIES[number])
        state = ImageState(
            configuration=ImageConfiguration(name=entry.name, enrollment=entry),
            runtime=ImageRuntime(current_version=version),
            history=ImageHistory(enrolled_at=AT + timedelta(seconds=seconds)),
        )
        (self.root / "state" / "images" / f"{entry.name}.yaml").write_text(dump(state))

    def edit(self, what: str, number: int, value: int) -> None:
        state = self.root / "state"
        match what:
            case "publish":
                self.publish(number, [None, "latest", "1.2.3", "1.2", "2.0.0-rc.1"][value])
            case "known later":
                self.publish(number, "1.2.3", value)
            case "another tag of a base":
                self.find_base(number % 3, ["22", "3-slim", "v1", "x", "latest"][value])
            case "both":
                self.publish(number, ["2.0.0", "latest", None, "1.2.3", "1.2"][value])
                self.find_base(number % 3, ["22", "3-slim", "v1", "x", "latest"][value])
            case "break a state file":
                (state / "base-images" / f"base-{number % 3}.yaml").write_text("a: [")
            case "remove a state file":
                (state / "base-images" / f"base-{number % 3}.yaml").unlink(missing_ok=True)
            case "enroll otherwise":
                self.entries[3]["tag"] = f"{value}-alpine"
                self.enroll()
            case "another namespace":
                (self.root / "config.yaml").write_text(f"{CONFIG[:-2]}, namespace: team-{value}}}\n")
            case "edit the output":
                (self.root / "dist" / OUTPUT).write_text("a: [")
            case "lose what was kept":
                kept = self.root / ".image-factory-cache" / "synth"
                (kept / ["plan.json", "charts.json", "last.json", "plan.json", "none"][value]).unlink(missing_ok=True)
            case "damage what was kept":
                (self.root / ".image-factory-cache" / "synth" / "plan.json").write_text("{")
            case _:
                raise AssertionError(what)


EDITS = [
    *(
        "publish",
        "publish",
        "both",
        "known later",
        "another tag of a base",
        "break a state file",
        "remove a state file",
    ),
    *("enroll otherwise", "another namespace", "edit the output", "lose what was kept", "damage what was kept"),
]


def run(root: Path, renderer: Plain | None = None, *, dry_run: bool = False) -> Run:
    return synth(
        root,
        {},
        root,
        dry_run=dry_run,
        renderer=renderer or Plain(),
        plugins=lambda folder, settings: workbench(folder, settings).plugins,
        budgets=lambda *_: lambda repository: Budget(3, "test") if repository.registry == "docker.io" else None,
    )


def whole(root: Path) -> tuple[bytes, dict[str, Any]]:
    """Return what a run from nothing makes of a copy of the folder."""
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "copy"
        shutil.copytree(root, copy, ignore=shutil.ignore_patterns("dist", ".image-factory-cache"))
        report = run(copy).report
        return (copy / "dist" / OUTPUT).read_bytes(), told(report, copy)


def told(report: dict[str, Any], root: Path) -> dict[str, Any]:
    """Return what a report says of the folder, and not of the change."""
    kept = {key: report[key] for key in ("resources", "pinned", "problems", "registries")}
    shown: dict[str, Any] = json.loads(json.dumps(kept).replace(str(root), "FOLDER"))
    return shown


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(EDITS), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=5))
def test_a_run_after_any_edits_is_a_whole_run(edits: list[tuple[str, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        folder = Folder(root)
        for image in range(5):
            folder.publish(image, "1.0.0")
        run(root)
        for what, number, value in edits:
            folder.edit(what, number, value)
            report = run(root).report

            assert ((root / "dist" / OUTPUT).read_bytes(), told(report, root)) == whole(root)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    for number in range(5):
        made.publish(number, "1.0.0")
    run(tmp_path)
    return made


def planned_alone(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run where a whole run is not to be had."""
    import image_factory_synth.synthesize

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("all was planned")

    with monkeypatch.context() as within:
        within.setattr(image_factory_synth.synthesize, "synthesize", refuse)
        return run(folder.root)


def test_one_state_file_makes_one_chart_anew(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (folder.root / "dist" / OUTPUT).read_bytes()
    folder.publish(0, "latest")

    done = planned_alone(folder, monkeypatch)

    assert (done.report["rendered"], done.report["changed"]) == (1, ["Warehouse/web"])
    assert done.text == (folder.root / "dist" / OUTPUT).read_text()
    assert "imageSelectionStrategy: Digest" in done.diff
    assert str(done.differences["Warehouse/web"][0]).startswith("spec.subscriptions[0].image")
    assert (folder.root / "dist" / OUTPUT).read_bytes() not in (b"", before)
    assert whole(folder.root)[0] == (folder.root / "dist" / OUTPUT).read_bytes()


def test_a_second_change_is_planned_alone_too(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, version in ((0, "latest"), (4, "2.0.0"), (0, "3.0.0"), (1, "latest")):
        folder.publish(number, version)
        planned_alone(folder, monkeypatch)

    assert whole(folder.root)[0] == (folder.root / "dist" / OUTPUT).read_bytes()


def test_a_file_that_cannot_be_written_stays_as_it_was_and_the_next_run_makes_all_anew(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (folder.root / "dist" / OUTPUT).read_bytes()
    folder.publish(0, "latest")

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patched:
        patched.setattr("image_factory_synth.patching.replace_file", full)
        with pytest.raises(OSError, match="No space left"):
            run(folder.root)
    left = (folder.root / "dist" / OUTPUT).read_bytes()
    done = run(folder.root)

    assert left == before
    assert done.report["written"]
    assert whole(folder.root)[0] == (folder.root / "dist" / OUTPUT).read_bytes() != before


def test_a_change_that_shows_nowhere_renders_nothing(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.publish(0, "1.0.1")

    done = planned_alone(folder, monkeypatch)

    assert (done.report["rendered"], done.report["written"]) == (0, False)
    assert run(folder.root).texts is None


def test_a_dry_run_plans_alone_and_writes_nothing(folder: Folder) -> None:
    before = (folder.root / "dist" / OUTPUT).read_bytes()
    folder.publish(0, "latest")

    done = run(folder.root, dry_run=True)

    assert (done.report["rendered"], done.report["written"]) == (1, False)
    assert (folder.root / "dist" / OUTPUT).read_bytes() == before
    assert run(folder.root).report["changed"] == ["Warehouse/web"]


def test_traffic_that_a_change_causes_is_told(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.find_base(0, "v1")

    done = planned_alone(folder, monkeypatch)

    assert [of["registry"] for of in done.report["registries"]] == ["docker.io", "ghcr.io"]
    assert told(done.report, folder.root) == whole(folder.root)[1]


@pytest.mark.parametrize("what", ["known later", "break a state file", "remove a state file", "another namespace"])
def test_what_may_touch_others_is_planned_whole(folder: Folder, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.edit(what, 0, 3)

    if what == "known later":  # its own interval is its name's, so that nobody moves
        planned_alone(folder, monkeypatch)
    else:
        with pytest.raises(AssertionError, match="all was planned"):
            planned_alone(folder, monkeypatch)
