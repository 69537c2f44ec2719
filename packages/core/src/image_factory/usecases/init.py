"""Make an image-factory folder: images.yaml and config.yaml that teach, and an empty state."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from image_factory.errors import Conflict, InvalidSettings

SCHEMA_URL = "https://raw.githubusercontent.com/craigedmunds/image-factory/main/docs/schema/images.schema.json"
"""Where editors find the schema of images.yaml."""
SETTINGS_SCHEMA_URL = SCHEMA_URL.replace("images.schema", "config.schema")

_IMAGES = f"""\
# yaml-language-server: $schema={SCHEMA_URL}
#
# The images that Image Factory keeps current: people write this file, the program never changes what is there.
# `image-factory enroll NAME …` adds an entry, `image-factory validate` checks them all.
#
# An image that you build. Its base images are found in its Dockerfile and watched; when one has a
# new digest that is older than rebuildDelay, the image is due to be rebuilt.
#
# - name: web
#   registry: ghcr.io
#   repository: acme/web
#   source:
#     repo: acme/web
#     branch: main
#     dockerfile: Dockerfile
#     workflow: build.yml
#   rebuildDelay: 7d
#
# An image that you only watch.
#
# - name: postgres
#   repository: library/postgres
#   tag: "16-alpine"
"""

_SETTINGS = f"""\
# yaml-language-server: $schema={SETTINGS_SCHEMA_URL}
#
# Settings of this folder. Every one has a default; flags and IMAGE_FACTORY_… variables win over this file.
#
# commit:
#   push: true                  # push what `--commit` commits
#
# engine: kargo                 # the cluster starts builds, by what `image-factory synth` writes
# kargo:
#   stateRepository: https://github.com/acme/platform.git
#   jobImage: ghcr.io/craigedmunds/image-factory:0.1.0
#
# registries:
#   registry.example.com:
#     endpoint: https://mirror.example.com
"""

_GITIGNORE = """\
# What this machine keeps for itself: what was read from state, and the lock of writers.
.image-factory-cache/
# State files that could not be read, set aside.
*.corrupt
"""

_KEEP = ""

FILES = {
    "images.yaml": _IMAGES,
    "config.yaml": _SETTINGS,
    ".gitignore": _GITIGNORE,
    "state/.gitkeep": _KEEP,
}
"""What a new folder holds, by path."""


@dataclass(frozen=True, slots=True)
class Made:
    """A folder that was made, or would be."""

    root: Path
    files: tuple[str, ...]
    """Paths in it, in the order of a first reading."""


def init(root: Path, *, dry_run: bool = False) -> Made:
    """Make an image-factory folder at `root`.

    Raises:
        Conflict: one of its files is there already; then nothing is written.
        InvalidSettings: the folder cannot be made.
    """
    for path in FILES:
        if (root / path).exists() or (root / path).is_symlink():
            raise Conflict(f"{root / path} exists already", hint="name another folder, or remove that file")
    if not dry_run:
        try:
            for path, text in FILES.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                with (root / path).open("x", encoding="utf-8", newline="\n") as file:
                    file.write(text)
        except OSError as error:
            raise InvalidSettings(
                f"cannot make {error.filename or root}: {error.strerror}", hint="name a folder that you may write to"
            ) from error
    return Made(root, tuple(FILES))
