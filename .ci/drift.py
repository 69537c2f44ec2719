"""Regenerate the shipped image-factory folder from what the repository holds, and show what differs.

Works on a copy and changes nothing. Our own Dockerfile is analyzed anew, since it lies here, and the
manifests are written from nothing. What only the outside can answer (the Dockerfiles of other repositories,
digests) is not asked here; the nightly workflow does that.
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
OWN = "image-factory"
"""The image whose Dockerfile lies in this repository."""
STEPS = (("validate", "--strict"), ("analyze", "--image", OWN, "--no-commit"), ("synth",))
"""The commands that need nothing but the repository, in order."""
CACHE = ".image-factory-cache"


def texts(folder: Path) -> dict[str, str]:
    """Return every file below `folder` by its path there."""
    return {
        file.relative_to(folder).as_posix(): file.read_text(encoding="utf-8")
        for file in sorted(folder.rglob("*"))
        if file.is_file() and CACHE not in file.parts
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
        shutil.copy(ROOT / "Dockerfile", room)
        copy = Path(shutil.copytree(SHIPPED, Path(room) / SHIPPED.name, ignore=shutil.ignore_patterns(CACHE, "dist")))
        # In a checkout of the repository that config.yaml names, its own Dockerfile is read from the work tree.
        subprocess.run(["git", "init", "--quiet", room], check=True)
        environment = {**os.environ, "IMAGE_FACTORY_DIR": str(copy)}
        for step in STEPS:
            subprocess.run(["image-factory", *step], check=True, cwd=room, env=environment, stdout=subprocess.DEVNULL)
        lines = differences(texts(SHIPPED), texts(copy))
    if lines:
        sys.stdout.write("\n".join(lines) + "\n")
        sys.exit("error: image-factory/ is not what the repository gives\nhint: image-factory analyze, then synth")
    sys.stdout.write(f"{SHIPPED.name}: as shipped\n")


if __name__ == "__main__":
    main()
