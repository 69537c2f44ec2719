"""The import rules hold, and they name every member: a new plugin cannot slip past them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SETTINGS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = sorted(path.parent.name for path in ROOT.glob("p*/*/src/*/__init__.py"))
PLUGINS = sorted(path.parent.name for path in ROOT.glob("plugins/*/src/*/__init__.py"))
CONTRACTS = {contract["id"]: contract for contract in SETTINGS["tool"]["importlinter"]["contracts"]}


def lint(*words: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    found = str(program) if program.exists() else shutil.which("lint-imports")
    if found is None:
        pytest.skip("import-linter is not installed: hatch run layers has it")
    return subprocess.run([found, "--no-cache", *words], cwd=folder, capture_output=True, text=True, timeout=120)


def test_the_layers_hold() -> None:
    finished = lint()

    assert finished.returncode == 0, finished.stdout


def test_a_decision_that_reads_the_disk_is_caught(tmp_path: Path) -> None:
    package = tmp_path / "pure_house"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "decide.py").write_text("import pathlib\n")
    banned = CONTRACTS["pure"]["forbidden_modules"]
    (tmp_path / ".importlinter").write_text(
        "[importlinter]\nroot_package = pure_house\ninclude_external_packages = True\n"
        "[importlinter:contract:pure]\nname = pure\ntype = forbidden\nsource_modules = pure_house.decide\n"
        "forbidden_modules =\n" + "".join(f"    {module}\n" for module in banned)
    )

    finished = lint("--config", ".importlinter", folder=tmp_path)

    assert finished.returncode == 1, finished.stdout
    assert "pathlib" in finished.stdout


def test_what_is_excused_from_the_ban_on_paths_takes_only_the_pure_ones() -> None:
    excused = [line.split(" -> ")[0].replace(".", "/") for line in CONTRACTS["pure"]["ignore_imports"]]

    for module in excused:
        text = (ROOT / "packages/core/src" / f"{module}.py").read_text(encoding="utf-8")
        assert [line for line in text.splitlines() if "pathlib" in line] == ["from pathlib import PurePosixPath"]


def test_the_contracts_know_every_member() -> None:
    assert sorted(SETTINGS["tool"]["importlinter"]["root_packages"]) == PACKAGES
    assert sorted(CONTRACTS["plugins-are-apart"]["modules"]) == PLUGINS
    assert sorted(CONTRACTS["plugins-know-the-seam"]["source_modules"]) == PLUGINS
    assert set(PLUGINS) <= set(CONTRACTS["core-knows-no-plugin"]["forbidden_modules"])
    assert set(PLUGINS) <= set(CONTRACTS["programs-know-no-plugin"]["forbidden_modules"])


def test_the_type_checker_knows_every_member() -> None:
    expected = sorted(path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("p*/*/src/*/") if path.is_dir())

    assert sorted(SETTINGS["tool"]["mypy"]["mypy_path"].split(":")) == expected
