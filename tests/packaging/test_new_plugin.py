"""`hatch run new-plugin`: a skeleton of each kind is typed, formatted, and collected by its contract suite."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from image_factory import ports
from image_factory.errors import Conflict, UserError

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("registry", "source", "build-trigger", "file-updater", "notifier")


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("new_plugin", ROOT / "tools/new_plugin.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


TOOL = load()


def word(kind: str) -> str:
    return f"my{kind.replace('-', '')}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plugin of every kind, each for a repository of its own."""
    folder = tmp_path_factory.mktemp("plugins")
    for kind in KINDS:
        assert TOOL.main([kind, word(kind), "--into", str(folder)], out=lambda said: None) == 0
    return folder


def run(*words: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *map(str, words)],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_there_is_a_kind_for_each_of_these_ports() -> None:
    assert tuple(TOOL.KINDS) == KINDS
    assert all(hasattr(ports, kind.port) for kind in TOOL.KINDS.values())


def test_the_skeletons_are_typed_strictly(made: Path) -> None:
    sources = os.pathsep.join(str(made / word(kind) / "src") for kind in KINDS)
    files: list[Path] = [*sorted(made.glob("*/src/*")), *sorted(made.glob("*/tests"))]
    checked = run("mypy", "--config-file", ROOT / "pyproject.toml", *files, cwd=ROOT, MYPYPATH=sources)

    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_a_skeleton_is_as_ruff_wants_it(made: Path, kind: str) -> None:
    folder = made / word(kind)
    for words in (("check", "--no-cache"), ("format", "--check", "--diff", "--no-cache")):
        checked = run("ruff", *words, ".", cwd=folder)
        assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_skeleton_inside_this_repository_is_as_ruff_wants_it_there(tmp_path: Path, kind: str) -> None:
    TOOL.write_skeleton(tmp_path / "plugins" / word(kind), TOOL.skeleton(kind, word(kind), is_inside=True))
    sources = f"src = ['{ROOT}/packages/*/src', '{tmp_path}/plugins/*/src']"
    config = ("--no-cache", "--config", ROOT / "pyproject.toml", "--config", sources)
    for words in (("check",), ("format", "--check", "--diff")):
        checked = run("ruff", *words, *config, tmp_path, cwd=ROOT)
        assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_its_contract_suite_is_collected_and_does_not_pass_yet(made: Path, kind: str) -> None:
    folder = made / word(kind)
    words = ("pytest", "-q", "-p", "no:cacheprovider", "tests")

    collected = run(*words, "--collect-only", cwd=folder, PYTHONPATH=str(folder / "src"))
    assert collected.returncode == 0, collected.stdout
    assert f"tests/test_{word(kind)}.py::Test" in collected.stdout

    tried = run(*words, "--exitfirst", cwd=folder, PYTHONPATH=str(folder / "src"))
    assert tried.returncode == 1, tried.stdout
    assert "NotImplementedError" in tried.stdout


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        pytest.param("scanner", "quay", "no kind of plugin is called 'scanner'", id="another kind"),
        pytest.param("registry", "Quay", "not a plugin's name: 'Quay'", id="upper case"),
        pytest.param("registry", "../quay", "not a plugin's name", id="a path"),
        pytest.param("registry", "a-b", "not a plugin's name", id="no Python name"),
    ],
)
def test_what_is_no_kind_or_name_is_refused(kind: str, name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        TOOL.skeleton(kind, name)
    assert TOOL.main([kind, name, "--into", str(tmp_path)], out=lambda text: None) == 2
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "quay").mkdir()

    with pytest.raises(Conflict):
        TOOL.write_skeleton(tmp_path / "quay", TOOL.skeleton("registry", "quay"))
