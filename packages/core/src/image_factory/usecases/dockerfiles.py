"""Fetch and read the Dockerfiles of managed images through their sources, many at once.

A repository's branch is resolved once a run, however many images come from it. Where an image's
source is the repository that holds the image-factory folder, its Dockerfile is read from the work
tree: what lies there is what will be built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock

from image_factory.decide.discovery import FileReading
from image_factory.dockerfile.definition import is_definition, read_definition
from image_factory.dockerfile.reading import BuildOptions, Reading
from image_factory.errors import ImageFactoryError, PluginError, RemoteNotFound, UnsafeValue
from image_factory.model.enrollment import Enrollment, Source
from image_factory.oci.platform import Platform
from image_factory.ports import Source as SourcePort
from image_factory.ports import SourceRepository
from image_factory.shell.dockerfile_cache import DockerfileCache, Reads
from image_factory.shell.git import Checkout
from image_factory.shell.regular_file import read_regular
from image_factory.shell.run_memory import Snapshot, joined, look
from image_factory.usecases.analysis_memory import Origin, origin_of
from image_factory.usecases.workbench import Workbench

MAX_DOCKERFILE = 4 * 1024 * 1024
"""Bytes. The largest known in public are some 100 KiB; beyond this we stop and say so."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the files of one image's build say: its Dockerfile, and what names it where that is not the enrollment."""

    readings: tuple[FileReading, ...]
    dockerfiles: int = 0
    """How many of them are Dockerfiles."""


Answer = Fetched | ImageFactoryError


