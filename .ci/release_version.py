"""Check that a release's tag is the version of every package; one line of error otherwise."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def versions(root: Path) -> dict[str, str]:
    """Return the version of the meta-package and of every member, by distribution."""
    files = [root / "pyproject.toml", *sorted(root.glob("p*/*/pyproject.toml"))]
    projects = [tomllib.loads(file.read_text(encoding="utf-8"))["project"] for file in files]
    return {project["name"]: project["version"] for project in projects}


def main() -> None:
    tag = sys.argv[1] if len(sys.argv) > 1 else ""
    differing = {name: version for name, version in versions(ROOT).items() if tag != f"v{version}"}
    if differing:
        listed = ", ".join(f"{name} {version}" for name, version in differing.items())
        sys.exit(f"error: tag {tag!r} is not the version of {listed}")


if __name__ == "__main__":
    main()
