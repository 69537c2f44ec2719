"""Read the requests that are open, with what is enrolled for them; and write what became of them.

Where no request is open nothing but their folder is read. A request that cannot be trusted as it
stands, such as one that was edited by hand, is a problem beside the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from image_factory.decide.build_inputs import BUMPS
from image_factory.decide.settlement import history_entry
from image_factory.errors import ImageFactoryError, InvalidReference, InvalidState, Location, NotFound
from image_factory.model.enrollment import Enrollment, Kind
from image_factory.model.image_state import ImageState
from image_factory.model.request import RebuildRequest, RequestStatus
from image_factory.oci.reference import Digest, Reference
from image_factory.shell.store import FileChange
from image_factory.state.layout import REQUESTS, state_path
from image_factory.state.merge import record_rebuild
from image_factory.usecases.workbench import Workbench

NOT_ENROLLED = "its image is not enrolled any more"
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}\Z")


@dataclass(frozen=True, slots=True)
class OpenRequests:
    """The requests that some step works on, and all that is known of their images."""

    requests: tuple[RebuildRequest, ...] = ()
    """Good ones, in the order in which they are to be started."""
    gone: frozenset[str] = frozenset()
    """The names among them whose image is not enrolled any more, as managed."""
    problems: Mapping[str, ImageFactoryError] = field(default_factory=dict)
    """Why a request is left alone, by image; `broken` among them."""
    broken: Mapping[str, ImageFactoryError] = field(default_factory=dict)
    """Of files that hold no request at all."""
    under_way: frozenset[str] = frozenset()
    """The images of all requests that are open, whether wanted or not."""
    enrollments: Mapping[str, Enrollment] = field(default_factory=dict)
    images: Mapping[str, ImageState] = field(default_factory=dict)


def require_images(bench: Workbench, names: Iterable[str]) -> None:
    """Refuse a name that nothing is known of: neither an entry, nor a record, nor a request.

    Raises:
        NotFound: it is such a name, or there is no images.yaml.
    """
    for name in names:
        loaded = (bench.store.images(), bench.store.requests())
        known = name in bench.enrolled().names or any(name in one.records or name in one.broken for one in loaded)
        if not known:
            raise NotFound(f"no image is called {name!r}", hint="image-factory status lists all images")


def open_requests(
    bench: Workbench, wanted: Callable[[RebuildRequest], bool], names: Iterable[str] = ()
) -> OpenRequests:
    """Return the requests that are `wanted`, of these images or of all.

    Raises:
        NotFound: there is one, and no images.yaml.
    """
    loaded = bench.store.requests()
    chosen = frozenset(names)
    broken = {name: error for name, error in loaded.broken.items() if not chosen or name in chosen}
    problems = dict(broken)
    good = []
    under_way = frozenset(name for name, request in loaded.records.items() if request.status.is_open)
    for name, request in loaded.records.items():
        if (chosen and name not in chosen) or not wanted(request):
            continue
        problem = _problem(bench, name, request)
        if problem is None:
            good.append(request)
        else:
            problems[name] = problem
    if not good:
        return OpenRequests(problems=problems, broken=broken, under_way=under_way)
    file, images = bench.images(), bench.store.images()
    enrollments = {
        entry.enrollment.name: entry.enrollment for entry in file.enrollments if entry.enrollment.kind is Kind.MANAGED
    }
    unreadable = bool(file.problems) and not file.names
    gone = set()
    kept = []
    for request in sorted(good, key=lambda one: (one.priority, one.requested_at, one.name)):
        if request.name in enrollments:
            kept.append(request)
        elif unreadable or (request.name in file.names and not _is_external(file.enrollments, request.name)):
            # What images.yaml says of it cannot be read: that is no reason to give it up.
            problems[request.name] = InvalidState(
                f"the entry of {request.name!r} in images.yaml cannot be read, so its request waits",
                hint="image-factory validate shows what is wrong",
            )
        else:
            kept.append(request)
            gone.add(request.name)
    return OpenRequests(tuple(kept), frozenset(gone), problems, broken, under_way, enrollments, images.records)


def _is_external(entries: Iterable[object], name: str) -> bool:
    return any(getattr(entry, "enrollment").name == name for entry in entries)  # noqa: B009


def _problem(bench: Workbench, name: str, request: RebuildRequest) -> InvalidState | None:
    """Return why nothing may be done for a request as it stands in its file."""
    wrong = None
    is_started = request.status in (RequestStatus.DISPATCHING, RequestStatus.DISPATCHED)
    if not _REQUEST_ID.match(request.request_id):
        wrong = f"not a request's id: {request.request_id[:60]!r}"
    elif request.version_bump not in BUMPS:
        wrong = f"versionBump is none of {', '.join(BUMPS)}: {request.version_bump[:40]!r}"
    elif is_started and request.dispatch is None:
        wrong = f"it is {request.status}, and has no dispatch"
    else:
        for pinned in request.digests:
            try:
                Reference.parse(pinned.reference)
                Digest.parse(pinned.digest)
            except InvalidReference as error:
                wrong = error.message
                break
    if wrong is None:
        return None
    file = bench.root / bench.settings.state_dir / state_path(REQUESTS, name)
    return InvalidState(
        wrong,
        hint="correct it, or remove the file: where a rebuild is still due it is requested anew",
        location=Location(str(file)),
    )


def plan_requests(bench: Workbench, requests: Iterable[RebuildRequest]) -> tuple[FileChange, ...]:
    """Return what writes these requests, and each image's rebuildHistory, over what is on disk now.

    A request that was settled, or replaced, meanwhile keeps what it has; its history gets what we know
    where it has nothing of it.

    Raises:
        Overtaken: a file changed while this was planned.
    """
    listed = list(requests)
    if not listed:
        return ()
    known, images = bench.store.requests().records, bench.store.images().records
    written, states = [], []
    for request in listed:
        now = known.get(request.name)
        is_ours = now is None or (now.request_id == request.request_id and now.status.is_open)
        if is_ours:
            written.append(request)
        build, state = history_entry(request), images.get(request.name)
        if build is None or state is None:
            continue
        is_told = any(each.request_id == build.request_id for each in state.history.rebuild_history)
        if is_ours or not is_told:
            states.append(record_rebuild(state, build))
    return bench.store.plan(states, requests=written)
