"""One timeline of an image or base: its digests and rebuilds, what is archived of it included. Reads, never asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from image_factory.errors import ImageFactoryError, NotFound
from image_factory.model.image_state import BaseState, Build, DigestUpdate, ImageState, StateFolder
from image_factory.model.request import RebuildRequest
from image_factory.shell.archive_folder import ArchiveFolder
from image_factory.state.codec import read_base, read_image
from image_factory.state.layout import BASE_IMAGES, IMAGES, REQUESTS
from image_factory.state.record_codec import read_record
from image_factory.usecases.status import find_image, instant, read_status
from image_factory.usecases.workbench import Workbench


class EntryKind(StrEnum):
    """What happened."""

    DISCOVERED = "discovered"
    """A Dockerfile named the base for the first time."""
    ENROLLED = "enrolled"
    DIGEST = "digest"
    """A tag was seen at a digest, or the image was built by its owner's CI."""
    REBUILD = "rebuild"
    ARCHIVED = "archived"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened."""

    at: datetime
    kind: EntryKind
    update: DigestUpdate | None = None
    build: Build | None = None
    reason: str = ""
    """Why it was archived."""

    @property
    def key(self) -> tuple[object, ...]:
        """What tells it apart: of one that is recorded in several files one is told."""
        if self.update is not None:
            return self.kind, self.at, self.update.new_digest
        if self.build is not None:
            return self.kind, self.build.request_id or (self.at, self.build.reason, self.build.trigger)
        return self.kind, self.at


@dataclass(frozen=True, slots=True)
class History:
    """What happened to one image or base, newest first."""

    name: str
    entries: tuple[Entry, ...]
    total: int
    """With those that a limit leaves out."""
    problems: tuple[ImageFactoryError, ...] = ()


def read_history(bench: Workbench, name: str, *, limit: int | None = None) -> History:
    """Return what happened to the image or base of that name; the newest first.

    Args:
        limit: the newest only.

    Raises:
        NotFound: there is no such image, and none is archived.
        InvalidState, InvalidEnrollment: what is known of it cannot be read.
    """
    images, bases, requests = bench.store.images(), bench.store.bases(), bench.store.requests()
    found: dict[tuple[object, ...], Entry] = {}
    problems = [loaded.broken[name] for loaded in (images, bases, requests) if name in loaded.broken]

    def add(entries: Iterable[Entry]) -> None:
        for entry in entries:
            found.setdefault(entry.key, entry)

    is_known = False
    if name in images.records:
        is_known = True
        add(_image_entries(images.records[name]))
    if name in bases.records:
        is_known = True
        add(_base_entries(bases.records[name]))
    if name in requests.records:
        add(_request_entries(requests.records[name]))
    archive = ArchiveFolder(bench.store, bench.root, bench.settings.state_dir)
    folders: tuple[StateFolder, ...] = (IMAGES, BASE_IMAGES, REQUESTS)
    for folder in folders:
        archived = archive.find(folder, name)
        problems += archived.broken.values()
        for entry in archived.entries:
            try:
                add(_archived_entries(folder, entry.archived.text, str(bench.root / entry.path)))
            except ImageFactoryError as problem:
                problems.append(problem)
                continue
            is_known = True
            if folder != REQUESTS:
                add([Entry(entry.archived.at, EntryKind.ARCHIVED, reason=entry.archived.reason)])
    if not is_known:
        _raise_unknown(bench, name)
    brought = {entry.build.digest for entry in found.values() if entry.build is not None and entry.build.digest}
    told = [entry for entry in found.values() if entry.update is None or not _is_told(entry.update, brought)]
    # Of one instant, what was recorded later is the newer.
    placed = sorted(enumerate(told), key=lambda each: (each[1].at, _ORDER[each[1].kind], each[0]), reverse=True)
    ordered = [entry for _, entry in placed]
    return History(name, tuple(ordered if limit is None else ordered[:limit]), len(ordered), tuple(problems))


_ORDER = {kind: place for place, kind in enumerate(EntryKind)}


def _raise_unknown(bench: Workbench, name: str) -> None:
    status = read_status(bench)
    find_image(status, name)
    raise NotFound(f"no image is called {name!r}", hint="image-factory status lists all images")


def _is_told(update: DigestUpdate, brought: set[str]) -> bool:
    """Whether a rebuild of ours brought the digest, so that its own line says so."""
    return update.source == "build" and update.new_digest in brought


def _image_entries(image: ImageState) -> Iterator[Entry]:
    history = image.history
    if history.enrolled_at is not None:
        yield Entry(history.enrolled_at, EntryKind.ENROLLED)
    yield from _entries(history.update_history, history.rebuild_history)


def _base_entries(base: BaseState) -> Iterator[Entry]:
    history = base.history
    if history.first_discovered is not None:
        yield Entry(history.first_discovered, EntryKind.DISCOVERED)
    if history.enrolled_at is not None:
        yield Entry(history.enrolled_at, EntryKind.ENROLLED)
    yield from _entries(history.update_history, history.rebuild_history)


def _entries(updates: Iterable[DigestUpdate], builds: Iterable[Build]) -> Iterator[Entry]:
    for update in updates:
        yield Entry(update.at, EntryKind.DIGEST, update=update)
    for build in builds:
        yield Entry(build.at, EntryKind.REBUILD, build=build)


def _request_entries(request: RebuildRequest) -> Iterator[Entry]:
    """Yield what a request says of a rebuild that the image's own history does not have yet."""
    dispatch = request.dispatch
    build = Build(
        at=request.requested_at,
        reason=request.reason,
        trigger=request.triggered_by,
        result=str(request.status),
        request_id=request.request_id,
        run_id=dispatch.run_id if dispatch is not None else None,
        url=dispatch.url if dispatch is not None else None,
        digest=request.digest,
        version=request.version,
        finished_at=request.finished_at,
        causes=tuple(cause.model_dump(mode="json", by_alias=True, exclude_none=True) for cause in request.causes),
        problem=request.problem,
        cve=request.emergency.cve if request.emergency is not None else None,
    )
    yield Entry(build.at, EntryKind.REBUILD, build=build)


def _archived_entries(folder: StateFolder, text: str, source: str) -> Iterator[Entry]:
    if folder == IMAGES:
        return _image_entries(read_image(text, source))
    if folder == BASE_IMAGES:
        return _base_entries(read_base(text, source))
    return _request_entries(read_record(text, source, RebuildRequest))


def history_to_json(history: History) -> dict[str, Any]:
    """Return a timeline as JSON data."""
    return {
        "name": history.name,
        "total": history.total,
        "entries": [_to_json(entry) for entry in history.entries],
    }


def _to_json(entry: Entry) -> dict[str, Any]:
    told: dict[str, Any] = {"at": instant(entry.at), "kind": str(entry.kind)}
    if entry.update is not None:
        update = entry.update
        return {**told, "from": update.old_digest, "to": update.new_digest, "source": update.source}
    if entry.build is not None:
        build = entry.build.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"at"})
        return {**told, **build, "emergency": entry.build.cve is not None}
    return {**told, "reason": entry.reason} if entry.kind is EntryKind.ARCHIVED else told
