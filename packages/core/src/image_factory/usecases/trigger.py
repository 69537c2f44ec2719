"""The provider's side of a rebuild: what a request becomes as a call, and where its runs are. Starts nothing.

Gather: the enrollment, and the inputs that the workflow declares. A request tells the build its digests;
nothing here chooses any.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from image_factory.decide.build_inputs import PinnedBase, build_inputs, name_inputs
from image_factory.errors import ImageFactoryError, RemoteError, RemoteNotFound, UserError
from image_factory.model.enrollment import Enrollment, Source
from image_factory.model.image_state import ImageState
from image_factory.model.request import RebuildRequest
from image_factory.ports import BuildRequest, BuildTrigger, SourceRepository, TriggerCall
from image_factory.usecases.workbench import Workbench
from image_factory.usecases.workflow import WITHOUT_FILES

REDACTED = "••••••"
_TOLD = {"cli": "image-factory rebuild", "emergency": "image-factory emergency", "policy": "image-factory"}
"""What a build is told of who wanted it, by the request's `triggeredBy`."""


@dataclass(frozen=True, slots=True)
class PreparedBuild:
    """A request as its provider would be called for it; nothing is sent yet."""

    trigger: BuildTrigger
    request: BuildRequest
    warnings: tuple[ImageFactoryError, ...] = ()

    @property
    def call(self) -> TriggerCall:
        """The call that starts it; raises what `BuildTrigger.call` raises."""
        return self.trigger.call(self.request)


def prepare_build(
    bench: Workbench,
    request: RebuildRequest,
    enrollment: Enrollment,
    state: ImageState | None,
    *,
    is_rehearsal: bool = False,
) -> PreparedBuild:
    """Return the build of `request`, its inputs under the names that the workflow takes them by.

    Args:
        is_rehearsal: whether to go on, with a warning, where the declared inputs cannot be read.

    Raises:
        UnknownPlugin: no plugin starts builds at its provider.
        UserError: the version bump or the names of the inputs are wrong.
        RemoteError: what reading the workflow's inputs came to.
    """
    trigger, asked = build_request(bench, enrollment, request.request_id)
    sites = () if state is None else state.configuration.references
    references: dict[str, str] = {}
    for site in sites:
        references.setdefault(site.name, site.reference)
    told = build_inputs(
        [PinnedBase(pinned.reference, pinned.digest, pinned.role) for pinned in request.digests],
        image=request.name,
        request_id=request.request_id,
        version_bump=request.version_bump,
        triggered_by=_TOLD.get(request.triggered_by, f"image-factory {request.triggered_by}"),
        moved=[references[cause.base] for cause in request.causes if cause.base in references],
    )
    declared, warnings = _declared(trigger, asked, request.name, is_rehearsal=is_rehearsal)
    assert enrollment.source is not None
    named = name_inputs(told, enrollment.source.inputs, declared)
    warnings += [
        UserError(
            f"the workflow {asked.workflow} of {request.name} declares no input {name!r}: it is left out",
            hint=f"image-factory workflow {request.name} writes one that does; or name yours in source.inputs",
        )
        for name in named.left_out
    ]
    asked = BuildRequest(asked.repository, asked.ref, asked.workflow, request.request_id, named.inputs)
    return PreparedBuild(trigger, asked, tuple(warnings))


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


def new_request_id(image: str, now: datetime) -> str:
    """Return an id that no other request has, readable in a run's title: `web-20260301T120000Z-1a2b3c4d`."""
    return f"{image}-{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def call_to_json(call: TriggerCall) -> dict[str, Any]:
    """Return the call as JSON data, with the secret redacted wherever it goes."""
    headers = dict(call.headers)
    if call.secret is not None:
        headers[call.secret.name] = f"{call.secret.prefix}{REDACTED}"
    body: Mapping[str, object] = dict(call.json)
    if call.secret_field is not None:
        body = {**body, call.secret_field: REDACTED}
    return {"method": call.method, "url": call.url, "headers": headers, "json": body}


def _repository(source: Source) -> SourceRepository:
    return SourceRepository(source.provider, source.host, source.repo)


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
