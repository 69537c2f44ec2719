"""A rebuild that a person orders: a request like every other, or the approval of one that waits for it.

Gather: the enrollment, the state, the image's request. Decide: whether it may be ordered now, and with
which digests. Act: the claimed request, as the intent; `usecases.dispatch` starts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from image_factory.decide.eligibility import Reason
from image_factory.errors import Conflict, NotFound, VerificationError
from image_factory.model.enrollment import Enrollment
from image_factory.model.image_state import BaseState, ImageState
from image_factory.model.request import PinnedDigest, RebuildCause, RebuildRequest, RequestStatus
from image_factory.shell.store import FileChange
from image_factory.usecases.dispatch import claimed_by
from image_factory.usecases.status import ImageStatus, image_status, instant
from image_factory.usecases.trigger import PreparedBuild, new_request_id, prepare_build
from image_factory.usecases.workbench import Workbench
from image_factory.usecases.workflow import managed_enrollment


@dataclass(frozen=True, slots=True)
class Order:
    """A rebuild as it would be requested; nothing is written yet."""

    request: RebuildRequest
    enrollment: Enrollment
    state: ImageState | None
    """None where the image is not analyzed yet."""
    status: str
    """How the image stands, as `status` has it."""
    refusal: VerificationError | None
    """Why it may not be started now, unless somebody insists."""
    is_approval: bool
    """Whether the request was there, and waited for a person."""

    @property
    def image(self) -> str:
        return self.request.name


def order_rebuild(bench: Workbench, image: str, *, version_bump: str | None = None, actor: str | None = None) -> Order:
    """Return the rebuild of `image` as of now: the request that waits for approval, else a new one.

    A new one takes the digests that are eligible, and those that the image holds of what has not moved.

    Args:
        version_bump: what of the version to raise; None leaves what the request says, or a patch.
        actor: who orders it.

    Raises:
        NotFound, Conflict: `image` is not enrolled, or external; or its request is under way.
        InvalidState: its request cannot be read.
    """
    enrollment = managed_enrollment(bench, image)
    requests = bench.store.requests()
    if image in requests.broken:
        raise requests.broken[image]
    images, bases = bench.store.images(), bench.store.bases()
    known, state = requests.records.get(image), images.records.get(image)
    now = bench.clock.now().replace(microsecond=0)
    if known is not None and known.status.is_under_way:
        raise Conflict(
            f"a rebuild of {image} is under way: request {known.request_id}",
            hint=f"image-factory settle records how it ended; image-factory runs {image} shows its run",
        )
    status = None if state is None else image_status(_as_enrolled(state, enrollment), bases.records, now)
    stands = str(status.rebuild) if status is not None else "not analyzed"
    if known is not None and known.status.is_open:
        is_approval = known.status is RequestStatus.NEEDS_APPROVAL
        update: dict[str, object] = {"not_before": None}
        if is_approval:
            update |= {"approved_by": actor, "approved_at": now}
        if version_bump is not None:
            update["version_bump"] = version_bump
        request = known.model_copy(update=update)
        return Order(request, enrollment, state, known.reason, None, is_approval)
    digests, causes = chosen_digests(status, bases.records, images.records)
    request = RebuildRequest(
        name=image,
        request_id=new_request_id(image, now),
        requested_at=now,
        reason=str(Reason.ORDERED),
        triggered_by="cli",
        causes=causes,
        digests=digests,
        version_bump=version_bump or "patch",
        approved_by=actor,
        approved_at=None if actor is None else now,
    )
    return Order(request, enrollment, state, stands, _refusal(image, status), False)


def rehearse_order(bench: Workbench, order: Order) -> PreparedBuild:
    """Return the call that `order` would make; goes on, with a warning, where the declared inputs cannot be read.

    Raises:
        UnknownPlugin: no plugin starts builds at its provider.
        UserError: the names of the inputs are wrong.
    """
    return prepare_build(bench, order.request, order.enrollment, order.state, is_rehearsal=True)


def claim_order(
    bench: Workbench, order: Order, by: str, *, force: bool = False
) -> tuple[RebuildRequest, tuple[FileChange, ...]]:
    """Return the request of `order` as the run `by` is about to start it, and what writes that: the intent.

    Raises:
        VerificationError: it is not eligible yet, and `force` is not given.
        NotFound: the image is not analyzed yet, so that there is no record to write to.
        UnknownPlugin: no plugin starts builds at its provider.
    """
    if order.refusal is not None and not force:
        raise order.refusal
    if order.state is None:
        raise NotFound(
            f"{order.image!r} is enrolled, but not analyzed yet",
            hint=f"image-factory analyze --image {order.image}",
        )
    source = order.enrollment.source
    assert source is not None
    bench.plugins.trigger_named(source.provider)
    request = claimed_by(order.request, by, bench.clock.now().replace(microsecond=0))
    return request, bench.store.plan(requests=[request])


def chosen_digests(
    status: ImageStatus | None, bases: Mapping[str, BaseState], images: Mapping[str, ImageState]
) -> tuple[tuple[PinnedDigest, ...], tuple[RebuildCause, ...]]:
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
            seen_at = cause.eligibility.seen_at
            causes.append(RebuildCause(base=cause.base, from_digest=cause.absorbed, to=moved, seen_at=seen_at))
    pinned: dict[str, PinnedDigest] = {}
    for site in status.state.configuration.references:
        digest = chosen.get(site.name)
        if digest is not None and site.reachable and "@" not in site.reference:
            held = pinned.get(site.reference)
            if held is None or site.role == "final":
                pinned[site.reference] = PinnedDigest(reference=site.reference, digest=digest, role=site.role)
    return tuple(pinned[reference] for reference in sorted(pinned)), tuple(causes)


def _as_enrolled(state: ImageState, enrollment: Enrollment) -> ImageState:
    """Return the state with what images.yaml says now, which a delay may have been changed in since analysis."""
    configuration = state.configuration.model_copy(update={"enrollment": enrollment})
    return state.model_copy(update={"configuration": configuration})


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
