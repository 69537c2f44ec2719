"""Runs tell a stranger's notifier, installed as strangers install theirs; no failure of it is in the exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Folder = Any  # of this package's conftest

PLUGIN = """
import json, pathlib
from image_factory import hookimpl

class Toy:
    name = "toy"
    def __init__(self, options):
        self.options = options
    def deliver(self, events):
        if self.options.get("fails"):
            raise RuntimeError("toy is broken")
        with pathlib.Path(self.options["file"]).open("a") as file:
            for event in events:
                file.write(json.dumps([event.kind, event.image]) + "\\n")

@hookimpl
def register_notifiers(register, settings):
    if "toy" in settings.plugins:
        register(Toy(settings.plugins["toy"]))
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    site = tmp_path / "site"
    information = site / "toy_notifier-1.0.dist-info"
    information.mkdir(parents=True)
    (site / "toy_notifier.py").write_text(PLUGIN)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-notifier\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[image_factory]\ntoy = toy_notifier\n")

    def install() -> None:
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.delitem(sys.modules, "toy_notifier", raising=False)

    return install


@pytest.fixture
def web(folder: Folder, install: Callable[[], None]) -> Folder:
    folder.service("web", "FROM node:22\n")
    folder.managed("web")
    install()
    set_up(folder)
    folder.registry.push_image("library/node", "22")
    folder.run("analyze")
    folder.run("observe")
    folder.registry.push_image("library/node", "22", seed="second")
    return folder


def set_up(folder: Folder, **options: object) -> None:
    folder.managed("web")
    config = (folder.root / "config.yaml").read_text()
    toy = json.dumps({"file": str(folder.root / "told"), **options})
    folder.write("config.yaml", f"{config}plugins:\n  toy: {toy}\n")


def told(folder: Folder) -> list[list[str]]:
    file = folder.root / "told"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_what_a_run_learned_is_told_once(web: Folder) -> None:
    web.run("observe")
    web.run("observe")
    web.service("web", "RUN true\n")
    ran = web.run("analyze")
    web.run("analyze")

    assert ran.code != 0
    assert told(web) == [["base-moved", "node-22"], ["analysis-failed", "web"]]


@pytest.mark.parametrize("words", [["--no-notify"], ["--dry-run"]], ids=str)
def test_nothing_is_told_where_nobody_wants_it(web: Folder, words: list[str]) -> None:
    assert web.run("observe", *words).code == 0
    assert told(web) == []


def test_nothing_is_told_where_no_notifier_is_set_up(web: Folder) -> None:
    web.managed("web")

    ran = web.run("observe")

    assert (ran.code, ran.err) == (0, "")
    assert told(web) == []


def test_a_failed_delivery_is_said_and_changes_neither_the_work_nor_the_exit_code(web: Folder) -> None:
    set_up(web, fails=True)

    ran = web.run("observe")

    assert ran.code == 0
    assert "node-22: moved from" in ran.out
    assert "plugin 'toy' failed in deliver of its notifier 'toy': RuntimeError" in ran.err
    assert web.git("log", "-1", "--format=%s") == "Observe node-22\n"


def test_a_program_reads_of_it_in_the_log(web: Folder) -> None:
    set_up(web, fails=True)

    ran = web.run("observe", "--log-format", "json")

    (line,) = [json.loads(line) for line in ran.err.splitlines() if "deliver" in line]
    assert (ran.code, line["op"], line["notifier"], line["level"]) == (0, "notify", "toy", "error")
    assert line["hint"]
