"""The tree keeps its promises: twins for tests, names that say what a file holds, files of a readable size."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MEMBERS = sorted(path.parent for path in ROOT.glob("p*/*/pyproject.toml"))
SOURCES = sorted(file for member in MEMBERS for file in (member / "src").rglob("*.py"))
MAX_LINES = 500
"""Lines. A file past them says why in its docstring (style, "Size")."""
VAGUE = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc", "tools"}

TOLD_ELSEWHERE = {
    "packages/cli/src/image_factory_cli/demo/story.py": "tests/e2e/test_demo.py",
    "packages/core/src/image_factory/testing/github_openapi.py": "plugins/github/tests/test_openapi.py",
    "packages/core/src/image_factory/testing/gitlab_types.py": "plugins/gitlab/tests/test_types.py",
}
"""Source files whose test lies outside their member, and where."""


def name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def twin(file: Path) -> Path:
    """Return where the test of a source file belongs."""
    member = next(member for member in MEMBERS if file.is_relative_to(member))
    inside = file.relative_to(member / "src")
    return member / "tests" / Path(*inside.parts[1:-1]) / f"test_{inside.stem}.py"


def holds_code(file: Path) -> bool:
    """Whether a file defines anything: an `__init__.py` that only says what a folder holds does not."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return any(isinstance(node, (ast.FunctionDef, ast.ClassDef)) for node in tree.body)


def test_there_are_members_and_sources() -> None:
    assert {"core", "cli", "synth", "server", "github", "ghcr", "dockerhub"} <= {member.name for member in MEMBERS}
    assert len(SOURCES) > 50


def has_twin(file: Path) -> bool:
    """Whether a test lies where a file's test belongs; a package's own is named for the package."""
    wanted = twin(file)
    if file.stem == "__init__":
        word = file.parent.name.removeprefix("image_factory_")
        return any(wanted.with_name(f"test_{each}.py").exists() for each in (file.parent.name, word))
    return wanted.exists()


@cache
def imported(file: Path) -> frozenset[str]:
    """Return the modules that a file imports, `from a import b` as both `a` and `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return frozenset(found)


def module(file: Path) -> str:
    parts = file.relative_to(next(member for member in MEMBERS if file.is_relative_to(member)) / "src").with_suffix("")
    return ".".join(part for part in parts.parts if part != "__init__")


def reached(folder: Path) -> set[str]:
    """Return the modules beside or below the files of a folder that have a twin, which those are made of."""
    files = {module(file): file for file in SOURCES if file.is_relative_to(folder)}
    waiting = [name for name, file in files.items() if file.parent == folder and has_twin(file)]
    found: set[str] = set()
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += [name for name in imported(files[current]) if name in files]
    return found


@pytest.mark.parametrize("file", [file for file in SOURCES if holds_code(file)], ids=name)
def test_a_source_file_has_a_test_beside_it_or_is_a_part_of_one_that_has(file: Path) -> None:
    if name(file) in TOLD_ELSEWHERE:
        assert (ROOT / TOLD_ELSEWHERE[name(file)]).exists(), "its excuse names no file"
        return
    member = next(member for member in MEMBERS if file.is_relative_to(member))
    tests = (test for test in (member / "tests").rglob("test_*.py") if module(file) in imported(test))
    above = [folder for folder in file.parents if folder.is_relative_to(member / "src") and folder.name != "src"]

    assert has_twin(file) or any(tests) or any(module(file) in reached(folder) for folder in above), (
        f"no {name(twin(file))}; no test of {name(member)} imports it; no tested file beside it is made of it"
    )


def test_no_excuse_outlives_its_file() -> None:
    assert [path for path in TOLD_ELSEWHERE if not (ROOT / path).exists() or has_twin(ROOT / path)] == []


@pytest.mark.parametrize("file", SOURCES, ids=name)
def test_a_module_says_what_it_holds(file: Path) -> None:
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    lines = file.read_text(encoding="utf-8").count("\n")

    assert docstring, "no docstring"
    assert lines <= MAX_LINES or f"{MAX_LINES} lines" in docstring, (
        f"{lines} lines: say in the docstring why it is past {MAX_LINES} lines"
    )


def test_files_are_named_for_what_they_hold() -> None:
    assert [name(file) for file in SOURCES if file.stem.lstrip("_") in VAGUE] == []


def test_folders_of_members_hold_nothing_but_members() -> None:
    strangers = [
        name(folder)
        for parent in ("packages", "plugins")
        for folder in (ROOT / parent).iterdir()
        if folder.is_dir() and not (folder / "pyproject.toml").is_file()
    ]

    assert strangers == [], "hatch refuses a folder there without a pyproject.toml"


@pytest.mark.parametrize("member", MEMBERS, ids=name)
def test_a_member_ships_its_types_and_says_what_it_is(member: Path) -> None:
    packages = [folder for folder in (member / "src").iterdir() if folder.is_dir()]

    assert [(folder / "py.typed").is_file() for folder in packages] == [True]
    assert (member / "README.md").is_file(), "no README.md: what it is, what it needs, its limits"
