"""Regenerate the shipped image-factory folder from what the repository holds, and show what differs.

Works on a copy and changes nothing. What only the outside can answer (the Dockerfiles of other
repositories, digests) is not asked here; the nightly workflow does that.
"""

from __future__ import annotations

import difflib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "image-factory"
STEPS = (("validate",), ("synth",))
"""The commands that need nothing but the folder, in order."""


def texts(folder: Path) -> dict[str, str]:
    """Return every file below `folder` by its path there."""
    return {
        file.relative_to(folder).as_posix(): file.read_text(encoding="utf-8")
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def differences(shipped: dict[str, str], made: dict[str, str]) -> list[str]:
    """Return the lines of a unified diff from what is shipped to what was made now."""
    lines: list[str] = []
    for path in sorted(shipped.keys() | made.keys()):
        before, after = shipped.get(path, "").splitlines(), made.get(path, "").splitlines()
        lines += difflib.unified_diff(before, after, f"shipped/{path}", f"regenerated/{path}", lineterm="")
        if (path in shipped) != (path in made) and before == after:
            lines.append(f"only {'shipped' if path in shipped else 'regenerated'}: {path}")
    return lines


def main() -> None:
    if not (SHIPPED / "images.yaml").is_file():
        sys.exit(f"error: no {SHIPPED / 'images.yaml'}")
    with tempfile.TemporaryDirectory() as room:
        copy = Path(shutil.copytree(SHIPPED, Path(room) / "image-factory"))
        environment = {**os.environ, "IMAGE_FACTORY_DIR": str(copy)}
        for step in STEPS:
            subprocess.run(["image-factory", *step], check=True, cwd=room, env=environment, stdout=subprocess.DEVNULL)
        lines = differences(texts(SHIPPED), texts(copy))
    if lines:
        sys.stdout.write("\n".join(lines) + "\n")
        sys.exit("error: the shipped image-factory folder is not what its images.yaml and state give: run the steps")
    sys.stdout.write(f"{SHIPPED.name}: as shipped\n")


if __name__ == "__main__":
    main()
