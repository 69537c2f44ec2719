"""The tutorial's plugin: its page shows the very files, which install from their own path, pass, and stay small."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples/quay-plugin"
PAGE = (ROOT / "docs/tutorials/write-a-registry-plugin.md").read_text(encoding="utf-8")
SHOWN = ("pyproject.toml", "src/image_factory_quay/__init__.py", "tests/test_quay.py")
MAX_LINES = 40


def run(*words: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the plugin was installed into from its own path: a wheel is built there, and unpacked."""
    pytest.importorskip("hatchling", reason="hatchling, which builds the plugin, is not installed")
    wheels, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("installed")
    built = run("-m", "hatchling", "build", "-t", "wheel", "-d", wheels, cwd=EXAMPLE)
    assert built.returncode == 0, built.stderr
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


@pytest.mark.parametrize("file", SHOWN)
def test_the_page_shows_the_file_as_it_is(file: str) -> None:
    blocks = re.findall(r"```(?:toml|python)\n(.*?)```", PAGE, re.DOTALL)

    assert (EXAMPLE / file).read_text(encoding="utf-8") in blocks


def test_the_plugin_s_code_is_short() -> None:
    lines = (EXAMPLE / "src/image_factory_quay/__init__.py").read_text(encoding="utf-8").splitlines()

    assert len(lines) < MAX_LINES


def test_installed_from_its_own_path_it_is_found_and_answers_for_its_host(installed: Path, tmp_path: Path) -> None:
    program = "from image_factory_cli.main import main; main()"
    listed = run("-c", program, "plugins", "--json", cwd=tmp_path, PYTHONPATH=str(installed))

    assert listed.returncode == 0, listed.stderr
    told = json.dumps(json.loads(listed.stdout))
    assert "image_factory_quay" in told
    assert "register_registries" in told


def test_it_passes_the_contract_of_registries(installed: Path, tmp_path: Path) -> None:
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", f"--basetemp={tmp_path}/pytest")
    tried = run(*words, EXAMPLE / "tests", cwd=tmp_path, PYTHONPATH=str(installed))

    assert tried.returncode == 0, tried.stdout
    assert re.search(r"\b[5-9]\d passed|\b\d{3} passed", tried.stdout), "the suite was not run"


def test_it_is_typed_strictly() -> None:
    words = ("--config-file", ROOT / "pyproject.toml", EXAMPLE / "src/image_factory_quay", EXAMPLE / "tests")
    checked = run("-m", "mypy", *words, cwd=ROOT, MYPYPATH=str(EXAMPLE / "src"))

    assert checked.returncode == 0, checked.stdout
