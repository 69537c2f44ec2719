"""The pages that people write: their links lead somewhere, and what they say of the house is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from image_factory_cli.group import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("p*/*/README.md")])
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_link_leads_somewhere(page: Path) -> None:
    targets = [match[1] for match in LINK.finditer(page.read_text(encoding="utf-8"))]

    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_page_can_be_reached_from_the_index_or_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md", ROOT / "docs/index.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        text = page.read_text(encoding="utf-8")
        waiting += [(page.parent / match[1]).resolve() for match in LINK.finditer(text)]

    assert sorted({page for page in PAGES if page.is_relative_to(ROOT / "docs")} - reached) == []


def test_the_readme_begins_with_the_two_commands() -> None:
    blocks = re.findall(r"```console\n(.*?)\n```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)

    assert blocks[0].endswith("image-factory demo")
    assert blocks[1].endswith("hatch run test")
    assert all("\n" not in block and not block.startswith("$") for block in blocks[:2]), "one line each, to be pasted"


def test_the_readme_names_every_extra_and_every_command() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = {*settings["tool"]["hatch"]["metadata"]["hooks"]["custom"]["extras"], "all"}

    assert [extra for extra in extras if f"`{extra}`" not in text] == []
    assert [command for command in COMMANDS if not re.search(rf"`{command}\b|image-factory {command}\b", text)] == []


def test_contributing_names_commands_that_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    environments = tomllib.loads((ROOT / "hatch.toml").read_text(encoding="utf-8"))["envs"]
    known = {
        name if environment == "default" else f"{environment}:{name}"
        for environment, settings in environments.items()
        for name in settings["scripts"]
    }

    assert set(re.findall(r"hatch run ([a-z:-]+)", text)) <= known


def test_the_page_on_the_architecture_names_the_layers_that_are_held() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = [each for each in settings["tool"]["importlinter"]["contracts"] if each["id"] == "layers"]
    layers = [word.strip("() ") for line in contract["layers"] for word in line.split("|")]
    text = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
    table = re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (`.+?) \|", text, re.MULTILINE)))

    assert table == layers