class Dockerfiles:
    """Reads the Dockerfiles of one run."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._revisions: dict[tuple[SourceRepository, str], str | ImageFactoryError] = {}
        self._turns: dict[tuple[SourceRepository, str], Lock] = {}
        self._looked: list[Snapshot] = []
        self._lock = Lock()
        self._cache = DockerfileCache(bench.root)
        self._checkout = Checkout.find(bench.root)
        self._own = frozenset(self._own_urls())

    def read(self, enrollments: Mapping[str, Enrollment], *, jobs: int) -> dict[str, Answer]:
        """Return the reading, or the error, of every managed image that is given; one never stops the others."""
        progress = self._bench.progress
        progress.start("reading Dockerfiles", len(enrollments))
        answers: dict[str, Answer] = {}
        try:
            sources = [one.source for one in enrollments.values()]
            with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
                for name, answer in zip(enrollments, pool.map(self._answer, sources), strict=True):
                    answers[name] = answer
                    progress.advance(name)
        finally:
            progress.finish()
        return answers

    def _answer(self, source: Source | None) -> Answer:
        assert source is not None
        try:
            readings = tuple(self._readings(source))
            return Fetched(readings, len(readings) - _is_definition(source))
        except ImageFactoryError as error:
            return error
        except Exception as error:  # noqa: BLE001  (a plugin's defect fails its own images, and names the plugin)
            return PluginError(
                f"plugin {source.provider!r} failed to read {source.dockerfile}: {type(error).__name__}: {error}",
                hint="report it to the plugin's author",
            )

    def _readings(self, source: Source) -> Iterator[FileReading]:
        content = self._content(source, source.dockerfile)
        if not _is_definition(source):
            yield FileReading(source.dockerfile, self._cache.read(content, build_options(source)))
            return
        text = content.decode("utf-8", "replace")
        targets = [source.target] if source.target else []
        definition = read_definition(
            source.dockerfile, text, targets=targets, load=lambda path: self._text(source, path)
        )
        problems = [*definition.diagnostics, *(one for build in definition.builds for one in build.diagnostics)]
        yield FileReading(source.dockerfile, Reading((), tuple(problems), ()))
        for build in definition.builds:
            options = _joined_options(build.options, source)
            if build.inline is not None:
                yield FileReading(source.dockerfile, self._cache.read(build.inline, options))
            elif build.dockerfile is not None:
                yield FileReading(build.dockerfile, self._cache.read(self._content(source, build.dockerfile), options))

    def _text(self, source: Source, path: str) -> str | None:
        try:
            return self._content(source, path).decode("utf-8", "replace")
        except RemoteNotFound:
            return None

    def _content(self, source: Source, path: str) -> bytes:
        provider = self._bench.plugins.source_named(source.provider)
        repository = SourceRepository(source.provider, source.host, source.repo)
        if self._checkout is not None and _plain_url(provider.clone_url(repository)) in self._own:
            self._looked.append(look([self._checkout.root / path]))
            return _in_work_tree(self._checkout.root, path)
        revision = self._revision(provider, repository, source.branch)
        return provider.read(repository, revision, path)

    def _revision(self, provider: SourcePort, repository: SourceRepository, branch: str) -> str:
        key = (repository, branch)
        with self._lock:
            turn = self._turns.setdefault(key, Lock())
        with turn:
            if key not in self._revisions:
                try:
                    self._revisions[key] = provider.revision(repository, branch)
                except ImageFactoryError as error:
                    self._revisions[key] = error
            found = self._revisions[key]
        if isinstance(found, ImageFactoryError):
            raise found
        return found

    @property
    def reads(self) -> Reads:
        """How many Dockerfiles were parsed, and of how many was known what they say."""
        return self._cache.reads

    def keep(self) -> None:
        """Keep what they say for the next run."""
        self._cache.save()

    @property
    def origins(self) -> tuple[Origin, ...]:
        """The branches that were read from, with their commits."""
        return tuple(
            origin_of(repository, branch, commit)
            for (repository, branch), commit in self._revisions.items()
            if isinstance(commit, str)
        )

    @property
    def inputs(self) -> Snapshot:
        """The files of the work tree that were read, as they were before."""
        return joined(*self._looked)

    def _own_urls(self) -> Iterator[str]:
        if self._checkout is not None:
            yield from (_plain_url(url) for url in self._checkout.remotes().values())
            declared = self._bench.settings.kargo.state_repository
            if declared is not None:
                yield _plain_url(declared)


def _is_definition(source: Source) -> bool:
    return is_definition(source.dockerfile.rpartition("/")[2])


def build_options(source: Source) -> BuildOptions:
    """Return what an enrollment says of its build."""
    return BuildOptions(
        build_args=source.build_args,
        target=source.target,
        platforms=tuple(Platform.parse(platform) for platform in source.platforms),
    )


def _joined_options(defined: BuildOptions, source: Source) -> BuildOptions:
    """Return a bake or compose build's options; what the enrollment says of arguments and platforms wins."""
    ours = build_options(source)
    return replace(
        defined, build_args={**defined.build_args, **ours.build_args}, platforms=ours.platforms or defined.platforms
    )


_SCP = re.compile(r"(?:[^@/]+@)?([^:/]+):(?!//)(.+)")


def _plain_url(url: str) -> str:
    """Return what two URLs of one repository have in common: host and path, without scheme, user or `.git`."""
    _, has_scheme, rest = url.partition("://")
    if not has_scheme:
        found = _SCP.fullmatch(url)
        rest = f"{found[1]}/{found[2]}" if found else url
    host, slash, path = rest.partition("/")
    host = host.rpartition("@")[2].lower()
    return f"{host}{slash}{path}".rstrip("/").removesuffix(".git")


def _in_work_tree(root: Path, path: str) -> bytes:
    """Return the content of a file of the work tree; a link that leads out of it is refused."""
    inside = root.resolve()
    file = (inside / path).resolve()
    if not file.is_relative_to(inside):
        raise UnsafeValue(f"{path!r} leads out of the repository", hint="name a file inside it")
    try:
        size = file.stat().st_size
        if size > MAX_DOCKERFILE:
            raise UnsafeValue(f"{path!r} has {size} bytes", hint=f"a Dockerfile has at most {MAX_DOCKERFILE}")
        return read_regular(file)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise RemoteNotFound(
            f"no file {path!r} in {root.name}", hint="correct source.dockerfile, or add the file"
        ) from error
    except OSError as error:
        raise UnsafeValue(
            f"{path!r} cannot be read: {error.strerror}", hint="put a readable file in its place"
        ) from error
