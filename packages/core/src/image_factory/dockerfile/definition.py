"""What a bake or compose file says is built: each target's or service's Dockerfile, context and options.

`read_definition` is the door for both kinds of file; `bake` and `compose` read them. Paths are
relative to the tree that the file stands in, with `/`. Pure: files come in as texts.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from image_factory.dockerfile.reading import BuildOptions, Diagnostic

MAX_DEFINITION = 2 * 1024 * 1024
"""Characters of one bake or compose file. The largest that people write have some hundred thousand."""

_BAKE = re.compile(
    r"(?:.*[._-])?docker-bake(?:[._-].*)?\.(?:hcl|json)\Z|.*\.bake\.(?:hcl|json)\Z|.*\.hcl\Z", re.IGNORECASE
)
_COMPOSE = re.compile(r"(?:.*[._-])?(?:docker-)?compose(?:[._-].*)?\.ya?ml\Z", re.IGNORECASE)
_REMOTE = re.compile(
    r"(?:https?|git|ssh|oci-layout|docker-image|target)://|git@|github\.com/|(?:docker-image|target|service|git):"
)


@dataclass(frozen=True, slots=True)
class Build:
    """One build: what `docker build` would be told."""

    name: str
    """The target's or service's name."""
    context: str
    """The build context: a path from the tree's root, or an address as it is written."""
    dockerfile: str | None
    """The Dockerfile's path from the tree's root; None where it is inline or not in the tree."""
    inline: str | None
    """The Dockerfile's text where the file itself holds it."""
    options: BuildOptions
    line: int
    """Where the file defines it."""
    diagnostics: tuple[Diagnostic, ...] = ()
    """What of this build could not be resolved; its lines are the file's."""


@dataclass(frozen=True, slots=True)
class Definition:
    """What a file builds, in the order of the file, each build before those that it takes results from."""

    builds: tuple[Build, ...]
    diagnostics: tuple[Diagnostic, ...]
    """What of the file could not be read; what is wrong with one build stands there."""


Load = Callable[[str], str | None]
"""Gives the text of another file of the tree by its path; None where there is none."""


def is_definition(name: str) -> bool:
    """Return whether a file of this name is taken for a bake or compose file."""
    return bool(_BAKE.match(name) or _COMPOSE.match(name))


def read_definition(
    path: str,
    text: str,
    *,
    targets: Iterable[str] = (),
    environment: Mapping[str, str] | None = None,
    load: Load = lambda path: None,
) -> Definition:
    """Return what a bake or compose file builds.

    Args:
        path: the file's path from the tree's root; its name says of which kind it is.
        text: what it holds.
        targets: the targets, groups or services to build; none means all.
        environment: what variables are taken from; nothing else of the machine is.
        load: gives the other files that it names or that are merged over it by custom.
    """
    if _COMPOSE.match(posixpath.basename(path)):
        from image_factory.dockerfile.compose import read_compose

        return read_compose(path, text, services=targets, environment=environment or {}, load=load)
    from image_factory.dockerfile.bake import read_bake

    override = _override(path)
    files = [(path, text)]
    if override is not None and (over := load(override)) is not None:
        files.append((override, over))
    return read_bake(files, targets=targets, environment=environment or {})


def _override(path: str) -> str | None:
    """Return what buildx merges over `docker-bake.hcl` by custom."""
    folder, name = posixpath.split(path)
    stem, _, ending = name.rpartition(".")
    return posixpath.join(folder, f"{stem}.override.{ending}") if stem == "docker-bake" else None


def is_remote(context: str) -> bool:
    """Return whether a build context is an address rather than a path."""
    return context == "-" or bool(_REMOTE.match(context)) or context.endswith(".git")


def inner_path(folder: str, path: str) -> str | None:
    """Return `path`, taken from `folder`, as a path from the tree's root; None where it leads out of the tree."""
    if "\0" in path or posixpath.isabs(path):
        return None
    joined = posixpath.normpath(posixpath.join(folder, path))
    return None if joined == ".." or joined.startswith(("../", "/")) else joined
