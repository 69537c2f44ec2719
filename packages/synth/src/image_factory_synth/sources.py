"""What is watched of a managed image's source: its branch, and in it the paths that make the image. Pure.

Never the folders of state and of our output: what an analysis commits there would be Freight, and be analyzed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from image_factory.ports import SourceRepository
from image_factory_synth.data import ManagedImage
from image_factory_synth.records import GitSubscription

if TYPE_CHECKING:
    from image_factory_synth.stages import Providers

_SEVERAL = 5
"""Commits kept in view; those of one interval make one Freight, of the newest."""


@dataclass(frozen=True, slots=True)
class SourceWatch:
    """Makes the git subscriptions of managed images."""

    providers: Providers
    folder: str
    """Where the image-factory folder lies in its repository."""
    ours: tuple[str, ...]
    """The folders in it that only we write."""

    def of(self, image: ManagedImage) -> GitSubscription | None:
        """Return what to watch; None where repository or branch is missing, or it lies on this machine.

        Raises:
            UnknownPlugin: no plugin knows the provider.
        """
        source = image.source
        if source is None or not source.repo or not source.branch:
            return None
        url = self.providers.source_named(source.provider).clone_url(
            SourceRepository(source.provider, source.host, source.repo)
        )
        if "://" not in url or url.startswith("file:"):
            return None
        paths = {str(PurePosixPath(source.dockerfile).parent), *(str(PurePosixPath(p)) for p in source.paths)}
        everything = "." in paths
        ours = [
            path
            for path in (str(PurePosixPath(self.folder, each)) for each in self.ours)
            if everything or any(_covers(shown, path) for shown in paths)
        ]
        return GitSubscription(
            repo_url=url,
            branch=source.branch,
            include_paths=() if everything else tuple(sorted(paths)),
            exclude_paths=tuple(ours),
            discovery_limit=_SEVERAL,
        )


def _covers(path: str, other: str) -> bool:
    return PurePosixPath(other).is_relative_to(path)
