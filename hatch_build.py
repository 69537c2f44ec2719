"""The requirements of the meta-package `image-factory`: its own members, by path or by version.

In a clone, where `packages/` lies beside this file, each member is required as `name @ file:///…`, so
that `pip install '.[github]'` takes the clone's code. Built for release (`IMAGE_FACTORY_RELEASE=1`), or
from a source distribution, each is required as `name==version`: one version for all.
Which member belongs to which extra stands in pyproject.toml, under `[tool.hatch.metadata.hooks.custom]`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

RELEASE = "IMAGE_FACTORY_RELEASE"
"""The environment variable that asks for versions in place of paths."""
FOR_AUTHORS = "testing"
"""The extra for plugin authors, which pulls pytest and hypothesis; no part of `all`."""
_MEMBER = re.compile(r"(?P<name>image-factory-(?P<word>[a-z0-9-]+))(?P<features>\[[a-z0-9,-]+\])?\Z")


class CustomMetadataHook(MetadataHookInterface):
    """Fills in `dependencies` and `optional-dependencies` of the meta-package."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Write both fields, which pyproject.toml declares dynamic."""
        root = Path(self.root)
        versioned = os.environ.get(RELEASE) == "1" or not (root / "packages").is_dir()
        require = by_version(metadata["version"]) if versioned else by_path(root)
        metadata["dependencies"] = [require(member) for member in self.config["members"]]
        metadata["optional-dependencies"] = extras(self.config["extras"], require)


def extras(declared: Mapping[str, Sequence[str]], require: Callable[[str], str]) -> dict[str, list[str]]:
    """Return each extra's requirements, and `all` as the sum of those that a user may want."""
    named = {extra: [require(member) for member in members] for extra, members in declared.items()}
    everything = sorted({each for extra, members in named.items() if extra != FOR_AUTHORS for each in members})
    return {**named, "all": everything}


def by_version(version: str) -> Callable[[str], str]:
    """Require members at the meta-package's own version."""
    return lambda member: f"{member}=={version}"


def by_path(root: Path) -> Callable[[str], str]:
    """Require members where they lie in the clone; an unknown one is an error that names the folders looked in."""

    def require(member: str) -> str:
        match = _MEMBER.match(member)
        if match is None:
            raise ValueError(f"not a member: {member!r}; write image-factory-NAME, or image-factory-NAME[FEATURE]")
        folders = [root / parent / match["word"] for parent in ("packages", "plugins")]
        found = [folder for folder in folders if (folder / "pyproject.toml").is_file()]
        if not found:
            raise ValueError(f"no folder of {member!r}: looked in {', '.join(map(str, folders))}")
        return f"{member} @ {found[0].as_uri()}"

    return require
