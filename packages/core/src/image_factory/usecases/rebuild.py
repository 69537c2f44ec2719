"""A rebuild that a person orders: a request like every other, or the approval of one that waits for it.

Gather: the enrollment, the state, the image's request. Decide: whether it may be ordered now, and with
which digests. Act: the claimed request, as the intent; `usecases.dispatch` starts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from image_factory.decide.backoff import fingerprint
from image_factory.decide.causes import Cause, find_causes
from image_factory.decide.eligibility import Reason
from image_factory.decide.freezes import frozen
from image_factory.decide.holds import active_holds
from image_factory.decide.pins import pin_digests
from image_factory.errors import Conflict, NotFound, VerificationError
from image_factory.model.enrollment import Enrollment
from image_factory.model.image_state import BaseState, DiscoveryStatus, ImageState
from image_factory.model.request import RebuildRequest, RequestStatus
from image_factory.shell.store import FileChange
from image_factory.usecases.coordinate import doubtful_holds
from image_factory.usecases.dispatch import claimed_by
from image_factory.usecases.status import instant
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
    images = bench.store.images().records
    known, state = requests.records.get(image), images.get(image)
    now = bench.clock.now().replace(microsecond=0)
    if known is not None and known.status.is_under_way:
        raise Conflict(
            f"a rebuild of {image} is under way: request {known.request_id}",
            hint=f"image-factory settle records how it ended; image-factory runs {image} shows its run",
        )
    if known is not None and known.status is RequestStatus.REQUESTED and not bench.settings.starts_builds:
        # Kargo may be calling the provider just now, which takes the same id twice.
        raise Conflict(
            f"request {known.request_id} of {image} is Kargo's to start",
            hint=f"see its rebuild-trigger stage in Kargo; image-factory explain {image} tells how it stands",
        )
    if known is not None and known.status.is_open:
        is_approval = known.status is RequestStatus.NEEDS_APPROVAL
        update: dict[str, object] = {"not_before": None}
        if is_approval:
            update |= {"approved_by": actor, "approved_at": now}
        if version_bump is not None:
            update["version_bump"] = version_bump
        request = known.model_copy(update=update)
        return Order(request, enrollment, state, known.reason, None, is_approval)
    reason, causes, refusal = _read(bench, state, enrollment, images, now)
    due = [cause for cause in causes if cause.is_due]
    moves = tuple(cause.request for cause in due if cause.request is not None)
    request = RebuildRequest(
        name=image,
        request_id=new_request_id(image, now),
        requested_at=now,
        reason=str(Reason.ORDERED),
        triggered_by="cli",
        causes=moves,
        digests=() if state is None else pin_digests(state, causes),
        inputs=fingerprint(moves, enrollment.source),
        version_bump=version_bump or "patch",
        approved_by=actor,
        approved_at=None if actor is None else now,
    )
    return Order(request, enrollment, state, "not analyzed" if reason is None else str(reason), refusal, False)


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


def _read(
    bench: Workbench, state: ImageState | None, enrollment: Enrollment, images: Mapping[str, ImageState], now: datetime
) -> tuple[Reason | None, tuple[Cause, ...], VerificationError | None]:
    """Return how an image stands, what a rebuild of it takes in, and why it is not due; nothing of an unread one."""
    if state is None:
        return None, (), None
    bases, holds = bench.store.bases().records, bench.store.holds()
    records: tuple[ImageState | BaseState, ...] = (*images.values(), *bases.values())
    digests = (update.new_digest for record in records for update in record.history.update_history)
    held = active_holds((*holds.records.values(), *doubtful_holds(holds.broken, digests, now)), now)
    causes = find_causes(state, enrollment, bases=bases, images=images, now=now, held=held.digest_ends)
    reason = _reason(state, causes)
    refusal: VerificationError | None
    stopped = held.image(state.name) or frozen(state.name, bench.settings.freezes, now)
    if stopped is not None:
        refusal = VerificationError(
            f"{state.name} is not to be rebuilt: {stopped.because}", hint="wait until that ends, or give --force"
        )
    else:
        refusal = _refusal(state.name, reason, causes)
    if reason is Reason.COOLING_DOWN:
        # Whoever insists gets what would be taken in first.
        causes = tuple(_as_due(cause) for cause in causes)
    return reason, causes, refusal


_URGENCY = (Reason.DUE, Reason.NEEDS_APPROVAL, Reason.COOLING_DOWN, Reason.HELD, Reason.OTHER_PLATFORM)


def _reason(state: ImageState, causes: tuple[Cause, ...]) -> Reason:
    """Return the most urgent of the causes' reasons."""
    runtime = state.runtime
    if not causes and (runtime.discovery_error is not None or runtime.discovery_status is DiscoveryStatus.PENDING):
        return Reason.UNKNOWN
    reasons = {cause.eligibility.reason for cause in causes}
    return next((reason for reason in _URGENCY if reason in reasons), Reason.UP_TO_DATE)


def _as_due(cause: Cause) -> Cause:
    if cause.eligibility.reason is not Reason.COOLING_DOWN:
        return cause
    return replace(cause, eligibility=replace(cause.eligibility, reason=Reason.DUE))


def _refusal(image: str, reason: Reason, causes: tuple[Cause, ...]) -> VerificationError | None:
    if reason in (Reason.DUE, Reason.NEEDS_APPROVAL):
        return None
    if reason is Reason.COOLING_DOWN:
        instants = [cause.eligibility.eligible_at for cause in causes]
        at = instant(min((at for at in instants if at is not None), default=None))
        return VerificationError(f"{image} is not eligible until {at}", hint="wait until then, or give --force")
    return VerificationError(
        f"{image} is not eligible: it is {reason}",
        hint="no base of it has moved; give --force to build it anyway",
    )
