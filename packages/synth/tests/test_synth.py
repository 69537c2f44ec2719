"""The command as a call, with cdk8s for real; skipped where there is no Node."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from image_factory.decide.discovery import base_configuration
from image_factory.errors import InvalidSettings, NotFound
from image_factory.model.image_state import BaseState
from image_factory.model.settings import Settings
from image_factory.oci.reference import Reference
from image_factory.state.codec import dump_base
from image_factory_synth.library import RenderingFailed
from image_factory_synth.node import NoNode, find_node
from image_factory_synth.schedule import Budget
from image_factory_synth.synth import synth
from image_factory_synth.synthesize import BudgetOf

try:
    find_node()
except NoNode as none:
    pytest.skip(f"{none.message}: {none.hint}", allow_module_level=True)

IMAGES = """
- {name: redis, repository: library/redis, tag: 7-alpine}
- {name: web, registry: ghcr.io, repository: a/web, source: {repo: a/web}}
"""
NO_NODE = {"JSII_NODE": "/nonexistent/node", "PATH": "/nonexistent"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "image-factory").mkdir()
    (tmp_path / "image-factory" / "images.yaml").write_text(IMAGES)
    return tmp_path / "image-factory"


def test_a_folder_is_found_and_its_resources_written(folder: Path) -> None:
    run = synth(None, {}, folder.parent)

    assert run.report["output"] == str(folder / "dist" / "image-factory.k8s.yaml")
    assert run.report["resources"] == 5
    assert run.text == (folder / "dist" / "image-factory.k8s.yaml").read_text()


def test_two_runs_from_nothing_write_the_same_bytes(folder: Path) -> None:
    output = folder / "dist" / "image-factory.k8s.yaml"
    synth(folder, {}, folder)
    first = output.read_bytes()
    for kept in ("charts.json", "last.json"):
        (folder / ".image-factory-cache" / "synth" / kept).unlink()
    output.unlink()

    synth(folder, {}, folder)

    assert output.read_bytes() == first


def test_a_run_in_which_nothing_changed_needs_no_node(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = synth(folder, {}, folder)
    for name, value in NO_NODE.items():
        monkeypatch.setenv(name, value)

    again = synth(folder, {}, folder)

    assert again.text is None
    assert (again.report["resources"], again.report["added"]) == (first.report["resources"], [])


def test_a_change_that_renders_the_same_needs_no_node_either(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synth(folder, {}, folder)
    for name, value in NO_NODE.items():
        monkeypatch.setenv(name, value)
    (folder / "images.yaml").write_text("# a comment\n" + IMAGES)

    assert synth(folder, {}, folder).report["rendered"] == 0
    (folder / "images.yaml").write_text(IMAGES.replace("7-alpine", "8-alpine"))
    with pytest.raises(RenderingFailed):
        synth(folder, {}, folder)


def test_another_kargo_version_is_another_question(folder: Path) -> None:
    synth(folder, {}, folder)

    assert synth(folder, {}, folder, kargo_version="1.9").report["kargoVersion"] == "1.9"
    with pytest.raises(InvalidSettings):
        synth(folder, {}, folder, kargo_version="1.12")


def test_a_dry_run_shows_the_change_and_is_not_remembered_as_done(folder: Path) -> None:
    dry = synth(folder, {}, folder, dry_run=True)

    assert "+kind: Warehouse" in dry.diff
    assert not (folder / "dist").exists()
    assert synth(folder, {}, folder).report["written"]


def test_the_environment_names_other_folders(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.yaml").write_text(IMAGES)
    environ = {"IMAGES_YAML": str(tmp_path / "elsewhere.yaml"), "IMAGE_FACTORY_DIST_DIR": str(tmp_path / "out")}

    synth(folder, environ, folder)

    assert (tmp_path / "out" / "image-factory.k8s.yaml").is_file()


def test_an_empty_place_is_an_error_and_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        synth(None, {}, tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_run_with_nothing_to_do_imports_little_beside_the_standard_library() -> None:
    code = (
        "import sys, image_factory_synth.synth;"
        "print([name for name in ('pydantic', 'yaml', 'cdk8s', 'httpx', 'jsonschema') if name in sys.modules])"
    )

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert shown == "[]\n"


@pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2,
    reason="nothing is read ahead: one processor, or no Linux",
)
def test_the_first_run_has_state_parsed_by_another_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bases = folder / "state" / "base-images"
    bases.mkdir(parents=True)
    state = BaseState(configuration=base_configuration("node", Reference.parse("docker.io/library/node:22-slim")))
    (bases / "node.yaml").write_text(dump_base(state))
    expected = synth(folder, {}, folder, dry_run=True).text
    shutil.rmtree(folder / ".image-factory-cache")
    monkeypatch.setattr("image_factory.shell.state_cache.SETTLED", -(10**12))
    monkeypatch.setattr("image_factory.state.codec.parse_mapping", None)
    # A test before may have left a thread, beside which no process is forked.
    monkeypatch.setattr("image_factory.shell.read_ahead.threading.active_count", lambda: 1)

    run = synth(folder, {}, folder)

    assert "Warehouse/node" in run.report["added"]
    assert run.text == expected


def test_budgets_are_asked_for_where_there_is_work_alone(folder: Path) -> None:
    asked: list[Path] = []

    def budgets(root: Path, settings: Settings) -> BudgetOf:
        asked.append(root)
        return lambda repository: Budget(3, f"plugin of {repository.registry}")

    first = synth(folder, {}, folder, budgets=budgets)
    again = synth(folder, {}, folder, budgets=budgets)

    assert asked == [folder]
    assert [of["budgetFrom"] for of in first.report["registries"]] == ["plugin of docker.io", "plugin of ghcr.io"]
    assert again.report["registries"] == first.report["registries"]


def test_nobody_is_asked_for_budgets_where_settings_give_them_all(folder: Path) -> None:
    (folder / "config.yaml").write_text("registries: {docker.io: {requestsPerDay: 9}, ghcr.io: {requestsPerDay: 9}}\n")

    def budgets(root: Path, settings: Settings) -> BudgetOf:
        raise AssertionError("plugins would be loaded")

    run = synth(folder, {}, folder, budgets=budgets)

    assert [of["budgetFrom"] for of in run.report["registries"]] == ["config.yaml", "config.yaml"]


def test_base_and_external_images_are_looked_at_every_24_hours_or_less_often(folder: Path) -> None:
    (folder / "config.yaml").write_text("kargo: {baseInterval: 5m}\n")

    text = synth(folder, {}, folder).text or ""

    intervals = {
        document["metadata"]["name"]: document["spec"]["interval"]
        for document in yaml.safe_load_all(text)
        if document["kind"] == "Warehouse"
    }
    assert re.match(r"24h\d+m", intervals["redis"])
    assert re.match(r"5m\d", intervals["web"])
