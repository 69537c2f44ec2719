"""What is watched of git for a managed image: its source, and the folder that enrolls it. Pure.

Never the folders of state and of our output: what an analysis commits there would be Freight, and be analyzed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from image_factory.ports import SourceRepository
from image_factory_synth.data import ManagedImage
from image_factory_synth.records import GitSubscription

if TYPE_CHECKING:
    from image_factory_synth.stages import Providers

_NEWEST = 1
"""Commits kept in view. Those of one interval make one Freight, of the newest; for more, Kargo would go further back
through the history at each look, one commit's changes after the other."""
_URL = re.compile(r"(?P<scheme>[a-z]+)://(?:[^@/]*@)?(?P<host>[^/]+)/(?P<path>.*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SourceWatch:
    """Makes the git subscriptions of managed images."""

    providers: Providers
    folder: str
    """Where the image-factory folder lies in its repository."""
    ours: tuple[str, ...]
    """The folders in it that only we write."""
    repository: str | None = None
    """The clone URL of the repository that holds the folder; None where no setting says."""
    branch: str = "main"

    def of(self, image: ManagedImage) -> tuple[GitSubscription, ...]:
        """Return what to watch: the source, then the folder's repository where it is another.

        Nothing where repository or branch is missing, or the source lies on this machine. A change of the source
        or of the enrollments is new Freight, which is analyzed as a new image is.

        Raises:
            UnknownPlugin: no plugin knows the provider.
        """
        source = image.source
        if source is None or not source.repo or not source.branch:
            return ()
        url = self.providers.source_named(source.provider).clone_url(
            SourceRepository(source.provider, source.host, source.repo)
        )
        if "://" not in url or url.startswith("file:"):
            return ()
        # The folder may lie in any repository of enrolled images; where it does not, there is nothing of that name.
        paths = (_folder(source.dockerfile.rpartition("/")[0]), *source.paths, _folder(self.folder))
        watched = self._subscription(url, source.branch, paths)
        if self.repository is None or _identity(self.repository) == _identity(url):
            # Kargo takes a repository once.
            return (watched,)
        return (watched, self._subscription(self.repository, self.branch, (_folder(self.folder),)))

    def _subscription(self, url: str, branch: str, paths: Iterable[str]) -> GitSubscription:
        included = tuple(sorted(set(paths)))
        ours = _below(self.folder, self.ours)
        return GitSubscription(
            repo_url=url,
            branch=branch,
            include_paths=included,
            exclude_paths=tuple(path for path in ours if any(_covers(shown, path) for shown in included)),
            discovery_limit=_NEWEST,
        )


def _folder(path: str) -> str:
    """Return a path as that of a folder; the whole repository as `.`."""
    return "." if path in ("", ".") else f"{path.rstrip('/')}/"


@lru_cache(maxsize=8)
def _below(folder: str, paths: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_folder(str(PurePosixPath(folder, path))) for path in paths)


def _covers(path: str, folder: str) -> bool:
    return path == "." or folder.startswith(_folder(path))


def _identity(url: str) -> str:
    """Return what two URLs of one repository have in common."""
    found = _URL.fullmatch(url)
    if found is None:
        return url
    return f"{found['host'].lower()}/{found['path'].rstrip('/').removesuffix('.git').lower()}"
