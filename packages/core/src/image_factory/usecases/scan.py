"""Find every place in a tree that names a managed image, and propose the `updates` entries that carry it along."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from image_factory.errors import ImageFactoryError, Location, NotFound, UserError
from image_factory.model.mention import FOLDER_TYPES, Mention
from image_factory.oci.reference import Repository
from image_factory.ports import FileUpdater
from image_factory.shell.tree import MAX_FILE, SKIPPED_FOLDERS, read_file
from image_factory.yaml_text.references import YAML_UPDATE
from image_factory.yaml_text.sites import literal_mentions

_ORIGIN = re.compile(r'\[remote "origin"\][^\[]*?\n\s*url\s*=\s*(\S+)')
_REPOSITORY = re.compile(r"(?:^[a-z+]+://[^/]+/|^[^/@:]+@[^:/]+:|^[^/:]+:)(.+?)(?:\.git)?/?$")


@dataclass(frozen=True, slots=True)
class Place:
    """One place that names a managed image."""

    image: str
    """The enrolled name."""
    file: str
    """Below the tree, with `/`."""
    mention: Mention
    type: str | None
    """The updater that can change it; None where none can."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """An `updates` entry for one image."""

    image: str
    repo: str | None
    """`owner/repository` as the checkout's origin has it; None where that cannot be told."""
    path: str
    """From the top of the checkout, where there is one."""
    type: str
    keys: tuple[str, ...] = ()

    def entry(self) -> dict[str, object]:
        """Return the entry in images.yaml's own keys and order."""
        keys = {"keys": list(self.keys)} if self.keys else {}
        return {"repo": self.repo or "OWNER/REPOSITORY", "path": self.path, "type": self.type, **keys}


@dataclass(frozen=True, slots=True)
class Scan:
    """What a tree says of the managed images."""

    places: tuple[Place, ...]
    proposals: tuple[Proposal, ...]
    problems: tuple[ImageFactoryError, ...]
    """Files and folders that could not be looked at."""
    files: int
    """How many files were read."""


def scan(
    tree: Path,
    images: Mapping[str, Repository],
    updaters: Sequence[FileUpdater],
    *,
    passed_by: Sequence[Path] = (),
) -> Scan:
    """Look through every file below `tree`, or at the one file that it is.

    Args:
        images: the managed images, by name.
        passed_by: folders not to look into, such as our own state.

    Raises:
        NotFound: there is nothing at `tree`.
    """
    if not tree.exists():
        raise NotFound(f"no such file or folder: {tree}", hint="give a path that exists")
    finder = _Finder(images, updaters)
    problems: list[ImageFactoryError] = []
    places: list[Place] = []
    count = 0
    top = str(tree if tree.is_dir() else tree.parent)
    listed = _walk(top, {str(path.resolve()) for path in passed_by}, problems) if tree.is_dir() else iter([str(tree)])
    cut = len(top.rstrip("/")) + 1
    for path in listed:
        try:
            data = read_file(path)
        except OSError as error:
            problems.append(_unread(f"cannot be read: {error.strerror}", path))
            continue
        count += 1
        wanted = finder.named_in(path, data)
        if not wanted:
            continue
        if len(data) > MAX_FILE:
            problems.append(_unread(f"larger than {MAX_FILE:,} bytes", path))
            continue
        name = path[cut:] if path.startswith(top) else path
        places += finder.places(name.replace(os.sep, "/"), data, wanted)
    places.sort(key=lambda place: (place.file, place.mention.line))
    return Scan(tuple(places), tuple(_proposals(places, Path(top))), tuple(problems), count)


def _walk(top: str, passed_by: set[str], problems: list[ImageFactoryError]) -> Iterator[str]:
    """Yield the plain files below a folder; links are not followed, for what they lead to is found where it stands."""
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        if passed_by and str(Path(folder).resolve()) in passed_by:
            continue
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name not in SKIPPED_FOLDERS:
                            waiting.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        yield entry.path
        except OSError as error:
            problems.append(_unread(f"cannot be listed: {error.strerror}", folder))


