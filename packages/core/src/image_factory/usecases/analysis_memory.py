"""What the last whole analysis was made from, so that one with nothing new need not read it all again.

Kept in the folder's cache, which may be deleted at any time. An analysis is remembered only if
nothing failed in it; anything that differs (a byte of images.yaml, a state file, a commit, a
setting, a plugin, this program) makes the next one read everything.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from image_factory import __version__
from image_factory.errors import ImageFactoryError
from image_factory.ports import SourceRepository
from image_factory.shell.state_lock import CACHE_FOLDER, own_folder
from image_factory.state.layout import BASE_IMAGES, IMAGES
from image_factory.usecases.workbench import Workbench

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Origin:
    """A branch that Dockerfiles were read from, and the commit that it named."""

    repository: SourceRepository
    branch: str
    commit: str


class AnalysisMemory:
    """The memory of one folder."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._file = bench.root / CACHE_FOLDER / "analysis.json"

    def recall(self) -> tuple[str, ...] | None:
        """Return the names that the last analysis covered if nothing that it was made from has changed, else None."""
        try:
            data = json.loads(self._file.read_bytes())
            origins = [
                Origin(SourceRepository(**entry["repository"]), entry["branch"], entry["commit"])
                for entry in data["origins"]
            ]
            files = [Path(file) for file in data["files"]]
            names = tuple(str(name) for name in data["names"])
            remembered = data["fingerprint"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if self._fingerprint(files) != remembered:
            return None
        for origin in origins:
            try:
                source = self._bench.plugins.source_named(origin.repository.provider)
                if source.revision(origin.repository, origin.branch) != origin.commit:
                    return None
            except ImageFactoryError:
                return None
        return names

    def remember(self, names: Iterable[str], origins: Iterable[Origin], files: Iterable[Path]) -> None:
        """Keep what an analysis was made from; call it when its changes are written."""
        listed = sorted(files)
        data = {
            "fingerprint": self._fingerprint(listed),
            "origins": [asdict(origin) for origin in origins],
            "files": [str(file) for file in listed],
            "names": sorted(names),
        }
        # A cache that cannot be written costs time, and nothing else.
        with contextlib.suppress(OSError):
            folder = own_folder(self._bench.root)
            descriptor, temporary = tempfile.mkstemp(dir=folder)
            with os.fdopen(descriptor, "w") as file:
                json.dump(data, file)
            Path(temporary).replace(self._file)

    def forget(self) -> None:
        """Drop what is remembered."""
        with contextlib.suppress(OSError):
            self._file.unlink()

    def _fingerprint(self, files: Iterable[Path]) -> str:
        bench = self._bench
        digest = hashlib.sha256()
        plugins = sorted((one.name, one.version, one.is_enabled) for one in bench.plugins.loaded)
        digest.update(repr((FORMAT, __version__, bench.settings.model_dump_json(), plugins)).encode())
        with contextlib.suppress(OSError):
            digest.update(bench.images_file.read_bytes())
        for folder in (IMAGES, BASE_IMAGES):
            for line in _listing(bench.root / bench.settings.state_dir / folder):
                digest.update(line)
        for path in files:
            digest.update(_stamp(path))
        return digest.hexdigest()


def _listing(folder: Path) -> list[bytes]:
    """Return a line a file: its name, size and times, so that any change shows."""
    try:
        with os.scandir(folder) as entries:
            return sorted(f"{entry.name}:{_times(entry.stat(follow_symlinks=False))}\n".encode() for entry in entries)
    except OSError:
        return []


def _stamp(path: Path) -> bytes:
    try:
        return f"{path}:{_times(path.stat())}\n".encode()
    except OSError:
        return f"{path}: missing\n".encode()


def _times(status: os.stat_result) -> str:
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}:{status.st_ino}"
