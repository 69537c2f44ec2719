"""cdk8s' own JavaScript, unpacked once from the Python package that carries it. I/O.

The Python package is the JavaScript library, packed, and a bridge that sends each call as a message.
The library is found without importing the package, since the bridge costs more than the work
(docs/decisions/0004-one-crossing.md).
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from image_factory.errors import ImageFactoryError

PACKAGES = ("cdk8s", "constructs")
_LEFT_OUT = (".d.ts", ".map", ".md", ".ts")
"""What running the library does not need, and is most of it."""


class RenderingFailed(ImageFactoryError):
    """cdk8s or its Node did not do their work."""


@contextlib.contextmanager
def cdk8s_library(environ: Mapping[str, str] | None = None) -> Iterator[Path]:
    """Hold the folder to `require` cdk8s from: in the user's cache, or where there is none, for this once.

    Raises:
        RenderingFailed: the package is not installed, or not packed as known.
    """
    archives = {package: _archive(package) for package in PACKAGES}
    name = _name(archives)
    cache = _cache_folder(os.environ if environ is None else environ)
    with contextlib.ExitStack() as stack:
        kept = None if cache is None else cache / name
        if kept is None or not kept.is_dir():
            kept = _unpack(archives, kept, stack)
        yield kept / "node_modules" / "cdk8s"


def library_name() -> str:
    """Return which versions the library is of, such as `cdk8s@2.70.115-constructs@10.8.1`.

    Raises:
        RenderingFailed: as `cdk8s_library`.
    """
    return _name({package: _archive(package) for package in PACKAGES})


def _name(archives: Mapping[str, Path]) -> str:
    return "-".join(archive.name.removesuffix(".jsii.tgz") for archive in archives.values())


def _archive(package: str) -> Path:
    found = importlib.util.find_spec(package)
    folder = None if found is None or found.origin is None else Path(found.origin).parent / "_jsii"
    archives = [] if folder is None else sorted(folder.glob(f"{package}@*.jsii.tgz"))
    if len(archives) != 1:
        raise RenderingFailed(
            f"the package {package} is {'not installed' if folder is None else f'not packed as known: {folder}'}",
            hint="pip install --force-reinstall image-factory-synth",
        )
    return archives[0]


def _cache_folder(environ: Mapping[str, str]) -> Path | None:
    named = environ.get("XDG_CACHE_HOME")
    try:
        return (Path(named) if named else Path.home() / ".cache") / "image-factory"
    except RuntimeError:  # there is no home
        return None


def _unpack(archives: Mapping[str, Path], target: Path | None, stack: contextlib.ExitStack) -> Path:
    """Unpack into `target`, whole or not at all; where that cannot be written, for this once."""
    import tempfile  # not needed where it is unpacked already

    if target is not None:
        with contextlib.suppress(OSError):
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as made:
                room = Path(made) / "whole"
                _extract(archives, room)
                # Another run may have been quicker: then its folder stands, and is as good.
                with contextlib.suppress(OSError):
                    room.rename(target)
            if target.is_dir():
                return target
    once = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="image-factory-cdk8s-")))
    _extract(archives, once)
    return once


def _extract(archives: Mapping[str, Path], room: Path) -> None:
    import shutil
    import tarfile

    for package, archive in archives.items():
        folder = room / "node_modules" / package
        with tarfile.open(archive) as packed:
            members = [member for member in packed if member.isfile() and not member.name.endswith(_LEFT_OUT)]
            packed.extractall(folder.parent / f".{package}", members, filter="data")
        shutil.move(folder.parent / f".{package}" / "package", folder)
