"""Inspect: which images would the builds of these files pull? Files in, readings out, one at a time.

Nothing but files is touched: no registry is asked, no remote context fetched. The results are a
stream, so that a tree of any number of files is read in the memory of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from image_factory.dockerfile.definition import is_definition
from image_factory.dockerfile.read import read_dockerfile
from image_factory.dockerfile.reading import BuildOptions, Category, Diagnostic, Reading
from image_factory.errors import NotFound
from image_factory.shell.tree import MAX_FILE, Found, find_dockerfiles, read_bounded, read_file

STANDARD_INPUT = "-"
_CACHED_READINGS = 64
_CACHED_FILE = 16 * 1024
"""Bytes up to which a file's reading is kept: copies of a small Dockerfile are common, of a large one rare."""


@dataclass(frozen=True, slots=True)
class Inspected:
    """What one file says."""

    file: str
    """As it was given, or its path below the folder that was."""
    reading: Reading
    definition: str | None = None
    """The bake or compose file that says what is built; None where the Dockerfile itself was given."""
    target: str | None = None
    """The target or service of that file."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """The stream of what is read, and whether it is of one file or of any number."""

    is_single: bool
    files: Iterator[Inspected]


def inspect(
    paths: Sequence[str], options: BuildOptions, *, standard_input: BinaryIO, environment: Mapping[str, str]
) -> Inspection:
    """Return what the files at `paths` and in the folders there say of images.

    Of a bake or compose file it is what its builds say: `options` are then what is given beside the file,
    the target one of the file's targets, groups or services, and `environment` the values of its variables.

    Raises:
        NotFound: one of `paths` does not exist; nothing was read.
    """
    for path in paths:
        if path != STANDARD_INPUT and not Path(path).exists():
            raise NotFound(
                f"no such file or folder: {path!r}", hint="give Dockerfiles, folders, or - for standard input"
            )
    is_single = len(paths) == 1 and not _is_folder(paths[0]) and not is_definition(Path(paths[0]).name)
    return Inspection(is_single, _inspect(paths, options, standard_input, environment))


def _inspect(
    paths: Sequence[str], options: BuildOptions, standard_input: BinaryIO, environment: Mapping[str, str]
) -> Iterator[Inspected]:
    @lru_cache(maxsize=_CACHED_READINGS)
    def read_small(content: bytes) -> Reading:
        return read_dockerfile(content, options)

    def read(content: bytes) -> Reading:
        if len(content) <= _CACHED_FILE:
            return read_small(content)
        if len(content) > MAX_FILE:
            return unreadable(f"the file is larger than {MAX_FILE} bytes")
        return read_dockerfile(content, options)

    for path in paths:
        if path == STANDARD_INPUT:
            yield Inspected(path, read(read_bounded(standard_input)))
        elif _is_folder(path):
            for found in find_dockerfiles(path):
                # One folder: the path below it says all. Several: which folder, too.
                name = found.name if len(paths) == 1 else f"{path.rstrip('/')}/{found.name}"
                yield Inspected(name, _read_found(found, read))
        elif is_definition(Path(path).name):
            from image_factory.usecases.inspect_definition import inspect_definition

            yield from inspect_definition(path, options, environment)
        else:
            yield Inspected(path, _read_found(Found(path, path), read))


def _read_found(found: Found, read: Callable[[bytes], Reading]) -> Reading:
    if found.problem is not None:
        return unreadable(found.problem)
    try:
        content = read_file(found.path)
    except OSError as error:
        return unreadable(f"the file cannot be read: {error.strerror}")
    return read(content)


def unreadable(message: str) -> Reading:
    """Return the reading of what could not be opened."""
    return Reading((), (Diagnostic(Category.UNREADABLE, 1, message),), ())


def _is_folder(path: str) -> bool:
    return path != STANDARD_INPUT and Path(path).is_dir()
