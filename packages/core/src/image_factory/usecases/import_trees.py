"""Read a repository's tree for an import: its bot's configuration, Dockerfiles, pipelines and deployment files. I/O."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from image_factory.dockerfile.read import read_dockerfile
from image_factory.dockerfile.reading import BuildOptions, Role
from image_factory.errors import ImageFactoryError, Location, NotFound, UserError
from image_factory.imports.answers import Bot, BotConfig, FileKind, Remark
from image_factory.imports.dependabot import FILES as DEPENDABOT_FILES
from image_factory.imports.dependabot import read_dependabot
from image_factory.imports.pipelines import BuildStep, Home, read_gitlab, read_workflow
from image_factory.imports.proposals import Base, FoundDockerfile, FoundMention
from image_factory.imports.renovate import FILES as RENOVATE_FILES
from image_factory.imports.renovate import read_renovate
from image_factory.model.mention import Mention
from image_factory.oci.reference import Reference
from image_factory.ports import FileUpdater
from image_factory.shell.tree import SKIPPED_FOLDERS, find_dockerfiles, read_file
from image_factory.state.yaml_parser import parse_tree
from image_factory.state.yaml_tree import MapNode
from image_factory.yaml_text.nodes import parse_documents
from image_factory.yaml_text.references import YAML_UPDATE, name_of
from image_factory.yaml_text.sites import value_mentions

MAX_CONFIGURATION = 4 * 1024 * 1024
"""Bytes of one configuration, pipeline or deployment file that is read."""
MAX_FOLDERS = 3
"""How deep below a folder its clones may lie."""

_COMPOSE = re.compile(r"(?:docker-)?compose[^/]*\.ya?ml\Z", re.IGNORECASE)
_PIPELINES = re.compile(r"\.github/|\.gitlab-ci|\.gitlab/|\.circleci/")


def find_trees(path: Path) -> list[Path]:
    """Return the repositories at `path`: itself, or the clones that lie below it, sorted.

    Raises:
        NotFound: there is no folder at `path`.
    """
    if not path.is_dir():
        raise NotFound(f"no such folder: {str(path)!r}", hint="give a repository's tree, or a folder of clones")
    found: list[Path] = []
    waiting = [(path, 0)]
    while waiting:
        folder, depth = waiting.pop()
        if (folder / ".git").exists():
            found.append(folder)
        elif depth < MAX_FOLDERS:
            try:
                with os.scandir(folder) as entries:
                    waiting += [(Path(each.path), depth + 1) for each in entries if each.is_dir(follow_symlinks=False)]
            except OSError:
                continue
    return sorted(found) or [path]


class Tree:
    """One repository's tree; no file outside of it is read.

    Args:
        root: its top.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._inside = root.resolve()

    def shown(self, path: str) -> str:
        """Return a file of the tree as messages name it."""
        return str(self.root / path)

    def text(self, path: str) -> str | None:
        """Return a file's text; None where there is none.

        Raises:
            UserError: it leads out of the tree, cannot be read, is too large or not UTF-8.
        """
        file = self.root / path
        if not os.path.lexists(file):
            return None
        where = Location(self.shown(path))
        try:
            if not file.resolve(strict=True).is_relative_to(self._inside):
                raise UserError("a link that leads out of the tree", hint="put the file in its place", location=where)
            data = read_file(str(file))
        except (OSError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or "links in a circle"
            raise UserError(
                f"cannot be read: {reason}", hint="put a readable file in its place", location=where
            ) from error
        if len(data) > MAX_CONFIGURATION:
            raise UserError(f"larger than {MAX_CONFIGURATION:,} bytes", hint="split it", location=where)
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise UserError("not UTF-8", hint="save the file as UTF-8", location=Location(where.file, line)) from error

    def config(self, origin: Bot | None) -> tuple[BotConfig | None, list[Remark]]:
        """Return the configuration of a bot, of Renovate first where any is meant, and what is to be said of others.

        Raises:
            UserError: it cannot be read.
        """
        found: BotConfig | None = None
        remarks: list[Remark] = []
        for bot, files in ((Bot.RENOVATE, RENOVATE_FILES), (Bot.DEPENDABOT, DEPENDABOT_FILES)):
            if origin not in (None, bot):
                continue
            for path in files:
                if found is not None:
                    if (self.root / path).is_file() and path != "package.json":
                        other = f"is not read, since {Path(found.file).name} is: import it with --from {bot.value}"
                        said = f"is not read: {bot.called} takes the first of its files alone"
                        remarks.append(Remark(Location(self.shown(path), 1), said if found.bot is bot else other))
                    continue
                text = self.text(path)
                if text is not None:
                    read = read_renovate if bot is Bot.RENOVATE else read_dependabot
                    found = read(text, self.shown(path))
        return found, remarks

    def dockerfiles(self) -> Iterator[FoundDockerfile | ImageFactoryError]:
        """Yield the Dockerfiles of the tree with what they build on, and an error for each that cannot be read."""
        for found in find_dockerfiles(str(self.root)):
            where = Location(self.shown(found.name))
            if found.problem is not None:
                yield UserError(found.problem, hint="it is left out", location=where)
                continue
            try:
                data = read_file(found.path)
            except OSError as error:
                yield UserError(f"cannot be read: {error.strerror}", hint="it is left out", location=where)
                continue
            reading = read_dockerfile(data, BuildOptions({}))
            bases = [
                Base(_written_name(each.written, each.reference), each.line, each.role is Role.FINAL)
                for each in reading.references
                if each.role in (Role.FINAL, Role.STAGE, Role.COPY, Role.MOUNT) and each.reachable
            ]
            yield FoundDockerfile(found.name, where.file, tuple(dict.fromkeys(bases)))

    def builds(self, home: Home) -> Iterator[BuildStep | ImageFactoryError]:
        """Yield the builds of the pipelines, and an error for each file that cannot be read."""
        folder = self.root / ".github/workflows"
        try:
            names = sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []
        except OSError as error:
            names = []
            yield UserError(
                f"cannot be listed: {error.strerror}", hint="it is left out", location=Location(str(folder))
            )
        paths = [f".github/workflows/{name}" for name in names if name.endswith((".yml", ".yaml"))]
        for path in [*paths, ".gitlab-ci.yml"]:
            try:
                text = self.text(path)
                if text is not None and path in paths:
                    yield from read_workflow(text, self.shown(path), path, home)
                elif text is not None:
                    yield from read_gitlab(text, self.shown(path), home)
            except UserError as error:
                yield error

    def mentions(
        self, config: BotConfig, updaters: Sequence[FileUpdater]
    ) -> Iterator[FoundMention | ImageFactoryError]:
        """Yield the images that the deployment files name into which the bot looks."""
        for path in self._yaml_files():
            kind = kind_of(path)
            if config.unwatched(path, kind) is not None:
                continue
            try:
                text = self.text(path) or ""
                built = _built_services(text, path) if kind is FileKind.COMPOSE else {}
                for mention in _mentions(path, text, updaters):
                    if not (mention.key or "").startswith(tuple(built)):
                        name = _written_name(mention.reference.written, mention.reference)
                        yield FoundMention(path, self.shown(path), mention.line, kind, mention.reference, name)
            except UserError as error:
                if kind is not FileKind.KUBERNETES:
                    yield UserError(
                        error.message, hint=error.hint, location=error.location or Location(self.shown(path))
                    )

    def used_keys(self, path: str, keys: Sequence[str]) -> tuple[str, ...]:
        """Return those of the keys of a file whose image is not built by the file itself, as a compose file may."""
        if kind_of(path) is not FileKind.COMPOSE:
            return tuple(keys)
        built = tuple(_built_services(self.text(path) or "", path))
        return tuple(key for key in keys if not key.startswith(built))

    def _yaml_files(self) -> Iterator[str]:
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(self.root / folder) as entries:
                    listed = sorted(entries, key=lambda entry: entry.name)
            except OSError:
                continue
            folders = []
            for entry in listed:
                name = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in SKIPPED_FOLDERS:
                        folders.append(name)
                    continue
                is_yaml = entry.name.endswith((".yml", ".yaml")) and not _PIPELINES.match(name)
                if is_yaml and entry.is_file(follow_symlinks=False):
                    yield name
            waiting += reversed(folders)


def kind_of(path: str) -> FileKind:
    """Return what kind of deployment file a YAML file is, by its name."""
    name = path.rpartition("/")[2].lower()
    if _COMPOSE.match(name):
        return FileKind.COMPOSE
    if name in ("kustomization.yaml", "kustomization.yml"):
        return FileKind.KUSTOMIZE
    return FileKind.HELM_VALUES if name in ("values.yaml", "values.yml") else FileKind.KUBERNETES


def _mentions(path: str, text: str, updaters: Sequence[FileUpdater]) -> Iterator[Mention]:
    """Yield what a file names: by what reads its kind, where that is installed, else by the keys of YAML."""
    own = [each for each in updaters if each.name != YAML_UPDATE and each.matches(path)]
    for updater in own:
        yield from updater.mentions(path, text)
    if not own:
        yield from value_mentions(parse_documents(text))


def _built_services(text: str, path: str) -> Mapping[str, None]:
    """Return the keys of a compose file's services that are built from a Dockerfile: their image is no other's."""
    root = parse_tree(text, path, UserError)
    services = root.entries.get("services") if isinstance(root, MapNode) else None
    listed = services.entries.items() if isinstance(services, MapNode) else ()
    return {f"services.{name}.": None for name, node in listed if isinstance(node, MapNode) and "build" in node.entries}


def _written_name(written: str, reference: Reference) -> str:
    """Return an image's name as it is written; where variables make it up, as people would write it."""
    name = name_of(written)
    return name if name and "$" not in name else reference.repository.familiar
