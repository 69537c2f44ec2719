"""`run` as cron, CI and a service call it; what it comes to with a provider is in tests/e2e/test_run.py."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from image_factory.decide.rebuilds import RebuildPlan
from image_factory.usecases.commit import Committed
from image_factory.usecases.run import Ran, Step
from image_factory_cli.commands.run import _Show

Folder = Any  # of this package's conftest


@pytest.fixture
def web(folder: Folder) -> Folder:
    folder.service("web", "FROM node:22\n")
    folder.managed("web")
    folder.registry.push_image("library/node", "22")
    return folder


def test_each_step_is_said_with_what_it_learned(web: Folder) -> None:
    said = web.run("run")

    assert said.code == 0
    assert "analyze" in said.out
    assert "node-22: first seen at sha256:" in said.out
    assert "committed" in said.out


def test_a_run_with_nothing_to_do_says_so(web: Folder) -> None:
    web.run("run")

    said = web.run("run")

    assert (said.code, said.out) == (0, "nothing to do\n")


def test_one_image_that_fails_is_told_and_the_others_are_done(web: Folder) -> None:
    web.managed("web", "api")  # which has no Dockerfile

    said = web.run("run")

    assert said.code == 3
    assert "node-22: first seen at sha256:" in said.out
    assert "api" in said.err + said.out


def test_a_rehearsal_shows_the_changes_and_writes_nothing(web: Folder) -> None:
    said = web.run("run", "--dry-run")

    assert said.code == 0
    assert "+currentDigest: sha256:" in said.out
    assert not (web.root / "state").exists()


def test_a_rehearsal_names_the_file_that_cannot_be_read_and_not_its_copy(web: Folder) -> None:
    web.run("run")
    web.write("state/holds/web.yaml", "{{{\n")

    said = web.run("run", "--dry-run")

    assert said.code == 3
    assert f"{web.root}/state/holds/web.yaml:1" in said.err
    assert "image-factory-rehearsal" not in said.err


def test_programs_get_one_object(web: Folder) -> None:
    told = json.loads(web.run("run", "--json").out)

    assert [step["name"] for step in told["steps"]][:2] == ["analyze", "observe"]
    assert told["decisions"] == [
        {
            "image": "web",
            "reason": "up-to-date",
            "because": told["decisions"][0]["because"],
            "until": None,
            "blockedBy": [],
            "causes": [],
        }
    ]
    assert len(told["commits"]) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["--interval", "10m", "--once"], "leave one of them out", id="both once and again"),
        pytest.param(["--interval", "10m", "--dry-run"], "leave one of them out", id="a rehearsal again and again"),
        pytest.param(["--interval", "1s"], "give 10s or more", id="too often"),
        pytest.param(["--interval", "soon"], "not a duration", id="no duration"),
    ],
)
def test_a_wrong_interval_is_refused(web: Folder, words: list[str], said: str) -> None:
    refused = web.run("run", *words)

    assert refused.code == 2
    assert said in refused.err


def test_as_a_process_it_ends_cleanly_when_it_is_told_to(web: Folder) -> None:
    program = [sys.executable, "-c", "from image_factory_cli.main import main; main()"]
    words = [*program, "run", "--interval", "1h", "--image-factory-dir", str(web.root)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout is not None
        assert any(line.startswith("committed") for line in process.stdout)
        assert process.poll() is None, "it goes on"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_what_images_become_is_logged_and_counted(web: Folder) -> None:
    file = web.checkout / "a.prom"
    web.run("run")
    web.managed()

    said = web.run("run", "--metrics-file", str(file), "--log-format", "json")

    told = [line for line in map(json.loads, said.err.splitlines()) if line["op"] == "lifecycle"]
    assert [(line["image"], line["from"], line["to"]) for line in told] == [
        ("web", "managed", "archived"),
        ("node-22", "base", "archived"),
    ]
    assert 'transitions_total{from="managed",to="archived"} 1' in file.read_text()


def test_where_something_is_committed_there_was_something_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    show = _Show(as_json=False, verbose=False, is_quiet=False)

    show.end(Ran("run-1", (Step("coordinate", (), (), True),), RebuildPlan({}), (Committed("a" * 40),)))

    assert capsys.readouterr().out.splitlines() == [f"committed {'a' * 12}"]
