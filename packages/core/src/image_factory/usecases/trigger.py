"""Start a rebuild in the owner's CI, and record it.

Gather: the enrollment, the state, the inputs that the workflow declares. Decide: whether a rebuild is
due, and with which digests. Act: the intent is written first, then the provider is called, then the
record says what became of it; so a crash neither loses a rebuild nor repeats it unseen.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from image_factory.decide.build_inputs import PinnedBase, build_inputs, name_inputs
from image_factory.decide.eligibility import Reason
from image_factory.errors import (
    ImageFactoryError,
    NotFound,
    RateLimited,
    RemoteError,
    RemoteNotFound,
    Unavailable,
    UserError,
    VerificationError,
)
from image_factory.model.enrollment import Enrollment, Source
from image_factory.model.image_state import BaseState, Build, ImageState
from image_factory.ports import BuildRequest, BuildTrigger, SourceRepository, TriggerCall
from image_factory.shell.store import FileChange
from image_factory.state.merge import record_rebuild
from image_factory.usecases.status import ImageStatus, image_status, instant
from image_factory.usecases.workbench import Workbench
from image_factory.usecases.workflow import WITHOUT_FILES, managed_enrollment

log = logging.getLogger("image_factory.rebuild")

REDACTED = "••••••"
REQUESTED = "requested"
STARTED = "started"
FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Rebuild:
    """A rebuild as it would be started; nothing is sent yet."""

    image: str
    provider: str
    request: BuildRequest
    call: TriggerCall
    state: ImageState | None
    """None where the image is not analyzed yet."""
    causes: tuple[Mapping[str, str], ...]
    reason: str
    refusal: VerificationError | None
    """Why it may not be started now, unless somebody insists."""
    warnings: tuple[ImageFactoryError, ...] = ()


@dataclass(frozen=True, slots=True)
class Started:
    """What starting a rebuild came to; `changes` say so in the record, and are not written yet."""

    build: Build
    url: str | None
    changes: tuple[FileChange, ...]
    unseen: RemoteError | None = None
    """Why its run could not be looked for, such as that the token may start builds and not see them."""


def prepare_rebuild(
    bench: Workbench,
    image: str,
    *,
    version_bump: str = "patch",
    triggered_by: str = "image-factory rebuild",
    request_id: str | None = None,
    is_rehearsal: bool = False,
) -> Rebuild:
    """Return the rebuild of `image` as of now: with the digests that are eligible, else those it was built with.

    Args:
        request_id: made anew where it is None.
        is_rehearsal: whether to go on, with a warning, where the declared inputs cannot be read.

    Raises:
        NotFound, Conflict: `image` is not enrolled, or external.
        UnknownPlugin: no plugin starts builds at its provider.
        UserError: `version_bump` or the names of the inputs are wrong.
        RemoteError: what reading the workflow's inputs came to.
    """
    enrollment = managed_enrollment(bench, image)
    trigger, request = build_request(bench, enrollment)
    images, bases = bench.store.images(), bench.store.bases()
    state = images.records.get(image)
    now = bench.clock.now()
    status = None if state is None else image_status(_as_enrolled(state, enrollment), bases.records, now)
    pinned, causes = pinned_bases(status, bases.records, images.records)
    told = build_inputs(
        pinned,
        image=image,
        request_id=request_id or new_request_id(image, now),
        version_bump=version_bump,
        triggered_by=triggered_by,
        moved=[bases.records[cause["base"]].configuration.full_image for cause in causes],
    )
    request = BuildRequest(request.repository, request.ref, request.workflow, told["request_id"])
    declared, warnings = _declared(trigger, request, image, is_rehearsal=is_rehearsal)
    assert enrollment.source is not None
    named = name_inputs(told, enrollment.source.inputs, declared)
    request = BuildRequest(request.repository, request.ref, request.workflow, request.request_id, named.inputs)
    warnings += [
        UserError(
            f"the workflow {request.workflow} of {image} declares no input {name!r}: it is left out",
            hint=f"image-factory workflow {image} writes one that does; or name yours in source.inputs",
        )
        for name in named.left_out
    ]
    reason = str(status.rebuild) if status is not None else "not analyzed"
    return Rebuild(
        image, trigger.name, request, trigger.call(request), state, causes, reason, _refusal(image, status),
        tuple(warnings),
    )  # fmt: skip


def start_rebuild(bench: Workbench, rebuild: Rebuild, *, triggered_by: str = "cli", force: bool = False) -> Started:
    """Start `rebuild`, after an intent is written to the image's rebuildHistory; return what completes that.

    Raises:
        VerificationError: it is not eligible yet, and `force` is not given.
        NotFound: the image is not analyzed yet, so that there is no record to write to.
        RemoteError: the provider did not start it; the message ends with the request's id.
    """
    if rebuild.refusal is not None and not force:
        raise rebuild.refusal
    if rebuild.state is None:
        raise NotFound(
            f"{rebuild.image!r} is enrolled, but not analyzed yet",
            hint=f"image-factory analyze --image {rebuild.image}",
        )
    request = rebuild.request
    build = Build(
        at=bench.clock.now().replace(microsecond=0),
        reason=rebuild.reason,
        trigger=triggered_by,
        result=REQUESTED,
        request_id=request.request_id,
        causes=tuple(dict(cause) for cause in rebuild.causes),
    )
    _write(bench, rebuild.image, build)
    trigger = bench.plugins.trigger_named(rebuild.provider)
    try:
        run_id = trigger.start(request)
    except ImageFactoryError as error:
        # Without an answer it may have started all the same: the record stays open, to be looked for by its id.
        if not isinstance(error, Unavailable) or isinstance(error, RateLimited):
            _write(bench, rebuild.image, build.model_copy(update={"result": FAILED}))
        error.message = f"{error.message} (request {request.request_id})"
        fields = {"image": rebuild.image, "op": "rebuild", "request": request.request_id, "hint": error.hint}
        fields["input"] = f"{request.repository}@{request.ref}" + (f":{request.workflow}" if request.workflow else "")
        # A person is shown the error itself; the log tells programs.
        log.error(error.message, extra={**fields, "reported": True})
        error.is_logged = True
        raise
    url, unseen = None, None
    try:
        run = trigger.run(request, run_id) if run_id is not None else trigger.find_run(request)
    except RemoteError as error:
        run, unseen = None, error  # it is started; where it is can be asked later
    if run is not None:
        run_id, url = run.id, run.url
    started = build.model_copy(update={"result": STARTED, "run_id": run_id})
    changes = _plan(bench, rebuild.image, started)
    log.info("rebuild started", extra={"image": rebuild.image, "op": "rebuild", "request": request.request_id})
    return Started(started, url, changes, unseen)


def build_request(bench: Workbench, enrollment: Enrollment, request_id: str = "") -> tuple[BuildTrigger, BuildRequest]:
    """Return what starts an image's builds, and its request without inputs.

    Raises:
        UnknownPlugin: no plugin starts builds at its provider.
    """
    source = enrollment.source
    assert source is not None
    trigger = bench.plugins.trigger_named(source.provider)
    workflow = source.workflow or ("" if source.provider in WITHOUT_FILES else f"{enrollment.name}.yml")
    return trigger, BuildRequest(_repository(source), source.ref or source.branch, workflow, request_id)


def pinned_bases(
    status: ImageStatus | None, bases: Mapping[str, BaseState], images: Mapping[str, ImageState]
) -> tuple[Sequence[PinnedBase], tuple[Mapping[str, str], ...]]:
    """Return the digests to build with, one a reference, and the moves that are taken in.

    A base that moved gives the digest that is eligible, or will be first; one that did not, the digest
    that the image holds. A base that is a managed image itself gives its current digest.
    """
    if status is None:
        return (), ()
    chosen = {name: state.runtime.current_digest for name, state in images.items()}
    causes = []
    for cause in status.causes:
        moved = cause.eligibility.digest
        waits = cause.eligibility.reason is Reason.COOLING_DOWN and status.rebuild is not Reason.COOLING_DOWN
        chosen[cause.base] = cause.absorbed if moved is None or waits else moved
        if moved is not None and not waits:
            origin = {"from": cause.absorbed} if cause.absorbed is not None else {}
            causes.append({"base": cause.base, **origin, "to": moved})
    pinned = []
    for site in status.state.configuration.references:
        digest = chosen.get(site.name)
        if digest is not None and site.reachable and "@" not in site.reference:
            pinned.append(PinnedBase(site.reference, digest, site.role))
    return pinned, tuple(causes)


def new_request_id(image: str, now: datetime) -> str:
    """Return an id that no other request has, readable in a run's title: `web-20260301T120000Z-1a2b3c4d`."""
    return f"{image}-{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def call_to_json(call: TriggerCall) -> dict[str, Any]:
    """Return the call as JSON data, with the secret redacted wherever it goes."""
    headers = dict(call.headers)
    if call.secret is not None:
        headers[call.secret.name] = f"{call.secret.prefix}{REDACTED}"
    body = dict(call.json)
    if call.secret_field is not None:
        body[call.secret_field] = REDACTED
    return {"method": call.method, "url": call.url, "headers": headers, "json": body}


