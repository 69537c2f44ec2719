"""The demo, whole, as the README's first command runs it: from a clone and from an installed package."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MAX_SECONDS = 60
ENTRY = (sys.executable, "-c", "from image_factory_cli.main import main; main()")
BASE = "python-3-13-7-slim-bookworm"


def image_factory(*words: str, cwd: Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "160", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    environment |= {} if path is None else {"PATH": path}
    return subprocess.run(
        [*ENTRY, *words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=2 * MAX_SECONDS,
        stdin=subprocess.DEVNULL,
    )


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, text=True).stdout.strip()


@dataclass(frozen=True)
class Told:
    folder: Path
    out: str
    seconds: float

    @property
    def platform(self) -> Path:
        return self.folder / "platform"

    def state(self, kind: str, name: str) -> dict[str, Any]:
        file = self.platform / "image-factory" / "state" / kind / f"{name}.yaml"
        record: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
        return record


def tell(folder: Path, cwd: Path, path: str | None = None) -> Told:
    started = time.monotonic()
    finished = image_factory("demo", str(folder), cwd=cwd, path=path)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return Told(folder, finished.stdout, time.monotonic() - started)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """The demo as from a clone, with only git on PATH: no Node, no Docker."""
    programs = tmp_path_factory.mktemp("programs")
    for program in ("git", "sh"):
        found = subprocess.run(["which", program], capture_output=True, text=True, check=True).stdout.strip()
        (programs / program).symlink_to(found)
    return tell(tmp_path_factory.mktemp("demo") / "world", ROOT, str(programs))


@contextmanager
def served(folder: Path) -> Iterator[None]:
    with subprocess.Popen([*ENTRY, "demo", str(folder), "--serve"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            for line in server.stdout:
                if "Ctrl-C" in line:
                    break
            yield
        finally:
            server.terminate()


def test_the_demo_ends_well_within_a_minute(told: Told) -> None:
    assert told.seconds < MAX_SECONDS


def test_every_command_of_the_main_job_is_shown(told: Told) -> None:
    shown = re.findall(r"\$ image-factory (\w+)", told.out)

    assert list(dict.fromkeys(shown)) == [
        *("enroll", "validate", "inspect", "analyze", "observe", "status", "graph", "synth", "explain"),
    ]
    assert "✓" in told.out
    assert "\x1b" not in told.out, "a pipe gets plain lines"


def test_a_clone_s_own_images_are_enrolled_beside_the_services(told: Told) -> None:
    enrolled = yaml.safe_load((told.platform / "image-factory/images.yaml").read_text(encoding="utf-8"))

    names = {entry["name"] for entry in enrolled}
    assert {"image-factory", "backstage", "uv", "postgres", "redis"} <= names
    assert {"python-base", "recommender", "storefront", "cart", "payments", "gateway"} <= names
    assert {path.stem for path in (told.platform / "image-factory/state/images").glob("*.yaml")} == names


def test_what_is_learned_is_committed_and_pushed(told: Told) -> None:
    subjects = git(told.platform, "log", "--format=%s").splitlines()

    assert git(told.platform, "status", "--porcelain") == ""
    assert git(told.platform, "rev-parse", "HEAD") == git(told.folder / "git/acme/platform.git", "rev-parse", "main")
    assert subjects[0] == f"Observe {BASE}"


def test_a_managed_image_is_built_on_a_managed_image(told: Told) -> None:
    assert told.state("images", "recommender")["baseImages"] == ["python-base"]


def test_the_heredoc_s_from_is_no_base_image(told: Told) -> None:
    assert not [file.name for file in (told.platform / "image-factory/state/base-images").glob("nothing*")]


def test_the_move_is_recorded_with_both_platforms_and_says_who_waits_until_when(told: Told) -> None:
    base = told.state("base-images", BASE)

    assert base["previousDigest"] != base["currentDigest"]
    assert set(base["metadata"]["platforms"]) == {"linux/amd64", "linux/arm64"}
    assert {"default", "image-factory", "python-base", "uv"} <= set(base["rebuildEligibleAt"])
    waiting = told.out.split("BECAUSE OF")[1]
    order = [waiting.index(name) for name in ("python-base ", "uv ", "image-factory ", "recommender ")]
    assert order == sorted(order)
    assert "once python-base is rebuilt" in waiting


def test_the_readme_shows_what_the_demo_says(told: Told) -> None:
    (shown,) = re.findall(r"```text\n(    IMAGE .*?)\n```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)

    for line in shown.splitlines():
        words = [re.escape(word) for word in line.rstrip("…").split()]
        assert re.search(r"\s+".join(words), told.out), line


def test_the_manifests_are_kargo_s(told: Told) -> None:
    text = (told.platform / "image-factory/dist/image-factory.k8s.yaml").read_text(encoding="utf-8")
    resources = [document for document in yaml.safe_load_all(text) if document]

    kinds = {resource["kind"] for resource in resources}
    warehouses = {resource["metadata"]["name"] for resource in resources if resource["kind"] == "Warehouse"}
    assert {"Project", "ProjectConfig", "Warehouse"} <= kinds
    assert {BASE, "python-base", "postgres"} <= warehouses


def test_one_can_go_on_by_hand(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    told = tell(tmp_path / "world", elsewhere)

    with served(told.folder):
        quiet = image_factory("observe", "--push", "--json", cwd=told.platform)
        moved = image_factory("demo", str(told.folder), "--move", "node:22-bookworm-slim", cwd=elsewhere)
        seen = image_factory("observe", "--push", "--json", cwd=told.platform)

    assert json.loads(quiet.stdout)["files"] == [], "nothing was new"
    assert moved.returncode == 0, moved.stderr
    changed = [outcome["name"] for outcome in json.loads(seen.stdout)["outcomes"] if outcome["outcome"] == "changed"]
    assert changed == ["node-22-bookworm-slim"]
    again = image_factory("demo", str(told.folder), cwd=elsewhere)
    assert again.returncode == 2
    assert "work that was done after the demo" in again.stderr
