"""A workbench whose state is a copy, so that steps which write can be tried without changing anything. I/O."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePath, PurePosixPath

from image_factory.errors import ImageFactoryError
from image_factory.shell.store import FileChange, Store
from image_factory.usecases.workbench import Workbench


@contextmanager
def rehearsal(bench: Workbench) -> Iterator[Workbench]:
    """Give a workbench on a copy of the state, which is gone afterwards; everything else is the real one's."""
    with tempfile.TemporaryDirectory(prefix="image-factory-rehearsal-") as folder:
        state = Path(folder, "state")
        original = bench.root / bench.settings.state_dir
        if original.is_dir():
            # Links are kept as links: the store refuses those that lead out, as it does in the original.
            shutil.copytree(original, state, symlinks=True)
        else:
            state.mkdir()
        settings = bench.settings.model_copy(update={"state_dir": str(state)})
        store = Store(bench.root, settings, cache=False)
        yield replace(bench, settings=settings, store=store, load=lambda: bench.plugins)


def place_in_original(errors: Iterable[ImageFactoryError], bench: Workbench, rehearsed: Workbench) -> None:
    """Let errors about a file of the copy name that of the original state."""
    copy, original = rehearsed.settings.state_dir, bench.root / bench.settings.state_dir
    for error in errors:
        if error.location is not None and PurePath(error.location.file).is_relative_to(copy):
            place = original / PurePath(error.location.file).relative_to(copy)
            error.location = replace(error.location, file=str(place))


def joined_changes(changes: Iterable[FileChange], bench: Workbench, rehearsed: Workbench) -> tuple[FileChange, ...]:
    """Return what the changes of several steps come to, one a file, under the paths of the original state."""
    found: dict[PurePosixPath, FileChange] = {}
    for change in changes:
        path = PurePosixPath(bench.settings.state_dir, change.path.relative_to(rehearsed.settings.state_dir))
        first = found.get(path)
        found[path] = replace(change, path=path, old=change.old if first is None else first.old)
    return tuple(change for _, change in sorted(found.items()) if change.old != change.new)
