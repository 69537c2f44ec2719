"""Runs the command line as a user does: each command a process of its own, in the platform checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from image_factory.errors import ImageFactoryError

ENTRY = ("-c", "from image_factory_cli.main import main; main()")
"""What Python is given to run the command line: the very function that the installed program calls."""
TIMEOUT = 120
"""Seconds that one command may take."""
Json = Mapping[str, Any]
_HIDDEN = ("GITHUB_TOKEN", "GITLAB_TOKEN", "IMAGE_FACTORY_DIR", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
"""What the demo's commands are not given: the user's credentials, and other repositories."""


class StepFailed(ImageFactoryError):
    """A command of the demo ended with an error; the message is the command's own."""

    def __init__(self, words: Sequence[str], code: int, complaint: str) -> None:
        super().__init__(
            f"image-factory {words[0]} ended with {code}: {complaint}",
            hint="the demo's folder is left as it is, to look into",
        )


class Program:
    """The command line, run in `folder`, for a demo that lies in `root`."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root
        self.folder = folder

    def run(self, *words: str) -> str:
        """Run a command and return what it wrote to standard output.

        Raises:
            StepFailed: it ended with anything but 0.
        """
        finished = subprocess.run(  # noqa: S603 (our own program, in this Python)
            [sys.executable, *ENTRY, *words],
            cwd=self.folder,
            env=environment(self.root),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=TIMEOUT,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if finished.returncode != 0:
            complaint = (finished.stderr or finished.stdout).strip() or "it said nothing"
            raise StepFailed(words, finished.returncode, complaint)
        return finished.stdout

    def read(self, *words: str) -> Json:
        """Run a command with `--json`, and return what it wrote."""
        data: Json = json.loads(self.run(*words, "--json"))
        return data


def environment(root: Path) -> dict[str, str]:
    """Return the environment of the demo's commands: no credentials of the user's, no proxy to loopback."""
    kept = {name: value for name, value in os.environ.items() if name not in _HIDDEN}
    direct = ",".join(filter(None, (kept.get("NO_PROXY") or kept.get("no_proxy"), "127.0.0.1")))
    return {
        **kept,
        "NO_PROXY": direct,
        "no_proxy": direct,
        "DOCKER_CONFIG": str(root / "docker"),
        "XDG_CACHE_HOME": str(root / "cache"),
        "PYTHONIOENCODING": "utf-8",
    }
