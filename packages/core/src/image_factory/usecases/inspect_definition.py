"""Inspect's way through a bake or compose file: its builds, each with the Dockerfile that it names or holds.

Files are opened in the tree that the file stands in and nowhere else: the checkout around it, else the
working folder, else the file's own folder. Nothing remote is fetched.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from image_factory.dockerfile.definition import Build, read_definition
from image_factory.dockerfile.read import read_dockerfile
from image_factory.dockerfile.reading import BuildOptions, Reading
from image_factory.shell.tree import MAX_FILE, SKIPPED_FOLDERS, read_file
from image_factory.usecases.inspect import Inspected, unreadable


def inspect_definition(path: str, options: BuildOptions, environment: Mapping[str, str]) -> Iterator[Inspected]:
    """Yield what each build of a bake or compose file would pull.

    What of the file itself cannot be read comes first, under the file's own name. The lines of an
    inline Dockerfile count from its first.
    """
    file = Path(path).resolve()
    root = _root(file)
    inner = file.relative_to(root).as_posix()

    def load(place: str) -> str | None:
        content = _content(root, place)
        return content.decode(errors="replace") if isinstance(content, bytes) else None

    content = _content(root, inner)
    if isinstance(content, Reading):
        yield Inspected(path, content)
        return
    wanted = () if options.target is None else (options.target,)
    definition = read_definition(
        inner, content.decode(errors="replace"), targets=wanted, environment=environment, load=load
    )
    if definition.diagnostics or not definition.builds:
        yield Inspected(path, Reading((), definition.diagnostics, ()), path)
    above = os.path.relpath(root, file.parent)
    for build in definition.builds:
        name = path
        if build.dockerfile is not None:
            name = os.path.normpath(Path(path).parent / above / build.dockerfile)
        reading = _reading(root, build, _options(build, options))
        # Their lines are the definition's, so they say so.
        before = tuple(replace(found, message=f"{file.name}: {found.message}") for found in build.diagnostics)
        reading = replace(reading, diagnostics=before + reading.diagnostics)
        yield Inspected(name, reading, path, build.name)


def _root(file: Path) -> Path:
    for folder in file.parents:
        if any((folder / name).exists() for name in SKIPPED_FOLDERS):
            return folder
    here = Path.cwd()
    return here if file.is_relative_to(here) else file.parent


def _content(root: Path, place: str) -> bytes | Reading:
    """Return what a file of the tree holds, or the reading that says why it cannot be opened."""
    try:
        file = (root / place).resolve(strict=True)
        if not file.is_relative_to(root):
            return unreadable("a symbolic link that leads out of the tree")
        if not file.is_file():
            return unreadable("not a regular file")
        content = read_file(str(file))
    except (OSError, RuntimeError, ValueError) as error:
        return unreadable(f"the file cannot be read: {getattr(error, 'strerror', None) or error}")
    return content if len(content) <= MAX_FILE else unreadable(f"the file is larger than {MAX_FILE} bytes")


def _reading(root: Path, build: Build, options: BuildOptions) -> Reading:
    if build.inline is not None:
        return read_dockerfile(build.inline, options)
    if build.dockerfile is None:
        return Reading((), (), ())
    content = _content(root, build.dockerfile)
    return content if isinstance(content, Reading) else read_dockerfile(content, options)


def _options(build: Build, given: BuildOptions) -> BuildOptions:
    """Return the build's options under what is given beside the file, as `docker buildx bake --set` has it."""
    return replace(
        build.options,
        build_args={**build.options.build_args, **given.build_args},
        platforms=given.platforms or build.options.platforms,
    )
