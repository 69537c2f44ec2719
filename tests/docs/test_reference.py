"""The reference is what the code says, and nothing that a reader may meet is left out of it."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import BaseModel

from image_factory import errors, hookspecs, ports
from image_factory.model.enrollment import Enrollment, Source, Update
from image_factory.model.image_state import BaseConfiguration, BaseRuntime, ImageConfiguration, ImageRuntime
from image_factory.model.settings import CommitSettings, KargoSettings, RegistrySettings, Settings
from image_factory_cli.group import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs/reference"


def headings(page: str) -> set[str]:
    text = (REFERENCE / f"{page}.md").read_text(encoding="utf-8")
    return set(re.findall(r"^#+ (.+)$", text, re.MULTILINE))


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_every_generated_page_is_as_the_code_says() -> None:
    checked = subprocess.run(
        [sys.executable, str(ROOT / "docs/generate.py"), "--check"], capture_output=True, text=True, timeout=60
    )

    assert checked.returncode == 0, f"hatch run docs writes them anew\n{checked.stdout}{checked.stderr}"


def test_a_page_that_differs_is_said_and_written(
    generator: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generator, "REFERENCE", tmp_path)
    monkeypatch.setattr(generator, "SCHEMAS", tmp_path)
    monkeypatch.setattr(generator, "INDEX", tmp_path / "index.md")

    assert generator.main(["--check"]) == 1
    assert "+# Hooks" in capsys.readouterr().out
    assert generator.main([]) == 0
    assert generator.main(["--check"]) == 0


def test_every_command_has_a_heading() -> None:
    assert {f"image-factory {name}" for name in COMMANDS} <= headings("cli")


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)], ids=lambda words: " ".join(words) or "alone")
def test_the_help_in_the_docs_is_the_program_s(words: list[str]) -> None:
    # A process of its own: click keeps a command's help option from whoever called it first.
    program = [sys.executable, "-c", "from image_factory_cli.main import main; main()", *words, "--help"]
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    shown = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout

    assert f"```text\n{shown.strip()}\n```" in (REFERENCE / "cli.md").read_text(encoding="utf-8")


def test_every_hook_has_a_heading() -> None:
    hooks = {name for name, hook in inspect.getmembers(hookspecs) if hasattr(hook, "image_factory_spec")}

    assert len(hooks) >= 5
    assert hooks <= headings("hooks")


def test_every_method_of_a_port_has_a_heading_and_says_what_it_promises() -> None:
    protocols = [kind for _, kind in inspect.getmembers(ports, inspect.isclass) if getattr(kind, "_is_protocol", False)]
    methods = {
        f"{kind.__name__}.{name}"
        for kind in protocols
        if kind.__module__ == ports.__name__
        for name in vars(kind)
        if not name.startswith("_")
    }

    assert {"Registry.resolve", "Source.read", "BuildTrigger.start"} <= methods
    assert methods <= headings("ports")


def test_every_error_has_a_heading() -> None:
    kinds = {
        name
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.ImageFactoryError) and kind.__module__ == errors.__name__
    }

    assert len(kinds) > 15
    assert kinds <= headings("errors")


@pytest.mark.parametrize(
    ("page", "record"),
    [("settings", record) for record in (Settings, RegistrySettings, CommitSettings, KargoSettings)]
    + [("images-yaml", record) for record in (Enrollment, Source, Update)]
    + [("state-files", record) for record in (ImageConfiguration, ImageRuntime, BaseConfiguration, BaseRuntime)],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_every_key_that_one_can_meet_in_a_file_stands_in_the_reference(page: str, record: type[BaseModel]) -> None:
    text = (REFERENCE / f"{page}.md").read_text(encoding="utf-8")
    keys = [field.alias or name for name, field in record.model_fields.items()]

    assert len(keys) > 4
    assert [key for key in keys if f"`{key}`" not in text] == []


def test_a_hook_says_when_it_is_called_and_who_uses_it() -> None:
    for name, hook in inspect.getmembers(hookspecs):
        if hasattr(hook, "image_factory_spec"):
            said = inspect.getdoc(hook) or ""
            assert "Called" in said, name
            assert "Used by" in said, name