def _repository(source: Source) -> SourceRepository:
    return SourceRepository(source.provider, source.host, source.repo)


def _as_enrolled(state: ImageState, enrollment: Enrollment) -> ImageState:
    """Return the state with what images.yaml says now, which a delay may have been changed in since analysis."""
    configuration = state.configuration.model_copy(update={"enrollment": enrollment})
    return state.model_copy(update={"configuration": configuration})


def _declared(
    trigger: BuildTrigger, request: BuildRequest, image: str, *, is_rehearsal: bool
) -> tuple[frozenset[str] | None, list[ImageFactoryError]]:
    try:
        return trigger.declared_inputs(request), []
    except RemoteError as error:
        if isinstance(error, RemoteNotFound):
            error.hint = f"image-factory workflow {image} writes it; or name yours in source.workflow"
        if not is_rehearsal:
            raise
        told = f"cannot read which inputs the workflow declares, so all are shown: {error.message}"
        return None, [UserError(told, hint=error.hint)]


def _refusal(image: str, status: ImageStatus | None) -> VerificationError | None:
    if status is None or status.rebuild in (Reason.DUE, Reason.NEEDS_APPROVAL):
        return None
    if status.rebuild is Reason.COOLING_DOWN:
        at = instant(status.eligible_at)
        return VerificationError(f"{image} is not eligible until {at}", hint="wait until then, or give --force")
    return VerificationError(
        f"{image} is not eligible: it is {status.rebuild}",
        hint="no base of it has moved; give --force to build it anyway",
    )


def _write(bench: Workbench, image: str, build: Build) -> None:
    bench.store.apply(_plan(bench, image, build))


def _plan(bench: Workbench, image: str, build: Build) -> tuple[FileChange, ...]:
    """Return what writes a build to the image's history as it is on disk now."""
    state = bench.store.images().records.get(image)
    if state is None:
        raise NotFound(f"the state of {image!r} has vanished", hint=f"image-factory analyze --image {image}")
    return bench.store.plan([record_rebuild(state, build)])