def _unread(why: str, path: str) -> UserError:
    return UserError(why, hint="what it names was not looked for: see to that by hand", location=Location(path))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An image that is looked for, and the bytes without which a file does not name it."""

    image: str
    repository: Repository
    path: bytes
    last: bytes
    """The last part of the path: all that must stand together where values part registry and repository."""


class _Finder:
    """Looks for the images in one file after the other: first by bytes, then by what can read the file."""

    def __init__(self, images: Mapping[str, Repository], updaters: Sequence[FileUpdater]) -> None:
        self._wanted = [
            _Wanted(name, repository, _searched(repository), repository.path.rpartition("/")[2].encode())
            for name, repository in images.items()
        ]
        # Few owners have many images: every name below an owner is taken out of a file by one search.
        self._single = [wanted for wanted in self._wanted if b"/" not in wanted.path]
        self._owned: dict[bytes, dict[bytes, list[_Wanted]]] = {}
        for wanted in self._wanted:
            if b"/" in wanted.path:
                owner = wanted.path.partition(b"/")[0] + b"/"
                self._owned.setdefault(owner, {}).setdefault(wanted.path, []).append(wanted)
        self._names = {owner: re.compile(re.escape(owner) + rb"[a-z0-9._/-]+") for owner in self._owned}
        # What takes any YAML file comes last: a kind of file of its own says more.
        self._updaters = sorted(updaters, key=lambda updater: (updater.name == YAML_UPDATE, updater.name))
        self._own_kinds = [updater for updater in self._updaters if updater.name != YAML_UPDATE]

    def named_in(self, path: str, data: bytes) -> list[_Wanted]:
        """Return the images that a file may name."""
        if any(updater.matches(path) for updater in self._own_kinds):
            return [wanted for wanted in self._wanted if wanted.last in data]
        found = [wanted for wanted in self._single if wanted.path in data]
        for owner, named in self._owned.items():
            if owner in data:
                for there in named.keys() & set(self._names[owner].findall(data)):
                    found += named[there]
        return found

    def places(self, name: str, data: bytes, wanted: Sequence[_Wanted]) -> Iterator[Place]:
        """Yield the places of a file that name one of `wanted`."""
        if b"\0" in data:
            return  # no text
        text = data.decode("utf-8", "replace")
        names: dict[Repository, list[str]] = {}
        for one in wanted:
            names.setdefault(one.repository, []).append(one.image)
        seen: set[tuple[int, Repository]] = set()
        whole: dict[Repository, int] = {}
        is_utf8 = "\ufffd" not in text
        readers = [updater for updater in self._updaters if is_utf8 and updater.matches(name)]
        for updater in readers:
            found = [mention for mention in updater.mentions(name, text) if mention.reference.repository in names]
            for mention in found:
                place = (mention.line, mention.reference.repository)
                if place not in seen:
                    whole[place[1]] = whole.get(place[1], 0) + bool(mention.reference.written)
                    yield from (Place(image, name, mention, updater.name) for image in names[place[1]])
            seen |= {(mention.line, mention.reference.repository) for mention in found}
        for repository, listed in names.items():
            if text.count(_searched(repository).decode()) <= whole.get(repository, 0):
                continue  # every occurrence is told of already
            for mention in literal_mentions(text, repository, comments=not readers):
                if (mention.line, repository) not in seen:
                    yield from (Place(image, name, mention, None) for image in listed)


def _searched(repository: Repository) -> bytes:
    """Return what every spelling of a repository has: Docker Hub's one-word names go without `library/`."""
    return repository.path.removeprefix("library/").encode()


def _proposals(places: Sequence[Place], tree: Path) -> Iterator[Proposal]:
    """Yield one entry for each image, file and updater, in the order of the images' first places."""
    grouped: dict[tuple[str, str, str], list[Place]] = {}
    for place in places:
        if place.type is not None:
            grouped.setdefault((place.image, place.file, place.type), []).append(place)
    top, repo = _checkout(tree)
    for (image, file, kind), group in sorted(grouped.items(), key=lambda item: item[0]):
        path = Path(os.path.relpath(tree.resolve() / file, top)).as_posix()
        is_folder = kind in FOLDER_TYPES
        if is_folder:
            path = path.rpartition("/")[0] or "."
        keys = tuple(dict.fromkeys(key for place in group for key in place.mention.keys))
        # Keys change nothing but themselves, so they are proposed where they cover every place.
        is_covered = is_folder or all(place.mention.keys for place in group)
        yield Proposal(image, repo, path, kind, keys if is_covered else ())


def _checkout(tree: Path) -> tuple[Path, str | None]:
    """Return the top of the checkout that holds `tree`, and `owner/repository` of its origin."""
    resolved = tree.resolve()
    for folder in (resolved, *resolved.parents):
        config = folder / ".git" / "config"
        if config.is_file():
            origin = _ORIGIN.search(config.read_text(encoding="utf-8", errors="replace"))
            repository = _REPOSITORY.search(origin[1]) if origin else None
            return folder, repository[1] if repository else None
        if (folder / ".git").exists():
            return folder, None
    return resolved, None
